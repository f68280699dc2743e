"""A tape: what the steps of a window leave behind, from which exact gradients are made backward in time.

Errors are named as in GLE, and have its sign. E is what reaches a layer from above: W^T lambda, or at the output the
nudging; i = phi' o E takes the place of the instantaneous error, and lambda that of the error e. With these two, the
gradients of weights, biases and time constants are those of Eqs. 21-24 (docs/facts/rules.md, section 5.0).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State, present
from gle_bench.dynamics.step import local_gradients, output_feedback, step
from gle_bench.dynamics.window import Window


class BlockTape(NamedTuple):
    """What T steps leave behind of a block, each as it was before its step."""

    rates: Tensor  # (K, S, T, B, N_in)  of the layers below
    slopes: Tensor  # (K, S, T, B, N)  phi'
    u_dots: Tensor | None  # (K, S, T, B, N)  None where no time constant learns


class Tape(NamedTuple):
    """What T steps leave behind."""

    blocks: tuple[BlockTape, ...]
    nudging: Tensor  # (S, T, B, C)  E of the output

    @property
    def steps(self) -> int:
        return self.nudging.shape[1]


class BlockErrors(NamedTuple):
    """The errors of a block in T steps, each (K, S, T, B, N)."""

    error: Tensor  # lambda
    instantaneous: Tensor  # i


Errors = tuple[BlockErrors | None, ...]  # None for relays, and where nothing learns from errors


class Recorded(NamedTuple):
    """A window that was run and recorded."""

    tape: Tape
    state: State  # after the window
    outputs: Tensor  # (S, B, T, C)


def exact_refusal(network: Network) -> str | None:
    """Why the exact gradient of this network is not that of the recursions here, as a clause with the cure."""
    if network.ordered:
        return (
            f"integrator = '{network.integrator}' traverses the layers in order, and the exact gradient is derived for "
            "the step in which all switch together; choose integrator = 'euler', or rule 'gle'"
        )
    for number, layer in enumerate(network.layers, 1):
        if layer.gamma:
            return (
                f"gamma = {layer.gamma} of layer {number} lets errors of GLE move the membrane, and the exact gradient "
                "is that of a network which they do not move; set gamma to 0"
            )
    return None


def record(network: Network, parameters: Parameters, state: State, window: Window, seams: Seams) -> Recorded:
    """Runs the network over the window, without errors, and records it."""
    members, size, outputs = state[0].u.shape[1], window.inputs.shape[1], []
    tape = _blank(network, state, window.steps, size)
    for t in range(window.steps):
        inputs, target, mask = window.at(t, members)
        now = seams.at(t)
        result = step(network, parameters, state, inputs, plastic=False, errors=False, seams=now)
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


def _blank(network: Network, state: State, steps: int, size: int) -> Tape:
    blocks = []
    for block, own in zip(network.blocks, state, strict=True):
        shape, neurons = (len(block.layers), own.u.shape[1], steps, size), own.u.shape[-1]
        taus = network.learn_tau_m or network.learn_tau_r
        rates, slopes = own.u.new_empty(*shape, block.like.inputs), own.u.new_empty(*shape, neurons)
        blocks.append(BlockTape(rates, slopes, torch.empty_like(slopes) if taus else None))
    return Tape(tuple(blocks), state[-1].u.new_empty(state[-1].u.shape[1], steps, size, network.outputs))


def exact_errors(
    network: Network,
    parameters: Parameters,
    tape: Tape,
    slopes: Sequence[Tensor],
    nudging: Tensor | None = None,
    seams: Seams = NO_SEAMS,
) -> Errors:
    """The errors of the exact discrete adjoint, backward in time from the instant after the last step.

    Args:
        slopes: phi' of each block at that instant, (K, S, B, N).
        nudging: E of the output at that instant, (S, B, C); None: the cost ends with the last step.
        seams: what watches and disturbs errors, as of the first step.
    """
    errors = _blank_errors(network, tape)
    aboves = [
        own.rates.new_zeros(len(block.layers), *own.rates.shape[1:2], own.rates.shape[3], block.like.neurons)
        for block, own in zip(network.blocks, tape.blocks, strict=True)
    ]
    owed = [torch.zeros_like(above) for above in aboves]  # -dC/du
    if nudging is not None:
        aboves[-1][-1] = nudging
    for t in reversed(range(tape.steps)):
        from_above = tape.nudging[:, t]
        for index, block in reversed(list(enumerate(network.blocks))):
            own, made = tape.blocks[index], errors[index]
            if block.relay is not None and block.has_errors:
                route = block.relay.forth(own.rates[0, :, t])[1]
                down = block.relay.back(aboves[index][0], route)
                aboves[index], from_above = from_above[None], down
            if made is None:  # a relay, or nothing below listens
                continue
            slope = own.slopes[:, :, t + 1] if t + 1 < tape.steps else slopes[index]
            error, instant, owed[index] = _block_errors(
                network, block, parameters[index], slope * aboves[index], owed[index], seams.at(t)
            )
            made.error[:, :, t], made.instantaneous[:, :, t] = error, instant
            feedback = _feedback(block, parameters[index], error)
            aboves[index], from_above = torch.stack([*feedback[1:], from_above]), feedback[0]
    return errors


def _block_errors(
    network: Network, block: Block, parameters: BlockParameters, instant: Tensor, owed: Tensor, seams: Seams
) -> tuple[Tensor, Tensor, Tensor]:
    """lambda and i of a step, as disturbances leave them, and -dC/du before it, all (K, S, B, N).

    What a step gets, i and the -dC/du of the next one, goes into lambda or is handed on to the step before.
    """
    tau_m, tau_r, first = present(parameters.tau_m), present(parameters.tau_r), block.first + 1
    if seams:
        instant = seams.pass_block("instantaneous", first, instant)
    error = (network.dt * owed + tau_r * instant) / tau_m
    owed = owed + instant - error
    return (seams.pass_block("error", first, error) if seams else error), instant, owed


def _feedback(block: Block, parameters: BlockParameters, error: Tensor) -> Tensor:
    """W^T lambda of a step, (K, S, B, N_in); zeros where nobody looks at them."""
    if not block.feeds_back:
        return error.new_zeros(*error.shape[:-1], block.like.inputs)
    fed = block.connection.feedback(present(parameters.weight).flatten(0, 1), error.flatten(0, 1))
    return fed.view(*error.shape[:-1], block.like.inputs)


def _blank_errors(network: Network, tape: Tape) -> Errors:
    return tuple(
        BlockErrors(torch.empty_like(own.slopes), torch.empty_like(own.slopes))
        if block.has_errors and block.relay is None
        else None
        for block, own in zip(network.blocks, tape.blocks, strict=True)
    )


def mean_gradients(
    network: Network, parameters: Parameters, tape: Tape, errors: Errors, start: int = 0, stop: int | None = None
) -> Parameters:
    """The mean over the batch and steps start to stop of Eqs. 21-24, with lambda for e and i for e_inst."""

    def flat(tensor: Tensor) -> Tensor:
        return tensor[:, :, start:stop].flatten(2, 3)  # the steps side by side, as a larger batch

    gradients = []
    for block, p, own, made in zip(network.blocks, parameters, tape.blocks, errors, strict=True):
        if made is None:
            gradients.append(BlockParameters(None, None, None, None))
            continue
        u_dot, bias = None if own.u_dots is None else flat(own.u_dots), p.bias is not None
        error, instant = flat(made.error), flat(made.instantaneous)
        gradients.append(local_gradients(network, block, flat(own.rates), error, instant, u_dot, bias))
    return tuple(gradients)
