"""Online learning: one `training_step` gives a batch with all its time steps to the engine."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gle_bench.contracts import Batch, OnlineModel, OnlineRule
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.ensemble import (
    Carry,
    ensemble_size,
    fit_batch,
    from_plain,
    join,
    pack,
    select,
    to_plain,
)
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import Moment, Seams
from gle_bench.dynamics.state import Parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.models.macs import Macs
from gle_bench.training.checkpoints import unlike
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.base import BenchModule


class EngineOptimizer(torch.optim.Optimizer):
    """An optimizer without parameters: the engine learns inside its `step`, so that Lightning counts steps."""

    def __init__(self) -> None:
        super().__init__([torch.zeros(1)], {})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Runs the closure, in which the engine learns."""
        return None if closure is None else closure()


class OnlineModule(BenchModule):
    """The Lightning module of an ensemble of networks that learn while their samples stream in."""

    def __init__(self, experiment: Experiment, seeds: list[int]) -> None:
        super().__init__(experiment, seeds)
        self.automatic_optimization = False
        config, task = experiment.config, experiment.task
        model = config.network
        assert isinstance(model, OnlineModel)
        assert isinstance(experiment.rule, OnlineRule)
        self.rule = experiment.rule
        assert experiment.network is not None
        self.net = experiment.network
        self.engine = choice.make(experiment.engine.engine)
        self.feedback = task.feedback(config.options)
        self.optimizer = Optimizer(config.training.optimizer)
        self.carry = join(self.net, [self._first(model.initialise(self.net, seed)) for seed in seeds])
        self._evaluation_state, self._evaluated = self.carry.state, 0

    def _first(self, parameters: Parameters) -> Carry:
        converted = tuple(
            type(block)(*(None if x is None else x.to(self.experiment.dtype) for x in block)) for block in parameters
        )
        return start(self.net, converted, self.optimizer, self.experiment.config.training.batch_size)

    def on_fit_start(self) -> None:
        self.carry = _to(self.carry, self.device)

    on_validation_start = on_test_start = on_fit_start

    @property
    def parameter_count(self) -> int:
        return pack(self.net, self.carry.parameters).numel() // ensemble_size(self.carry.parameters)

    @property
    def macs(self) -> Macs:
        return Macs(self.experiment.shape.steps * self.net.macs)

    @property
    def updates_per_batch(self) -> int:
        steps = self.experiment.shape.steps
        return -(-steps // self.rule.window_in(steps))

    def configure_optimizers(self) -> EngineOptimizer:
        return EngineOptimizer()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        reset, at_start = self.experiment.task.reset, self.batches % self.experiment.batches_per_epoch == 0
        if reset == "batch" or (reset == "epoch" and at_start):
            self._reset()
        rates = torch.tensor([self.positions[seed].rate for seed in self.seeds], dtype=torch.float64)
        decay = self.positions[self.seeds[0]].schedule.decay(self.updates_per_batch)
        outputs: list[Tensor] = []

        def learn() -> float:
            carry, out = self.engine.learn(
                self.net, self.rule, self.optimizer, self.carry, self.window(batch), rates, decay, self.seams
            )
            self.carry = carry
            outputs.append(out)
            return 0.0

        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step(learn)
        self._note(outputs[0], batch)

    def _note(self, outputs: Tensor, batch: Batch) -> None:
        """Notes what the network scored while its weights followed the target, which is not what it learned."""
        task = self.experiment.task
        losses = task.losses(outputs, batch).mean(1)
        self.mark_unless_finite(losses, self.batches + 1)
        measured = {
            f"online_{name}": values.mean(1)
            for name, values in task.measure(task.decide(outputs, batch), batch).items()
        }
        self.note_running(online_loss=losses, **measured)

    def window(self, batch: Batch) -> Window:
        """The window of a whole batch, as engines take it."""
        targets = self.experiment.task.targets(batch, self.net.outputs)
        return Window(batch.steps, batch.inputs, targets, batch.mask)

    @property
    def seams(self) -> Seams:
        """The observers and disturbances of the next batch to learn from."""
        return replace(self.experiment.seams, seeds=tuple(self.seeds), moment=Moment(self.batches))

    def _reset(self) -> None:
        size = self.carry.state[0].u.shape[2]
        self.carry = self.carry._replace(state=zero_state(self.net, self.carry.parameters, size), memory=())

    def begin_evaluation(self) -> None:
        self._evaluated = 0
        fresh = self.experiment.clean or self.experiment.task.reset != "never"
        size = self.carry.state[0].u.shape[2]
        self._evaluation_state = zero_state(self.net, self.carry.parameters, size) if fresh else self.carry.state

    def evaluate(self, batch: Batch) -> Tensor:
        """Protocol `clean` starts each batch (each evaluation, for an unbroken stream) from a zero state and leaves the
        training state alone; `paper` lets the state run on from training into evaluation and back, as the paper did."""
        task, persists = self.experiment.task, not self.experiment.clean and self.experiment.task.reset == "never"
        state = self._evaluation_state
        if not persists and not task.stream:
            state = zero_state(self.net, self.carry.parameters, 1)
        state, outputs = self.engine.infer(
            self.net,
            self.carry.parameters,
            state,
            Window(batch.steps, batch.inputs, None, None),
            errors=persists,
            feedback=self.feedback,
            seams=self.seams.in_evaluation(self._evaluated),
        )
        self._evaluated += 1
        self._evaluation_state = state
        if persists:
            # The next batch to train is of this size, so the rest of the tiled state is never looked at again. A memory
            # that a smaller last batch left is of another size, so the rule starts anew.
            size = self.experiment.config.training.batch_size
            memory = self.carry.memory if self.carry.state[0].u.shape[2] == size else ()
            self.carry = self.carry._replace(state=fit_batch(state, size), memory=memory)
        return outputs

    def member(self, seed: int) -> dict[str, Any]:
        return to_plain(_to(select(self.net, self.carry, [self.seeds.index(seed)]), torch.device("cpu")))

    def unlike(self, member: dict[str, Any]) -> str | None:
        batches = {"state": 2}  # the last batch of an epoch may be smaller
        return unlike(member, self.member(self.seeds[0]), "member", batches)

    def restore(self, members: Mapping[int, dict[str, Any]]) -> None:
        self.carry = join(self.net, [from_plain(members[seed]) for seed in self.seeds])

    def finite(self) -> list[bool]:
        tensors = [
            x for blocks in (self.carry.parameters, self.carry.state) for b in blocks for x in b if x is not None
        ]
        whole = [tensor.isfinite().transpose(0, 1).flatten(1).all(1) for tensor in tensors]
        whole += [tensor.isfinite().reshape(len(tensor), -1).all(1) for tensor in self.carry.memory]
        return [bool(fine) for fine in torch.stack(whole).all(0)]

    def keep(self, seeds: list[int]) -> None:
        self.carry = select(self.net, self.carry, [self.seeds.index(seed) for seed in seeds])
        self.seeds = list(seeds)


def _to(carry: Carry, device: torch.device) -> Carry:
    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        if isinstance(value, tuple):
            parts = [moved(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value

    result: Carry = moved(carry)
    return result
