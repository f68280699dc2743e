"""The errors of the adjoint method, computed backward in time from a tape: exactly, or as in the paper's Algorithm 2.

Errors have the names and the sign that they have in GLE. E is the feedback that reaches a layer from above: W^T lambda,
or at the output the nudging. i = phi' o E takes the place of the instantaneous error, and lambda that of the error e.
With these two, the gradients are those of Eqs. 21-24 (docs/facts/rules.md, section 5.0).

The paper discretises the continuous adjoint, without delays between layers: its errors differ from the exact ones by
O(dt). Signs are those of the released code; its terminal condition of hidden layers is replaced by the one that follows
from the variation (sections 5.6 and 6.1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics.local import local_gradients
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.seams import NO_SEAMS, Seams, Signal
from gle_bench.dynamics.state import BlockParameters, Parameters, present
from gle_bench.dynamics.tape import BlockTape, Tape


class BlockErrors(NamedTuple):
    """The errors of a block of layers in T steps, each (K, S, T, B, N)."""

    error: Tensor  # lambda
    instantaneous: Tensor  # i


Errors = tuple[BlockErrors | None, ...]  # None for relays, and where nothing learns from errors


def exact_refusal(network: Network) -> str | None:
    """The reason why the discrete adjoint is not exact for this network, as a clause with the cure; None: it is."""
    if network.prospective != "potential":
        return (
            f"prospective = '{network.prospective}' lets rates look ahead, and the exact gradient is derived for "
            "rates phi(D^+{u}); choose rule 'instantaneous' or 'gle'"
        )
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
        seams: the observers and disturbances of errors, as of the first step.
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
                network, block, parameters[index], slope, aboves[index], owed[index], seams.at(t)
            )
            made.error[:, :, t], made.instantaneous[:, :, t] = error, instant
            feedback = _feedback(block, parameters[index], error)
            aboves[index], from_above = torch.stack([*feedback[1:], from_above]), feedback[0]
    return errors


def _block_errors(
    network: Network,
    block: Block,
    parameters: BlockParameters,
    slope: Tensor,
    above: Tensor,
    owed: Tensor,
    seams: Seams,
) -> tuple[Tensor, Tensor, Tensor]:
    """The errors lambda and i of a step after disturbances, and -dC/du before the step, all (K, S, B, N).

    The sum of i and the -dC/du of the next step is divided into lambda and the -dC/du of the step before.
    """
    tau_m, tau_r, first = present(parameters.tau_m), present(parameters.tau_r), block.first + 1
    instant = slope * (seams.pass_block("feedback", first, above) if seams else above)
    if seams:
        instant = seams.pass_block("instantaneous", first, instant)
    error = (network.dt * owed + tau_r * instant) / tau_m
    owed = owed + instant - error
    return (seams.pass_block("error", first, error) if seams else error), instant, owed


def _feedback(block: Block, parameters: BlockParameters, error: Tensor) -> Tensor:
    """The feedback W^T lambda of a step, (K, S, B, N_in); zeros where it is not needed."""
    if not block.feeds_back:
        return error.new_zeros(*error.shape[:-1], block.like.inputs)
    fed = block.connection.feedback(present(parameters.weight).flatten(0, 1), error.flatten(0, 1))
    return fed.reshape(*error.shape[:-1], block.like.inputs)


def _blank_errors(network: Network, tape: Tape) -> Errors:
    return tuple(
        BlockErrors(torch.empty_like(own.slopes), torch.empty_like(own.slopes))
        if block.has_errors and block.relay is None
        else None
        for block, own in zip(network.blocks, tape.blocks, strict=True)
    )


def paper_errors(network: Network, parameters: Parameters, tape: Tape, seams: Seams = NO_SEAMS) -> Errors:
    """The errors of Algorithm 2, layer by layer from the output, each backward in time from the last step.

    Args:
        seams: the observers and disturbances of errors, as of the first step.
    """
    errors, above = list[BlockErrors | None](), tape.nudging
    for block, p, own in reversed(list(zip(network.blocks, parameters, tape.blocks, strict=True))):
        if not block.has_errors:
            errors.append(None)
        elif block.relay is not None:
            errors.append(None)
            flat = own.rates[0].flatten(1, 2)  # the steps side by side, as a larger batch
            below = block.relay.back(above.flatten(1, 2), block.relay.forth(flat)[1])
            above = below.reshape(*above.shape[:3], -1)
        else:
            made, above = _block_history(network, block, p, own, above, seams)
            errors.append(made)
    return tuple(reversed(errors))


def _block_history(
    network: Network, block: Block, parameters: BlockParameters, tape: BlockTape, above: Tensor, seams: Seams
) -> tuple[BlockErrors, Tensor]:
    """The errors of a block, and W^T lambda of its lowest layer, (S, T, B, N_in)."""
    weight, tau_m, tau_r = (present(p) for p in (parameters.weight, parameters.tau_m, parameters.tau_r))
    errors, instants = [], []
    for k in reversed(range(len(block.layers))):
        number = block.first + k + 1
        above = _pass(seams, "feedback", number, above)
        instant = _pass(seams, "instantaneous", number, tape.slopes[k] * above)
        error = _pass(seams, "error", number, _backward(instant, tau_m[k], tau_r[k], network.dt))
        errors.append(error)
        instants.append(instant)
        if block.feeds_back:
            above = block.connection.feedback(weight[k], error.flatten(1, 2)).reshape(*error.shape[:3], -1)
    return BlockErrors(torch.stack(errors[::-1]), torch.stack(instants[::-1])), above


def _backward(instant: Tensor, tau_m: Tensor, tau_r: Tensor, dt: float) -> Tensor:
    """The errors lambda of all steps from the instantaneous errors i of all steps, (S, T, B, N), backward in time.

    lambda(t - dt) = exp(-dt/tau_m) lambda(t) + (dt i(t) - tau_r (i(t) - i(t - dt))) / tau_m. At the last step
    lambda = tau_r/tau_m i, which is the natural boundary condition of the variation in every layer.
    """
    decay, errors = torch.exp(-dt / tau_m), torch.empty_like(instant)
    errors[:, -1] = error = tau_r / tau_m * instant[:, -1]
    for t in reversed(range(1, instant.shape[1])):
        now, before = instant[:, t], instant[:, t - 1]
        errors[:, t - 1] = error = decay * error + (dt * now - tau_r * (now - before)) / tau_m
    return errors


def _pass(seams: Seams, signal: Signal, layer: int, tensor: Tensor) -> Tensor:
    """A layer's signal in all steps, (S, T, B, N), after the disturbances."""
    if not seams:
        return tensor
    return torch.stack([seams.at(t).pass_layer(signal, layer, own) for t, own in enumerate(tensor.unbind(1))], 1)


def mean_gradients(
    network: Network, parameters: Parameters, tape: Tape, errors: Errors, start: int = 0, stop: int | None = None
) -> Parameters:
    """The gradients of Eqs. 21-24 with lambda for e and i for e_inst: means over the batch and steps start to stop."""

    def flat(tensor: Tensor) -> Tensor:
        return tensor[:, :, start:stop].flatten(2, 3)  # the steps side by side, as a larger batch

    gradients = []
    for block, p, own, made in zip(network.blocks, parameters, tape.blocks, errors, strict=True):
        if made is None:
            gradients.append(BlockParameters(None, None, None, None))
            continue
        u_dot, bias = None if own.u_dots is None else flat(own.u_dots), p.bias is not None
        error, instant = flat(made.error), flat(made.instantaneous)
        gradients.append(local_gradients(network, block, error, instant, flat(own.rates), u_dot, bias))
    return tuple(gradients)


def one_step(network: Network, tape: Tape, errors: Errors, recorded: Tensor, staggered: bool) -> tuple[Tape, Errors]:
    """A tape of one step and its errors, taken from a longer tape: step 0, or if `staggered` step l of layer l.

    Layers are counted from 0. The errors of steps that have not been recorded are set to zero.
    """

    def chosen(block: Block, tensor: Tensor, weigh: bool = False) -> Tensor:
        layers = []
        for k, own in enumerate(tensor):
            t = block.first + k if staggered else 0
            layers.append(own[:, t] * recorded[:, t, None, None] if weigh else own[:, t])
        return torch.stack(layers)[:, :, None]

    tapes, teaching = [], list[BlockErrors | None]()
    for block, own, made in zip(network.blocks, tape.blocks, errors, strict=True):
        u_dots = None if own.u_dots is None else chosen(block, own.u_dots)
        tapes.append(BlockTape(chosen(block, own.rates), chosen(block, own.slopes), u_dots))
        teaching.append(None if made is None else BlockErrors(*(chosen(block, x, weigh=True) for x in made)))
    return Tape(tuple(tapes), tape.nudging[:, :1]), tuple(teaching)
