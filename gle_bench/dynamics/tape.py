"""Tapes: recordings of a network's rates and slopes, from which gradients are computed backward in time (`adjoint`)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import Parameters, State, zero_state
from gle_bench.dynamics.step import output_feedback, step
from gle_bench.dynamics.window import Window

INSTANTANEOUS: Final = LocalOptions(sent="instantaneous")  # the errors of a run that is nudged


class BlockTape(NamedTuple):
    """The recording of a block of layers over T steps: its signals as they were before each step."""

    rates: Tensor  # (K, S, T, B, N_in)  of the layers below
    slopes: Tensor  # (K, S, T, B, N)  phi'
    u_dots: Tensor | None  # (K, S, T, B, N)  None where no time constant learns


class Tape(NamedTuple):
    """The recording of a network over T steps: a tape for each block of layers, and the nudging of the output."""

    blocks: tuple[BlockTape, ...]
    nudging: Tensor  # (S, T, B, C)  E of the output

    @property
    def steps(self) -> int:
        return self.nudging.shape[1]


class Recorded(NamedTuple):
    """The result of running a network over a window: the tape, the new state and the outputs."""

    tape: Tape
    state: State  # after the window
    outputs: Tensor  # (S, B, T, C)


def record(
    network: Network, parameters: Parameters, state: State, window: Window, seams: Seams, *, nudged: bool = False
) -> Recorded:
    """Runs the network over the window and records a tape of it.

    There are no errors in this run, unless it is `nudged`: instantaneous errors then move membranes by their gamma.
    """
    members, size, outputs = state[0].u.shape[1], window.inputs.shape[1], []
    tape = blank_tape(network, state, window.steps, size)
    for t in range(window.steps):
        inputs, target, mask = window.at(t, members)
        now = seams.at(t)
        taught = (target, mask) if nudged else (None, None)
        result = step(
            network, parameters, state, inputs, *taught, plastic=False, errors=nudged, seams=now, options=INSTANTANEOUS
        )
        if now:  # the input as disturbances left it: they are functions, and give the same again
            inputs = now.unobserved.pass_layer("rate", 0, inputs)
        outputs.append(result.signals.output)
        tape.nudging[:, t] = output_feedback(network, outputs[-1], target, mask)
        for index, (block, own) in enumerate(zip(tape.blocks, state, strict=True)):
            block.rates[0, :, t] = state[index - 1].r[-1] if index else inputs
            if len(own.r) > 1:
                block.rates[1:, :, t] = own.r[:-1]
            block.slopes[:, :, t] = own.slope
            u_dot = result.signals.u_dot[index]
            if block.u_dots is not None and u_dot is not None:
                block.u_dots[:, :, t] = u_dot
        state = result.state
    return Recorded(tape, state, torch.stack(outputs, 2))


def blank_tape(network: Network, state: State, steps: int, size: int) -> Tape:
    """A new tape of `steps` steps whose tensors are not filled yet, in the state's precision and on its device."""
    blocks = []
    for block, own in zip(network.blocks, state, strict=True):
        shape, neurons = (len(block.layers), own.u.shape[1], steps, size), own.u.shape[-1]
        taus = network.learn_tau_m or network.learn_tau_r
        rates, slopes = own.u.new_empty(*shape, block.like.inputs), own.u.new_empty(*shape, neurons)
        blocks.append(BlockTape(rates, slopes, torch.empty_like(slopes) if taus else None))
    return Tape(tuple(blocks), state[-1].u.new_empty(state[-1].u.shape[1], steps, size, network.outputs))


def first_steps(tape: Tape, steps: int) -> Tape:
    """The first steps of a tape, as views of its tensors."""
    blocks = (
        BlockTape(*(None if x is None else x[:, :, :steps] for x in block))  # type: ignore[arg-type]
        for block in tape.blocks
    )
    return Tape(tuple(blocks), tape.nudging[:, :steps])


def empty_slide(network: Network, parameters: Parameters, batch: int, steps: int) -> tuple[Tensor, ...]:
    """A sliding tape on which nothing is recorded yet, in the form of a rule's memory: zero tensors (S, ...).

    A sliding tape holds the last `steps` steps, and marks which of them have been recorded.
    """
    tape = blank_tape(network, zero_state(network, parameters, batch), steps, batch)
    parts = _parts(tape)
    return (*(torch.zeros_like(part) for part in parts), tape.nudging.new_zeros(len(tape.nudging), steps))


def slide(memory: Sequence[Tensor], step: Tape) -> tuple[Tensor, ...]:
    """The sliding tape after one more step, which is recorded at its end; the oldest step is dropped."""
    *parts, recorded = memory
    time = [2] * (len(parts) - 1) + [1]
    moved = [
        torch.cat([old.narrow(axis, 1, old.shape[axis] - 1), new], axis)
        for old, new, axis in zip(parts, _parts(step), time, strict=True)
    ]
    return (*moved, torch.cat([recorded[:, 1:], torch.ones_like(recorded[:, :1])], 1))


def tape_of(network: Network, memory: Sequence[Tensor]) -> tuple[Tape, Tensor]:
    """The sliding tape in a rule's memory as a `Tape`, and a tensor (S, T) that is 1 where a step has been recorded."""
    *parts, nudging, recorded = memory
    of_block = 3 if network.learn_tau_m or network.learn_tau_r else 2
    blocks = []
    for start in range(0, len(parts), of_block):
        rates, slopes, *u_dots = (part.transpose(0, 1) for part in parts[start : start + of_block])
        blocks.append(BlockTape(rates, slopes, u_dots[0] if u_dots else None))
    return Tape(tuple(blocks), nudging), recorded


def _parts(tape: Tape) -> list[Tensor]:
    """All tensors of a tape: those of its blocks, (S, K, T, B, N) each, and the nudging, (S, T, B, C)."""
    blocks = [x.transpose(0, 1) for block in tape.blocks for x in block if x is not None]
    return [*blocks, tape.nudging]
