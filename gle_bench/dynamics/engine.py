"""The `torch` engine: a whole batch with all its time steps, in pure PyTorch, on any device and in any precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gle_bench.dynamics.network import Parameters, State, Step, constrain, step, zero_state
from gle_bench.dynamics.optimizers import Optimizer, clone
from gle_bench.dynamics.packing import (
    Carry,
    ensemble_size,
    fit_batch,
    learned,
    pack,
    pack_gradients,
    per_parameter,
    unpack,
)
from gle_bench.dynamics.structure import Network

# Input of step t in closed loop, (S, B, N_in), from t, the true inputs (S|1, B, T|1, N_in) and the outputs of the steps
# before t, (S, B, t, C).
Feedback = Callable[[int, Tensor, Tensor], Tensor]


class Window(NamedTuple):
    """The time steps that a rule sees at once. A time dimension of 1 stands for equal steps throughout."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, N_in)
    target: Tensor | None  # (S|1, B, T|1, C)  target rates, or one-hot classes
    mask: Tensor | None  # (S|1, B, T|1)  1 where the target counts

    def part(self, start: int, stop: int) -> "Window":
        """Steps start to stop (exclusive): views."""
        target = None if self.target is None else _cut(self.target, start, stop)
        mask = None if self.mask is None else _cut(self.mask, start, stop)
        return Window(stop - start, _cut(self.inputs, start, stop), target, mask)

    def at(self, t: int, ensemble: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Input (S, B, N_in), target (S|1, B, C) and mask (S|1, B, 1) of step t."""
        now = self.part(t, t + 1)
        target = None if now.target is None else now.target[:, :, 0]
        mask = None if now.mask is None else now.mask[:, :, 0, None]
        return now.inputs[:, :, 0].expand(ensemble, -1, -1), target, mask


def _cut(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor if tensor.shape[2] == 1 else tensor[:, :, start:stop]


class Learned(NamedTuple):
    """What a rule makes of a window."""

    state: State
    gradients: Parameters
    outputs: Tensor  # (S, B, steps, C)  r_L before each step
    memory: tuple[Tensor, ...] = ()


class Learner(Protocol):
    """How gradients come about: the part of a learning rule that the engine calls, once in `window` steps."""

    @property
    def window(self) -> int: ...

    def start(self, network: Network, parameters: Parameters, batch: int) -> tuple[Tensor, ...]:
        """The rule's memory before its first window (eligibility traces, say), each tensor (S, ...)."""
        ...

    def learn(
        self, network: Network, parameters: Parameters, state: State, memory: tuple[Tensor, ...], window: Window
    ) -> Learned:
        """Runs the network over the window; the gradients' sign is such that descending along them learns."""
        ...


def start(network: Network, parameters: Parameters, optimizer: Optimizer, batch: int) -> Carry:
    """What an ensemble carries before its first batch."""
    return Carry(parameters, optimizer.start(pack(network, parameters)), zero_state(network, parameters, batch))


def learn(
    network: Network,
    learner: Learner,
    optimizer: Optimizer,
    carry: Carry,
    batch: Window,
    rates: Tensor,
    decay: float = 1.0,
) -> tuple[Carry, Tensor]:
    """Learns from a batch, one update a window, and returns the new carry and the outputs (S, B, T, C).

    Args:
        carry: untouched; state is tiled or truncated to the batch.
        rates: learning rate of each member, (S,).
        decay: factor on the rates after each update.

    A window that does not divide T leaves a shorter one at the end.
    """
    size, count = batch.inputs.shape[1], ensemble_size(carry.parameters)
    state = prepare_state(network, carry.state, size)
    memory = carry.memory if carry.state[0].u.shape[2] == size else ()
    with torch.no_grad(), denormals_flushed():
        names = learned(network, carry.parameters)
        flat, moments = pack(network, carry.parameters), clone(carry.optimizer)
        parameters = unpack(network, flat, carry.parameters)
        rate = per_parameter(network, carry.parameters, rates.to(flat))
        memory = memory or learner.start(network, parameters, size)
        outputs = flat.new_empty(batch.steps, count, size, network.outputs)
        for begin in range(0, batch.steps, learner.window):
            end = min(begin + learner.window, batch.steps)
            result = learner.learn(network, parameters, state, memory, batch.part(begin, end))
            state, memory = result.state, result.memory
            outputs[begin:end] = result.outputs.permute(2, 0, 1, 3)
            moments = optimizer.update(flat, pack_gradients(names, result.gradients), moments, rate)
            constrain(network, parameters)
            if decay != 1:
                rate *= decay
    return Carry(parameters, moments, state, memory), outputs.permute(1, 2, 0, 3)


def infer(
    network: Network,
    parameters: Parameters,
    state: State,
    batch: Window,
    *,
    errors: bool = True,
    feedback: Feedback | None = None,
) -> tuple[State, Tensor]:
    """Runs the network with frozen weights and no target; returns the new state and the outputs (S, B, T, C).

    Args:
        errors: whether error potentials go on decaying, which matters only where the state is used afterwards.
        feedback: closes the loop: gives each step's input.
    """
    size, count = batch.inputs.shape[1], ensemble_size(parameters)
    state = prepare_state(network, state, size)
    errors = errors or any(layer.gamma for layer in network.layers)
    with torch.no_grad(), denormals_flushed():
        outputs = state[-1].u.new_empty(batch.steps, count, size, network.outputs)
        for t in range(batch.steps):
            inputs, _, _ = batch.at(t, count)
            if feedback is not None:
                inputs = feedback(t, batch.inputs, outputs[:t].permute(1, 2, 0, 3))
            result: Step = step(network, parameters, state, inputs, plastic=False, errors=errors)
            state, outputs[t] = result.state, result.signals.output
    return state, outputs.permute(1, 2, 0, 3)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Numbers too small to be normal count as zero inside: moments and fading errors reach them, and they are slow.

    PyTorch does not say what was set before, so its default is what is restored.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def prepare_state(network: Network, state: State, batch: int) -> State:
    """The state at the start of a batch: fitted to its size, with the layers that forget at zero."""
    fitted = fit_batch(state, batch)
    return tuple(
        type(old)(*(torch.zeros_like(x) for x in old)) if block.like.forgets else old
        for block, old in zip(network.blocks, fitted, strict=True)
    )
