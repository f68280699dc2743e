"""The `torch` engine, which runs networks step by step in pure PyTorch, on any device and in any precision."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import neurons
from gle_bench.dynamics.engines.chunks import matmul_precision
from gle_bench.dynamics.engines.interface import EngineRequest, Feedback, begin, denormals_flushed, prepare_state
from gle_bench.dynamics.engines.sums import Gradients, WindowSums
from gle_bench.dynamics.ensemble import (
    Carry,
    cloned,
    ensemble_size,
    learned,
    pack,
    pack_gradients,
    per_parameter,
    unpack,
)
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer, clone
from gle_bench.dynamics.ordered_step import advance
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import Parameters, State, constrain, silent
from gle_bench.dynamics.step import Instant
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError


class TorchEngine:
    """The engine in pure PyTorch, which runs every kind of layer and rule on every device in every precision."""

    name = "torch"
    threads_matter = True

    def condition(self) -> tuple[bool, str]:
        """Always in order, after a test that computes one step of a single neuron."""
        zero, tau = torch.zeros(1, 1, 1), torch.ones(1, 1)
        neurons.membrane_step(zero, zero, tau, tau, 0.1)
        return True, "pure PyTorch: any layer, any device, any precision"

    def refusal(self, request: EngineRequest) -> str | None:
        """Always None, because this engine runs every request."""
        return None

    def learn(
        self,
        network: Network,
        rule: OnlineRule,
        optimizer: Optimizer,
        carry: Carry,
        batch: Window,
        rates: Tensor,
        decay: float = 1.0,
        seams: Seams = NO_SEAMS,
    ) -> tuple[Carry, Tensor]:
        """Learns from a batch with one update per window. If its length does not divide T, the last one is shorter."""
        _refuse(rule, seams)
        size, count = batch.inputs.shape[1], ensemble_size(carry.parameters)
        state = prepare_state(network, carry.state, size)
        with torch.no_grad(), denormals_flushed(), matmul_precision(tf32=False):
            names = learned(network, carry.parameters)
            flat, moments = pack(network, carry.parameters), clone(carry.optimizer)
            parameters = unpack(network, flat, carry.parameters)
            rate = per_parameter(network, carry.parameters, rates.to(flat))
            memory = begin(rule, network, parameters, carry.state, carry.memory, size, seams.seeds)
            outputs = flat.new_empty(batch.steps, count, size, network.outputs)
            for begin_step, window in _windows(network, rule, batch, count):
                end = begin_step + window.steps
                result = rule.learn(network, parameters, state, memory, window, seams.at(begin_step))
                state, memory = result.state, result.memory
                outputs[begin_step:end] = result.outputs.permute(2, 0, 1, 3)
                before = cloned(parameters) if rule.follows else parameters
                moments = optimizer.update(flat, pack_gradients(names, result.gradients), moments, rate)
                if rule.follows:
                    now = rates.to(flat) * decay ** (begin_step // rule.window_in(batch.steps))
                    memory = rule.follow(network, before, parameters, memory, now)
                constrain(network, parameters)
                if decay != 1:
                    rate *= decay
        return Carry(parameters, moments, state, memory), outputs.permute(1, 2, 0, 3)

    def gradients(
        self,
        network: Network,
        rule: OnlineRule,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        memory: tuple[Tensor, ...] = (),
        every: int | None = None,
        seams: Seams = NO_SEAMS,
    ) -> Gradients:
        """The gradients of a rule on a batch with frozen weights, computed window by window."""
        _refuse(rule, seams)
        size, count = batch.inputs.shape[1], ensemble_size(parameters)
        sums = WindowSums(batch.steps if every is None else every, rule.window_in(batch.steps))
        outputs = []
        with torch.no_grad(), denormals_flushed(), matmul_precision(tf32=False):
            memory = begin(rule, network, parameters, state, memory, size, seams.seeds)
            state = prepare_state(network, state, size)
            for first, window in _windows(network, rule, batch, count):
                result = rule.learn(network, parameters, state, memory, window, seams.at(first))
                state, memory = result.state, result.memory
                outputs.append(result.outputs)
                sums.add(first, window.steps, result)
        return Gradients(sums.total(), () if every is None else sums.means(), state, memory, torch.cat(outputs, 2))

    def infer(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        errors: bool = True,
        feedback: Feedback | None = None,
        seams: Seams = NO_SEAMS,
    ) -> tuple[State, Tensor]:
        """Runs the network step by step with frozen weights and no target; returns the new state and the outputs."""
        size, count = batch.inputs.shape[1], ensemble_size(parameters)
        state = prepare_state(network, state, size)
        errors = errors or any(layer.gamma for layer in network.layers)
        with torch.no_grad(), denormals_flushed(), matmul_precision(tf32=False):
            outputs = state[-1].u.new_empty(batch.steps, count, size, network.outputs)
            world = _World(batch, feedback, outputs)
            for t in range(batch.steps):
                # All errors are exactly zero in a state at rest, and where errors are instantaneous after one step for
                # each layer, unless a disturbance makes some.
                if errors and t in (0, len(network.layers) + 1) and not seams.disturbances:
                    errors = not silent(state)
                following, now = partial(world.following, t), seams.at(t)
                result = advance(
                    network, parameters, state, world.at(t), following, plastic=False, errors=errors, seams=now
                )
                state, outputs[t] = result.state, result.signals.output
        return state, outputs.permute(1, 2, 0, 3)


def _refuse(rule: OnlineRule, seams: Seams) -> None:
    if reason := rule.seams_refusal(seams):
        raise UsageError(f"Rule '{rule.name}' cannot learn so: {reason}.")


def _windows(network: Network, rule: OnlineRule, batch: Window, members: int) -> Iterator[tuple[int, Window]]:
    """The windows of a batch that a rule learns from, in order, each with the step at which it begins."""
    length = rule.window_in(batch.steps)
    for first in range(0, batch.steps, length):
        end = min(first + length, batch.steps)
        window = batch.part(first, end)
        yield first, window._replace(following=batch.at(end, members)) if network.ordered else window


class _World(NamedTuple):
    """The inputs of a network without a target, step by step: those of a batch, or in closed loop its own outputs."""

    batch: Window
    feedback: Feedback | None
    outputs: Tensor  # (T, S, B, C), those of the steps so far

    def at(self, t: int) -> Instant:
        """The input of step t, when the outputs of all earlier steps have been computed."""
        if self.feedback is None:
            return Instant(self.batch.at(t, self.outputs.shape[1]).inputs, None, None)
        return Instant(self.feedback(t, self.batch.inputs, self.outputs[:t].permute(1, 2, 0, 3)), None, None)

    def following(self, t: int, output: Tensor) -> Instant:
        """The input of step t + 1, given the output of step t. After the last step a closed loop repeats its input."""
        if self.feedback is not None and t + 1 == self.batch.steps:
            return self.at(t)
        self.outputs[t] = output
        return self.at(t + 1)
