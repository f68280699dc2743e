"""A GLE network at work: one step of all its layers; the shapes are those of `gle_bench.dynamics.state`."""

from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import neurons
from gle_bench.dynamics.activations import activation
from gle_bench.dynamics.connections import tau_m_gradient, tau_r_gradient
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.seams import NO_SEAMS, Pass, Seams
from gle_bench.dynamics.state import BlockParameters, BlockState, Parameters, State, present
from gle_bench.errors import UsageError


class Signals(NamedTuple):
    """What a step passes on besides state and gradients."""

    output: Tensor  # (S, B, C)  r_L of step n, before the update
    instantaneous: tuple[Tensor | None, ...]  # a block each, (K, S, B, N)
    u_dot: tuple[Tensor | None, ...]  # a block each, (K, S, B, N); None where no time constant learns


class Instant(NamedTuple):
    """What the world gives at one instant."""

    inputs: Tensor  # (S, B, N_in)
    target: Tensor | None  # (S|1, B, C)  target rates, or one-hot classes; None: nobody nudges
    mask: Tensor | None  # (S|1, B, 1)  1 where the target counts


class Step(NamedTuple):
    """What one step returns. Gradients have the parameters' shapes; descending along them learns."""

    state: State
    gradients: Parameters
    signals: Signals


def step(
    network: Network,
    parameters: Parameters,
    state: State,
    inputs: Tensor,
    target: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    plastic: bool = True,
    errors: bool = True,
    seams: Seams = NO_SEAMS,
) -> Step:
    """All layers read step n and switch together (facts/algorithms.md, section 3). Pure and differentiable.

    Args:
        parameters, state: of the S networks.
        inputs: (S, B, N_in), the input of step n.
        target: (S|1, B, C) target rates or one-hot classes; None: nobody nudges (beta = 0).
        mask: (S|1, B, 1), 1 where the target counts.
        plastic: whether gradients are wanted; without, they are all None.
        errors: False freezes v and e where they do not move the membrane, which a passing evaluation never looks at.
        seams: what watches and disturbs this step.

    Raises:
        UsageError: the network's layers are ordered.
    """
    if network.ordered:
        raise UsageError(
            f"integrator = '{network.integrator}' has no step in which all layers switch together; "
            "use ordered_step, or integrator = 'euler'."
        )
    passed = seams.pass_block if seams else None
    if passed is not None:
        inputs = seams.pass_layer("rate", 0, inputs)
    output = state[-1].r[-1]
    belows = [inputs, *(block.r[-1] for block in state[:-1])]
    relayed = {
        index: relay.forth(below)
        for index, (block, below) in enumerate(zip(network.blocks, belows, strict=True))
        if (relay := block.relay) is not None
    }
    aboves: list[Tensor | None] = [None] * len(state)
    if errors:
        aboves = _from_above(network, state, relayed, output_feedback(network, output, target, mask))
    new_states: list[BlockState] = []
    gradients: list[BlockParameters] = []
    instants: list[Tensor | None] = []
    u_dots: list[Tensor | None] = []
    for index, block in enumerate(network.blocks):
        if index in relayed:
            new, gradient, instant, u_dot = _relay_step(block, state[index], relayed[index][0], passed)
        else:
            new, gradient, instant, u_dot = _block_step(
                network, block, parameters[index], state[index], belows[index], aboves[index], plastic, passed
            )
        new_states.append(new)
        gradients.append(gradient)
        instants.append(instant)
        u_dots.append(u_dot)
    return Step(tuple(new_states), tuple(gradients), Signals(output, tuple(instants), tuple(u_dots)))


def _from_above(
    network: Network, state: State, relayed: dict[int, tuple[Tensor, Tensor]], top: Tensor
) -> list[Tensor | None]:
    """What takes the place of each block's feedback from above, (S, B, N); relays pass it on in the same step."""
    aboves: list[Tensor | None] = []
    above = top
    for index, block in reversed(list(enumerate(network.blocks))):
        aboves.append(above)
        if block.relay is not None and block.has_errors:  # without errors nobody below listens
            above = block.relay.back(above, relayed[index][1])
        else:
            above = state[index].feedback[0]
    return aboves[::-1]


def output_feedback(network: Network, output: Tensor, target: Tensor | None, mask: Tensor | None) -> Tensor:
    """What takes the place of W^T e above the last layer: the nudging without phi', which the layer multiplies in."""
    if target is None:
        return torch.zeros_like(output)
    prediction = torch.softmax(output, -1) if network.loss == "ce" else output
    return neurons.nudging(prediction, target, network.beta, mask)


def _block_step(
    network: Network,
    block: Block,
    parameters: BlockParameters,
    state: BlockState,
    below: Tensor,
    above: Tensor | None,
    plastic: bool,
    passed: Pass | None,
) -> tuple[BlockState, BlockParameters, Tensor | None, Tensor | None]:
    like, dt = block.like, network.dt
    first = block.first + 1  # the input is layer 0
    weight, tau_m, tau_r = (present(p) for p in (parameters.weight, parameters.tau_m, parameters.tau_r))
    rates = _stacked(below, state.r[:-1])

    instant, v, e, feedback = None, state.v, state.e, state.feedback
    if above is not None and block.has_errors:
        instant = neurons.instantaneous_error(state.slope, _stacked_above(state.feedback[1:], above))
        if passed is not None:
            instant = passed("instantaneous", first, instant)
        if like.prospective_errors:
            v, e = neurons.error_step(state.v, instant, tau_m, tau_r, dt)
        else:
            v = e = instant
        if passed is not None:
            e = passed("error", first, e)
        if block.feeds_back:
            feedback = _unflat(block.connection.feedback(weight.flatten(0, 1), e.flatten(0, 1)), e)

    bias = None if parameters.bias is None else parameters.bias.flatten(0, 1)
    current = _unflat(block.connection.current(weight.flatten(0, 1), bias, rates.flatten(0, 1)), state.u)
    if like.gamma:
        current = torch.add(current, e, alpha=like.gamma)
    if passed is not None:
        current = passed("current", first, current)
    u, potential = neurons.membrane_step(state.u, current, tau_m, tau_r, dt)
    u_dot = None
    if network.learn_tau_m or network.learn_tau_r:
        u_dot = neurons.membrane_derivative(state.u, current, tau_m)
    phi = activation(like.phi)
    r = phi.rate(potential)
    slope = phi.slope(potential, r)
    if passed is not None:
        r = passed("rate", first, r)
    new = BlockState(u, v, r, e, slope, feedback)

    gradient = BlockParameters(None, None, None, None)
    if plastic and instant is not None:
        gradient = local_gradients(network, block, rates, e, instant, u_dot, parameters.bias is not None)
    return new, gradient, instant, u_dot


def _relay_step(
    block: Block, state: BlockState, rates: Tensor, passed: Pass | None
) -> tuple[BlockState, BlockParameters, None, None]:
    r = rates[None] if passed is None else passed("rate", block.first + 1, rates[None])
    return state._replace(r=r), BlockParameters(None, None, None, None), None, None


def local_gradients(
    network: Network, block: Block, rates: Tensor, e: Tensor, instant: Tensor, u_dot: Tensor | None, bias: bool
) -> BlockParameters:
    """Eqs. 21-24: `rates` (K, S, B, N_in) are the presynaptic ones, all else is (K, S, B, N).

    A block whose connection is fixed learns nothing, its time constants included.
    """
    connection = block.connection
    if not connection.plastic:
        return BlockParameters(None, None, None, None)
    return BlockParameters(
        weight=_unflat(connection.gradient(e.flatten(0, 1), rates.flatten(0, 1)), e),
        bias=_unflat(connection.bias_gradient(e.flatten(0, 1)), e) if bias else None,
        tau_m=tau_m_gradient(e, u_dot) if network.learn_tau_m and u_dot is not None else None,
        tau_r=tau_r_gradient(instant, u_dot) if network.learn_tau_r and u_dot is not None else None,
    )


def _stacked(below: Tensor, lower: Tensor) -> Tensor:
    """Inputs of a block's layers: `below` (S, B, N_in) for the first, its own lower layers' rates for the others."""
    return below[None] if lower.shape[0] == 0 else torch.cat([below[None], lower])


def _stacked_above(upper: Tensor, above: Tensor) -> Tensor:
    return above[None] if upper.shape[0] == 0 else torch.cat([upper, above[None]])


def _unflat(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.view(*like.shape[:2], *tensor.shape[1:])
