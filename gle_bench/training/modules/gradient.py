"""Offline learning: a module sees whole samples, and its gradients come from autograd. One seed at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gle_bench.contracts import Batch, GradientRule, OfflineModel, Stepwise
from gle_bench.dynamics.engines.interface import Feedback
from gle_bench.models.macs import Macs, count_macs
from gle_bench.training.checkpoints import unlike
from gle_bench.training.data import seed_of
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.base import BenchModule


class WholeModule(BenchModule):
    """The Lightning module of a network that sees whole samples, however it learns.

    Where a task closes the loop, the network is evaluated step by step; it then has steps (`contracts.Stepwise`).
    """

    def __init__(self, experiment: Experiment, seeds: list[int]) -> None:
        super().__init__(experiment, seeds)
        model = experiment.config.network
        assert isinstance(model, OfflineModel)
        assert len(seeds) == 1
        self.model = model.build(experiment.shape, seeds[0]).to(experiment.dtype)
        self._feedback = experiment.task.feedback(experiment.config.options)

    @property
    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def macs(self) -> Macs:
        return count_macs(self.model, self.experiment.shape)

    @property
    def updates_per_batch(self) -> int:
        return 1

    def learn(self, batch: Batch) -> None:
        """Learns from a batch without a Trainer, at the first learning rate; used to measure its time."""
        raise NotImplementedError

    def evaluate(self, batch: Batch) -> Tensor:
        return self.answers(batch) if self._feedback is None else self._in_closed_loop(self._feedback, batch)

    def _in_closed_loop(self, feedback: Feedback, batch: Batch) -> Tensor:
        network, size = cast(Stepwise, self.model), batch.inputs.shape[1]
        memory: Any = network.start(size)
        outputs = batch.inputs.new_empty(1, size, batch.steps, self.experiment.shape.outputs)
        for t in range(batch.steps):
            outputs[0, :, t], memory = network.step(feedback(t, batch.inputs, outputs[:, :, :t])[0], memory)
        return outputs

    def evaluate_otherwise(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs with batch norms that take each batch's own statistics, not running averages; one sample has none."""
        norms = [module for module in self.model.modules() if isinstance(module, _BatchNorm)]
        if not norms or self._feedback is not None:
            return {}
        with _own_statistics(norms if batch.targets.shape[1] > 1 else []):
            return {"by_batch": self.answers(batch)}

    def answers(self, batch: Batch) -> Tensor:
        """The outputs of the whole samples: (B, C) or (B, T, C), as (1, B, T|1, C)."""
        return _as_ensemble(self.model(_whole(batch)))

    def weights(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self.model.parameters() if parameter.requires_grad]

    def evaluate_averaged(self, batch: Batch) -> Tensor:
        """The outputs with averaged parameters and unaveraged buffers, such as a batch norm's running averages.

        Means and variances of the activations under averaged weights would need another pass over the training data.
        """
        assert self.average is not None
        weights = self.weights()
        with _replaced(weights, self.average.mean(weights)):
            return self.evaluate(batch)

    def finite(self) -> list[bool]:
        return [all(bool(parameter.isfinite().all()) for parameter in self.model.parameters())]

    def keep(self, seeds: list[int]) -> None:
        self.seeds = list(seeds)


class OfflineModule(WholeModule):
    """The Lightning module of a network that learns by gradients."""

    def __init__(self, experiment: Experiment, seeds: list[int]) -> None:
        super().__init__(experiment, seeds)
        assert isinstance(experiment.rule, GradientRule)
        self._rule = experiment.rule
        training = experiment.config.training
        kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.SGD
        model = experiment.config.network
        assert isinstance(model, OfflineModel)
        self._groups = model.rate_groups(self.model)
        groups = [{"params": group.parameters, "lr": training.rate * group.factor} for group in self._groups]
        self._optimizer = kind(groups, weight_decay=training.weight_decay)
        self.start_average()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._optimizer

    def on_train_epoch_start(self) -> None:
        # Dropout and its like draw from a generator that is a function of the seed and of where training stands.
        torch.manual_seed(seed_of("model", self.seeds[0], self.batches))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        rate = self.positions[self.seeds[0]].rate
        for chosen, group in zip(self._groups, self._optimizer.param_groups, strict=True):
            group["lr"] = rate * chosen.factor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self._losses(batch)
        self.mark_unless_finite(losses.detach(), self.batches)
        self.note_running(running_loss=losses)
        return losses[0]

    def learn(self, batch: Batch) -> None:
        self._optimizer.zero_grad()
        torch.autograd.backward(self._losses(batch).mean())
        self._optimizer.step()

    def _losses(self, batch: Batch) -> Tensor:
        """The loss of the one network, (1,), from the outputs that the rule learns from."""
        outputs = self._rule.outputs(self.model, _whole(batch))
        return self.experiment.task.losses(_as_ensemble(outputs), batch).mean(1)

    def member(self, seed: int) -> dict[str, Any]:
        average = {} if self.average is None else {"average": self.average.plain(torch.clone)}
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict(), **average}

    def unlike(self, member: dict[str, Any]) -> str | None:
        return super().unlike(member) or self._unlike_moments(member["optimizer"]["state"])

    def _unlike_moments(self, state: dict[Any, Any]) -> str | None:
        """The first difference in form in the optimizer's moments, which exist after its first step; or None."""
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        adam = isinstance(self._optimizer, torch.optim.Adam)
        like = {
            index: {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            for index, parameter in enumerate(parameters)
            if adam and index in state
        }
        return unlike(state, like, "member.optimizer.state") if adam and state else None

    def restore(self, members: Mapping[int, dict[str, Any]]) -> None:
        member = members[self.seeds[0]]
        self.model.load_state_dict(member["model"])
        self._optimizer.load_state_dict(member["optimizer"])
        if self.average is not None:
            self.average.restore([member["average"]], lambda same: same[0])


def _whole(batch: Batch) -> Tensor:
    """The inputs of the batch's whole samples, (B, T, C_in)."""
    return batch.inputs[0].expand(-1, batch.steps, -1)


def _as_ensemble(outputs: Tensor) -> Tensor:
    """A module's outputs (B, C) or (B, T, C), as those of an ensemble of one network: (1, B, T|1, C)."""
    return outputs[None, :, None] if outputs.dim() == 2 else outputs[None]


@contextmanager
def _replaced(weights: Sequence[Tensor], others: Sequence[Tensor]) -> Iterator[None]:
    """A context in which the weights have the values of `others`; afterwards they have exactly their own again."""
    before = [tensor.clone() for tensor in weights]
    try:
        _copy(others, weights)
        yield
    finally:
        _copy(before, weights)


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


@contextmanager
def _own_statistics(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Lets batch norms take each batch's own mean and variance, and keeps their running averages as they are."""
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, was in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = was
