"""Learning in closed form: batches add to the normal equations of a readout, which are solved before an evaluation."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gle_bench.contracts import Batch
from gle_bench.models.modules.ridge import Readout, fold, solve
from gle_bench.models.readout import ReadoutModel
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.gradient import WholeModule
from gle_bench.training.modules.online import EngineOptimizer


class ReadoutModule(WholeModule):
    """The Lightning module of one readout model, which learns a function of all batches since the first, in float64."""

    def __init__(self, experiment: Experiment, seeds: list[int]) -> None:
        super().__init__(experiment, seeds)
        self.automatic_optimization = False
        config = experiment.config.network
        assert isinstance(config, ReadoutModel)
        assert isinstance(self.model, Readout)
        self._ridge, self._network = config.ridge, self.model
        self._factor = torch.zeros(0, self._features + experiment.shape.outputs, dtype=torch.float64)
        self._solved = True  # the readout is zero before anything is seen

    @property
    def _features(self) -> int:
        return self._network.readout.in_features

    def configure_optimizers(self) -> EngineOptimizer:
        return EngineOptimizer()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step(lambda: self.learn(batch))

    def learn(self, batch: Batch) -> None:
        with torch.no_grad():
            rows = self._rows(batch)
            if rows.isfinite().all():
                self._factor, self._solved = fold(self._factor, rows), False
            else:
                self.mark_diverged(self.seeds[0], f"features or targets not finite in batch {self.batches}")

    def _rows(self, batch: Batch) -> Tensor:
        """Features and their targets, (M, F + C), in float64: a row for each step of a sample that the mask selects."""
        inputs = batch.inputs[0].expand(-1, batch.steps, -1)
        features = self._network.read(inputs)
        targets = self.experiment.task.targets(batch, self.experiment.shape.outputs)[0]
        residuals = (targets - self._network.base(inputs)).expand(-1, features.shape[1], -1)
        rows = torch.cat([features, residuals], -1).double()
        if batch.mask is None or self._network.reads == "mean":
            return rows.flatten(0, 1)
        return rows[batch.mask[0].expand(rows.shape[:2]) > 0]

    def begin_evaluation(self) -> None:
        if not self._solved:
            with torch.no_grad():
                self._network.readout.weight.copy_(solve(self._factor, self._features, self._ridge))
            self._solved = True

    def member(self, seed: int) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "factor": self._factor}

    def restore(self, members: Mapping[int, dict[str, Any]]) -> None:
        member = members[self.seeds[0]]
        self.model.load_state_dict(member["model"])
        self._factor, self._solved = member["factor"], True
