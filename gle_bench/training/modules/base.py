"""The base of all Lightning modules: the scores of an evaluation, and an ensemble whose seeds may end one by one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gle_bench.contracts import Batch, Task
from gle_bench.contracts.results import averaged
from gle_bench.models.macs import Macs
from gle_bench.training.checkpoints import unlike
from gle_bench.training.experiment import Experiment
from gle_bench.training.lightning import LightningModule
from gle_bench.training.modules.average import EpochMean
from gle_bench.training.seed import Position


class Score(NamedTuple):
    """The results of one member of an ensemble on one split."""

    metrics: dict[str, float]  # 'loss' and the task's own, means over the samples
    samples: int
    decisions: np.ndarray  # (M, C) or (M, T, C)
    targets: np.ndarray

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The arrays that predictions.npz keeps, by their names there."""
        return {f"{split}_decisions": self.decisions, f"{split}_targets": self.targets}


class Scores:
    """The results of an evaluation, collected batch by batch."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._metrics: dict[str, list[Tensor]] = {}
        self._decisions: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Tensor, batch: Batch, others: Mapping[str, Tensor], averages: Tensor | None) -> None:
        """Adds outputs (S, B, T, C) of a batch.

        Args:
            others: outputs of further ways of evaluation, whose names their metrics end in: accuracy_by_batch.
            averages: outputs with averaged weights.
        """
        task, decisions = self._task, self._task.decide(outputs, batch)
        values = {"loss": task.losses(outputs, batch), **task.measure(decisions, batch)}
        if averages is not None:
            measured = {"loss": task.losses(averages, batch), **task.measure(task.decide(averages, batch), batch)}
            values |= {averaged(name): value for name, value in measured.items()}
        for way, output in others.items():
            measured = task.measure(task.decide(output, batch), batch)
            values |= {f"{name}_{way}": value for name, value in measured.items()}
        for name, value in values.items():
            self._metrics.setdefault(name, []).append(value.to(torch.float64).cpu())
        self._decisions.append(decisions.cpu())
        self._targets.append(batch.targets.cpu())

    def members(self, count: int) -> list[Score]:
        """The scores of the `count` members."""
        means = {name: torch.cat(parts, 1).mean(1) for name, parts in self._metrics.items()}
        decisions, targets = torch.cat(self._decisions, 1), torch.cat(self._targets, 1)
        return [
            Score(
                {name: float(mean[member]) for name, mean in means.items()},
                decisions.shape[1],
                decisions[member].numpy(),
                targets[member if len(targets) > 1 else 0].numpy(),
            )
            for member in range(count)
        ]


class BenchModule(LightningModule):
    """The base of Lightning modules, each of which trains one or more seeds of an experiment side by side.

    Attributes:
        seeds: the seeds still in the ensemble, in the order of its members.
        positions: the progress of each seed's training; set by `execute`, read here.
        scores: each seed's last evaluation, {seed: Score}.
        diverged: seeds whose loss, state or parameters stopped being finite, {seed: what and where}.
        running: sums over the training batches since the last evaluation, {seed: {name: value}}.
        average: the averaged weights; None where the configuration asks for none.
    """

    def __init__(self, experiment: Experiment, seeds: list[int]) -> None:
        super().__init__()
        self.experiment = experiment
        self.seeds = list(seeds)
        self.positions: Mapping[int, Position] = {}
        self.scores: dict[int, Score] = {}
        self.diverged: dict[int, str] = {}
        self.running: dict[str, list[Tensor]] = {}
        self.average: EpochMean | None = None
        self._scores = Scores(experiment.task)

    def start_average(self) -> None:
        """Starts to average weights, if the configuration asks for it; called once the network exists."""
        if self.experiment.config.training.average == "epoch":
            self.average = EpochMean(self.weights())

    @property
    def batches(self) -> int:
        """The number of batches that each of these seeds has learned from, over all parts of a resumed run."""
        return self.positions[self.seeds[0]].batches if self.positions else 0

    # Methods that each kind of training implements -----------------------------------------------------------------

    @property
    def parameter_count(self) -> int:
        """The number of plastic parameters of one network."""
        raise NotImplementedError

    @property
    def macs(self) -> Macs:
        """The multiply-accumulates of a network's forward pass over one sample, without its neurons' updates."""
        raise NotImplementedError

    @property
    def updates_per_batch(self) -> int:
        raise NotImplementedError

    def weights(self) -> list[Tensor]:
        """The parameters that learn, detached, of which averages are made."""
        raise NotImplementedError

    def named(self) -> Mapping[str, Tensor]:
        """The parameters that the history follows, (S,) each, by their names there."""
        return {}

    def member(self, seed: int) -> dict[str, Any]:
        """The state of one seed's network for a checkpoint, as lists, numbers and tensors."""
        raise NotImplementedError

    def restore(self, members: Mapping[int, dict[str, Any]]) -> None:
        """Restores the states that `member` returned, for all seeds at once."""
        raise NotImplementedError

    def unlike(self, member: dict[str, Any]) -> str | None:
        """The first difference in form between `member`, from a checkpoint, and what this module saves; or None."""
        return unlike(member, self.member(self.seeds[0]), "member")

    def finite(self) -> list[bool]:
        """Whether each member's parameters, and state if it has one, are finite."""
        raise NotImplementedError

    def keep(self, seeds: list[int]) -> None:
        """Removes all seeds but these from the ensemble."""
        raise NotImplementedError

    def begin_evaluation(self) -> None:
        """Prepares the module for an evaluation; called before its first batch."""

    def evaluate(self, batch: Batch) -> Tensor:
        """Outputs (S, B, T, C) with frozen weights."""
        raise NotImplementedError

    def evaluate_otherwise(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs of further ways of evaluation, by their names: {'by_batch': (S, B, T, C)}."""
        return {}

    def evaluate_averaged(self, batch: Batch) -> Tensor:
        """Outputs (S, B, T, C) with the averaged weights; they do not change the outputs of `evaluate`."""
        raise NotImplementedError

    # Methods that Lightning calls, and what they use ---------------------------------------------------------------

    def on_fit_start(self) -> None:
        if self.average is not None:
            self.average.change(lambda tensor: tensor.to(self.device))

    on_validation_start = on_test_start = on_fit_start

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.average is not None:
            self.average.add(self.weights(), self.experiment.batches_per_epoch)

    def on_validation_epoch_start(self) -> None:
        self._scores = Scores(self.experiment.task)
        self.begin_evaluation()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        averages = None if self.average is None else self.evaluate_averaged(batch)
        self._scores.add(self.evaluate(batch), batch, self.evaluate_otherwise(batch), averages)

    def on_validation_epoch_end(self) -> None:
        self.scores = dict(zip(self.seeds, self._scores.members(len(self.seeds)), strict=True))
        for name, values in self.named().items():
            for score, value in zip(self.scores.values(), values.tolist(), strict=True):
                score.metrics[name] = value
        for seed, score in self.scores.items():
            if not torch.tensor(score.metrics["loss"]).isfinite():
                self.mark_diverged(seed, f"evaluation loss {score.metrics['loss']} after {self.batches} batches")
        for seed, finite in zip(self.seeds, self.finite(), strict=True):
            if not finite:
                self.mark_diverged(seed, f"parameters or state not finite after {self.batches} batches")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def mark_diverged(self, seed: int, what: str) -> None:
        """Notes that a seed diverged; the other seeds go on."""
        self.diverged.setdefault(seed, what)

    def mark_unless_finite(self, losses: Tensor, batch: int) -> None:
        """Marks the seeds whose loss (S,) in a batch is not finite."""
        for seed, finite, loss in zip(self.seeds, losses.isfinite().tolist(), losses.tolist(), strict=True):
            if not finite:
                self.mark_diverged(seed, f"training loss {loss} in batch {batch}")

    def note_running(self, **values: Tensor) -> None:
        """Adds values of this batch, (S,) each, whose means stand in the history's next row."""
        for name, value in values.items():
            self.running.setdefault(name, []).append(value.detach().to(torch.float64).cpu())

    def take_running(self) -> dict[int, dict[str, float]]:
        """Means over the batches since the last evaluation, {seed: {name: value}}; the next means start anew."""
        means = {name: torch.stack(parts).mean(0) for name, parts in self.running.items()}
        self.running = {}
        return {seed: {name: float(mean[i]) for name, mean in means.items()} for i, seed in enumerate(self.seeds)}
