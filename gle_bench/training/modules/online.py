"""Online learning: one `training_step` gives a batch with all its time steps to the engine."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gle_bench.contracts import Batch, OnlineModel, OnlineRule
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import begin, start
from gle_bench.dynamics.ensemble import (
    Carry,
    cloned,
    ensemble_size,
    fit_batch,
    from_plain,
    join,
    join_flat,
    learned,
    pack,
    pack_gradients,
    per_parameter,
    select,
    select_flat,
    to_plain,
    unpack,
)
from gle_bench.dynamics.optimizers import Optimizer, clone
from gle_bench.dynamics.seams import Moment, Seams
from gle_bench.dynamics.state import Parameters, State, constrain, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.models.macs import Macs
from gle_bench.training.checkpoints import unlike
from gle_bench.training.experiment import Experiment, tau_noises
from gle_bench.training.lightning import move_data_to_device
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
        self._idle = task.idle(config.options)
        self.optimizer = Optimizer(config.training.optimizer)
        self.carry = join(self.net, [self._first(model.initialise(self.net, seed), seed) for seed in seeds])
        self._evaluation_state, self._averaged_state, self._evaluated = self.carry.state, self.carry.state, 0
        self.start_average()

    def _first(self, parameters: Parameters, seed: int) -> Carry:
        converted = tuple(
            type(block)(*(None if x is None else x.to(self.experiment.dtype) for x in block)) for block in parameters
        )
        for noise, _ in tau_noises(self.experiment.config):
            converted = noise.perturbed(self.net, converted, seed)
        return start(self.net, converted, self.optimizer, self.experiment.config.training.batch_size)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.carry = move_data_to_device(self.carry, self.device)

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
        window, length = self.window(batch), self.rule.window_in(batch.steps)
        idle = min(max(self._idle - self.batches * batch.steps, 0), batch.steps)
        begun = min(-(-idle // length) * length, batch.steps)  # learning may start within one of the rule's windows

        def run(first: int, end: int) -> None:
            before, part = self.carry, window.part(first, end)
            seams = self.seams.at(first)
            if idle < end <= begun:
                carry, out = self._learn_shorter(before, part, rates, seams)
            else:
                carry, out = self.engine.learn(self.net, self.rule, self.optimizer, before, part, rates, decay, seams)
            if end <= idle:  # the network ran, and has not learned
                carry = carry._replace(parameters=before.parameters, optimizer=before.optimizer)
            self.carry = carry
            outputs.append(out)

        def learn() -> float:
            for first, end in ((0, idle), (idle, begun), (begun, batch.steps)):
                if first < end:
                    run(first, end)
            return 0.0

        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.step(learn)
        self._note(outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2), batch)

    def _note(self, outputs: Tensor, batch: Batch) -> None:
        """Notes the scores of outputs made while weights followed the target; they do not tell what was learned."""
        task = self.experiment.task
        losses = task.losses(outputs, batch).mean(1)
        self.mark_unless_finite(losses, self.batches + 1)
        measured = {
            f"online_{name}": values.mean(1)
            for name, values in task.measure(task.decide(outputs, batch), batch).items()
        }
        self.note_running(online_loss=losses, **measured)

    def _learn_shorter(self, before: Carry, part: Window, rates: Tensor, seams: Seams) -> tuple[Carry, Tensor]:
        """Learns from a part of one of the rule's windows, which weighs less in moments than a whole window does."""
        net, parameters = self.net, cloned(before.parameters)
        made = self.engine.gradients(net, self.rule, parameters, before.state, part, memory=before.memory, seams=seams)
        flat, moments = pack(net, parameters), clone(before.optimizer)
        gradient = pack_gradients(learned(net, parameters), made.accumulated)
        mean = gradient / self.rule.window_in(self.experiment.shape.steps)
        moments = self.optimizer.update(flat, mean, moments, per_parameter(net, parameters, rates.to(flat)))
        parameters = unpack(net, flat, parameters)
        constrain(net, parameters)
        return Carry(parameters, moments, made.state, made.memory), made.outputs

    def window(self, batch: Batch) -> Window:
        """The window of a whole batch, as engines take it."""
        targets = self.experiment.task.targets(batch, self.net.outputs)
        return Window(batch.steps, batch.inputs, targets, batch.mask)

    @property
    def seams(self) -> Seams:
        """The observers and disturbances of the next batch to learn from."""
        return replace(self.experiment.seams, seeds=tuple(self.seeds), moment=Moment(self.batches))

    def _reset(self) -> None:
        parameters, memory, size = self.carry.parameters, self.carry.memory, self.carry.state[0].u.shape[2]
        memory = memory and self.rule.restart(self.net, parameters, memory, size, tuple(self.seeds))
        self.carry = self.carry._replace(state=zero_state(self.net, parameters, size), memory=memory)

    def begin_evaluation(self) -> None:
        self._evaluated = 0
        fresh = self.experiment.clean or self.experiment.task.reset != "never"
        size = self.carry.state[0].u.shape[2]
        self._evaluation_state = zero_state(self.net, self.carry.parameters, size) if fresh else self.carry.state
        self._averaged_state = self._evaluation_state

    @property
    def _persists(self) -> bool:
        """Whether the state runs on from training into evaluation and back."""
        return not self.experiment.clean and self.experiment.task.reset == "never"

    def evaluate(self, batch: Batch) -> Tensor:
        """Outputs (S, B, T, C) with frozen weights.

        `clean` starts each batch (a stream: each evaluation) from a zero state, and keeps that of training; `paper`
        lets the state run on from training into evaluation and back, as the paper did.
        """
        seams = self.seams.in_evaluation(self._evaluated)
        state, outputs = self._infer(self.carry.parameters, self._evaluation_state, batch, seams)
        self._evaluated += 1
        self._evaluation_state = state
        if self._persists:
            # The next batch to train is of this size, so the rest of the tiled state is never looked at again.
            size = self.experiment.config.training.batch_size
            parameters, _, before, memory = self.carry
            memory = memory and begin(self.rule, self.net, parameters, before, memory, size, tuple(self.seeds))
            self.carry = self.carry._replace(state=fit_batch(state, size), memory=memory)
        return outputs

    def evaluate_averaged(self, batch: Batch) -> Tensor:
        """Outputs with averaged weights, from the same state as in `evaluate`: zero, or that of training.

        From there on the state is its own, and does not enter training. The noise is the same; observers, which
        watch the network that learns, do not see it.
        """
        assert self.average is not None
        (mean,) = self.average.mean(self.weights())
        averaged = unpack(self.net, mean, self.carry.parameters)
        seams = replace(self.seams.in_evaluation(self._evaluated), observers=())
        self._averaged_state, outputs = self._infer(averaged, self._averaged_state, batch, seams)
        return outputs

    def _infer(self, parameters: Parameters, state: State, batch: Batch, seams: Seams) -> tuple[State, Tensor]:
        if not self._persists and not self.experiment.task.stream:
            state = zero_state(self.net, parameters, 1)
        window = Window(batch.steps, batch.inputs, None, None)
        return self.engine.infer(
            self.net, parameters, state, window, errors=self._persists, feedback=self.feedback, seams=seams
        )

    def weights(self) -> list[Tensor]:
        return [pack(self.net, self.carry.parameters)]

    def named(self) -> Mapping[str, Tensor]:
        model = self.experiment.config.network
        assert isinstance(model, OnlineModel)
        return model.named(self.net, self.carry.parameters)

    def member(self, seed: int) -> dict[str, Any]:
        index = [self.seeds.index(seed)]
        plain = to_plain(move_data_to_device(select(self.net, self.carry, index), torch.device("cpu")))
        if self.average is None:
            return plain
        like = self.carry.parameters
        return {**plain, "average": self.average.plain(lambda flat: select_flat(self.net, flat, like, index))}

    def unlike(self, member: dict[str, Any]) -> str | None:
        batches = {"state": 2}  # the last batch of an epoch may be smaller
        return unlike(member, self.member(self.seeds[0]), "member", batches)

    def restore(self, members: Mapping[int, dict[str, Any]]) -> None:
        carries = [from_plain(members[seed]) for seed in self.seeds]
        self.carry = join(self.net, carries)
        if self.average is not None:
            likes = [carry.parameters for carry in carries]
            averages = [members[seed]["average"] for seed in self.seeds]
            self.average.restore(averages, lambda flats: join_flat(self.net, flats, likes))

    def finite(self) -> list[bool]:
        tensors = [
            x for blocks in (self.carry.parameters, self.carry.state) for b in blocks for x in b if x is not None
        ]
        whole = [tensor.isfinite().transpose(0, 1).flatten(1).all(1) for tensor in tensors]
        whole += [tensor.isfinite().reshape(len(tensor), -1).all(1) for tensor in self.carry.memory]
        return [bool(fine) for fine in torch.stack(whole).all(0)]

    def keep(self, seeds: list[int]) -> None:
        members, like = [self.seeds.index(seed) for seed in seeds], self.carry.parameters
        if self.average is not None:
            self.average.change(lambda flat: select_flat(self.net, flat, like, members))
        self.carry = select(self.net, self.carry, members)
        self.seeds = list(seeds)
