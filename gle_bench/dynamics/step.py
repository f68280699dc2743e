"""One time step of a GLE network in which all layers are updated together, with shapes as in `dynamics.state`."""

from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import local, neurons
from gle_bench.dynamics.activations import activation
from gle_bench.dynamics.choices import PAPER, LocalOptions
from gle_bench.dynamics.local_memory import EMPTY, BlockMemory, Memory, delays
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.seams import NO_SEAMS, Pass, Seams
from gle_bench.dynamics.state import BlockParameters, BlockState, Parameters, State, present
from gle_bench.errors import UsageError


class Signals(NamedTuple):
    """The signals of one step that its callers need besides the new state and the gradients."""

    output: Tensor  # (S, B, C)  r_L of step n, before the update
    instantaneous: tuple[Tensor | None, ...]  # a block each, (K, S, B, N)
    u_dot: tuple[Tensor | None, ...]  # a block each, (K, S, B, N); None where no time constant learns


class Instant(NamedTuple):
    """The external signals of one time step: the network's input, its target and the mask of the target."""

    inputs: Tensor  # (S, B, N_in)
    target: Tensor | None  # (S|1, B, C)  target rates, or one-hot classes; None: no nudging
    mask: Tensor | None  # (S|1, B, 1)  1 where the target counts


class Step(NamedTuple):
    """The result of one step. Gradients have the parameters' shapes and the sign for gradient descent."""

    state: State
    gradients: Parameters
    signals: Signals
    memory: Memory = ()


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
    options: LocalOptions = PAPER,
    memory: Memory = (),
) -> Step:
    """One step of a network: all layers read the state of step n, and are then updated together.

    It is the step of facts/algorithms.md, section 3, as a pure and differentiable function.

    Args:
        parameters, state: those of the S networks.
        inputs: (S, B, N_in), the input of step n.
        target: (S|1, B, C) target rates or one-hot classes; None: there is no nudging (beta = 0).
        mask: (S|1, B, 1), 1 where the target counts.
        plastic: whether to compute gradients; if False, they are all None.
        errors: False leaves v and e as they are wherever errors do not move the membrane, to save time in evaluation.
        seams: the observers and disturbances of this step.
        options, memory: the options of the local rule, and its memory of earlier steps; by default those of `gle`,
            which has no memory.

    Raises:
        UsageError: the network has an integrator that updates layers in order.
    """
    if network.ordered:
        raise UsageError(
            f"integrator = '{network.integrator}' has no step that updates all layers together; "
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
    memory = memory or (EMPTY,) * len(state)
    aboves: list[Tensor | None] = [None] * len(state)
    if errors:
        top = output_feedback(network, output, target, mask)
        spread = options.feedback == "broadcast"
        aboves = _spread(network, memory, top) if spread else _from_above(network, state, relayed, top)
    late_by = [[]] * len(state) if options.delay == "none" else delays(network, options)
    results: list[_BlockStep] = []
    for index, (block, late) in enumerate(zip(network.blocks, late_by, strict=True)):
        if index in relayed:
            results.append(_relay_step(block, state[index], relayed[index][0], passed))
            continue
        world = _World(belows[index], aboves[index], memory[index], late, plastic, passed)
        results.append(_block_step(network, block, parameters[index], state[index], options, world))
    states, gradients, instants, u_dots, memories = zip(*results, strict=True)
    return Step(states, gradients, Signals(output, instants, u_dots), memories)


class _World(NamedTuple):
    """The inputs of a block's step: rates from below, feedback from above, and the local rule's memory and delays."""

    below: Tensor  # (S, B, N_in)
    above: Tensor | None  # (S, B, N), feedback for the last of its layers; (K, S, B, N) for each; None: no errors
    memory: BlockMemory
    delays: list[int]
    plastic: bool
    passed: Pass | None


class _BlockStep(NamedTuple):
    """The result of one step of a block of layers."""

    state: BlockState
    gradients: BlockParameters
    instantaneous: Tensor | None
    u_dot: Tensor | None
    memory: BlockMemory


def _spread(network: Network, memory: Memory, top: Tensor) -> list[Tensor | None]:
    """The feedback to each block's layers by broadcast, (K, S, B, N); None for relays and where nothing learns."""
    last = len(memory) - 1
    return [
        None if own.back is None else local.broadcast(own.back, top, index == last) for index, own in enumerate(memory)
    ]


def _from_above(
    network: Network, state: State, relayed: dict[int, tuple[Tensor, Tensor]], top: Tensor
) -> list[Tensor | None]:
    """The feedback from above to the last layer of each block, (S, B, N); relays pass it on in the same step."""
    aboves: list[Tensor | None] = []
    above = top
    for index, block in reversed(list(enumerate(network.blocks))):
        aboves.append(above)
        if block.relay is not None and block.has_errors:  # without errors no layer below needs any
            above = block.relay.back(above, relayed[index][1])
        else:
            above = state[index].feedback[0]
    return aboves[::-1]


def output_feedback(network: Network, output: Tensor, target: Tensor | None, mask: Tensor | None) -> Tensor:
    """The feedback to the output layer, in place of W^T e: the nudging, still without the layer's factor phi'."""
    if target is None:
        return torch.zeros_like(output)
    prediction = torch.softmax(output, -1) if network.loss == "ce" else output
    return neurons.nudging(prediction, target, network.beta, mask)


def _block_step(
    network: Network,
    block: Block,
    parameters: BlockParameters,
    state: BlockState,
    options: LocalOptions,
    world: _World,
) -> _BlockStep:
    like, dt, memory, passed = block.like, network.dt, world.memory, world.passed
    first = block.first + 1  # the input is layer 0
    weight, tau_m, tau_r = (present(p) for p in (parameters.weight, parameters.tau_m, parameters.tau_r))
    rates = _stacked(world.below, state.r[:-1])

    instant, v, e, feedback = None, state.v, state.e, state.feedback
    if world.above is not None and block.has_errors:
        above = world.above if world.above.dim() == 4 else _stacked_above(state.feedback[1:], world.above)
        error_taus = tau_m, tau_r
        if passed is not None:
            above = passed("feedback", first, above)
            if local.filters_errors(options, block):
                error_taus = passed("error_tau_m", first, tau_m), passed("error_tau_r", first, tau_r)
        slope, memory = local.late_slope(state.slope, memory, world.delays)
        instant = neurons.instantaneous_error(slope, above)
        if passed is not None:
            instant = passed("instantaneous", first, instant)
        (v, e), memory = local.sent_error(options, block, state, instant, error_taus, dt, memory)
        if passed is not None:
            e = passed("error", first, e)
        if block.feeds_back and options.feedback != "broadcast":
            back = weight if memory.back is None else memory.back
            feedback = _unflat(block.connection.feedback(back.flatten(0, 1), e.flatten(0, 1)), e)

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
    if world.plastic and instant is not None:
        gradient, memory = local.gradients(
            network, options, block, e, instant, rates, u_dot, parameters, world.delays, memory
        )
    return _BlockStep(new, gradient, instant, u_dot, memory)


def _relay_step(block: Block, state: BlockState, rates: Tensor, passed: Pass | None) -> _BlockStep:
    r = rates[None] if passed is None else passed("rate", block.first + 1, rates[None])
    return _BlockStep(state._replace(r=r), BlockParameters(None, None, None, None), None, None, EMPTY)


def _stacked(below: Tensor, lower: Tensor) -> Tensor:
    """The inputs of a block's layers: `below` (S, B, N_in) for the first, lower rates for the others."""
    return below[None] if lower.shape[0] == 0 else torch.cat([below[None], lower])


def _stacked_above(upper: Tensor, above: Tensor) -> Tensor:
    return above[None] if upper.shape[0] == 0 else torch.cat([upper, above[None]])


def _unflat(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.view(*like.shape[:2], *tensor.shape[1:])
