"""The step of networks whose layers are computed in order, rates upwards and then errors downwards, without delays.

Only u and v are integrated. 'exponential' keeps their drives constant during the step. 'rk4' is the classical
Runge-Kutta scheme, with one traversal of the layers in each stage. Weights are constant during a step.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import local, neurons
from gle_bench.dynamics.activations import activation
from gle_bench.dynamics.choices import PAPER, LocalOptions
from gle_bench.dynamics.local_memory import EMPTY, Memory
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import BlockParameters, BlockState, Parameters, State, present
from gle_bench.dynamics.step import Instant, Signals, Step, output_feedback, step
from gle_bench.errors import UsageError

NOTHING = BlockParameters(None, None, None, None)
Following = Callable[[Tensor], Instant]  # makes the external signals of t + dt from the output y(t), (S, B, C)


class Variables(NamedTuple):
    """The integrated variables u and v of all layers, or their derivatives, each (S, B, N)."""

    u: tuple[Tensor, ...]
    v: tuple[Tensor, ...]


class Traversal(NamedTuple):
    """The signals of all layers at one time, each (S, B, N) unless noted. Errors are None where they have no effect."""

    inputs: Tensor  # (S, B, N_in)  the input's rates
    current: tuple[Tensor, ...]  # W r + b, the drive of u
    rate: tuple[Tensor, ...]
    slope: tuple[Tensor, ...]  # phi'
    instantaneous: tuple[Tensor | None, ...]  # the drive of v
    error: tuple[Tensor | None, ...]
    feedback: tuple[Tensor | None, ...]  # (S, B, N_in)  W^T e; None where it is not needed


def advance(
    network: Network,
    parameters: Parameters,
    state: State,
    now: Instant,
    following: Following,
    *,
    plastic: bool = True,
    errors: bool = True,
    seams: Seams = NO_SEAMS,
    options: LocalOptions = PAPER,
    memory: Memory = (),
) -> Step:
    """One step of a network by its own integrator: `step` for 'euler', else `ordered_step`."""
    if network.ordered:
        return ordered_step(
            network,
            parameters,
            state,
            now,
            following,
            plastic=plastic,
            errors=errors,
            seams=seams,
            options=options,
            memory=memory,
        )
    return step(
        network, parameters, state, *now, plastic=plastic, errors=errors, seams=seams, options=options, memory=memory
    )


def ordered_step(
    network: Network,
    parameters: Parameters,
    state: State,
    now: Instant,
    following: Following,
    *,
    midpoint: Instant | None = None,
    plastic: bool = True,
    errors: bool = True,
    seams: Seams = NO_SEAMS,
    options: LocalOptions = PAPER,
    memory: Memory = (),
) -> Step:
    """One step from t to t + dt of a network whose layers are computed in order, as a pure, differentiable function.

    Of the old state it reads only u and v.

    Args:
        parameters, state: those of the S networks.
        now: the external signals of time t. Their mask applies to the whole step.
        following: gives the external signals of t + dt from y(t). 'rk4' calls it once, 'exponential' never.
        midpoint: the external signals of t + dt/2, for 'rk4'; None: the mean of those of t and t + dt.
        plastic: whether to compute gradients; if False, they are all None.
        errors: False leaves v and e as they are, to save time in evaluation.
        seams: the observers and disturbances of this step.
        options, memory: the options and the memory of the local rule; `sent` may be gle or instantaneous, and
            `feedback` transpose or random.

    Returns:
        The state with u and v of t + dt, and r, e, phi' and W^T e of t; the gradients and signals of t. The output y(t)
        depends on the input of t.

    Raises:
        UsageError: the network's integrator is 'euler'.
    """
    if not network.ordered:
        raise UsageError("integrator = 'euler' updates all layers together; use step, or another integrator.")
    start = Variables(tuple(block.u[0] for block in state), tuple(block.v[0] for block in state))
    backs = tuple(block.back for block in memory or (EMPTY,) * len(state))
    path = ErrorPath(options.error_filters, backs, _error_taus(network, parameters, errors, options, seams))
    first = traverse(network, parameters, start, now, errors, seams, path)
    if network.integrator == "rk4":
        moved = _rk4(network, parameters, start, first, now, following, midpoint, errors, seams.unobserved, path)
    else:
        moved = _exponential(network, parameters, start, first, path)
    u_dots = _u_dots(network, parameters, start, first, path)
    gradients = (NOTHING,) * len(state)
    if plastic:
        gradients = _gradients(network, first, parameters, u_dots)
    instants = tuple(None if instant is None else instant[None] for instant in first.instantaneous)
    new = _new_state(network, state, moved, first, path)
    return Step(new, gradients, Signals(first.rate[-1], instants, u_dots), memory)


class ErrorPath(NamedTuple):
    """The settings by which errors are passed down from layer to layer."""

    prospective: bool  # whether errors are prospective
    back: tuple[Tensor | None, ...]  # feedback weights of each layer, (1, S, N, N_in); None: its own weights W
    taus: tuple[tuple[Tensor, Tensor], ...]  # tau_m and tau_r of each layer's error neurons, (S, 1, N)


def _error_taus(
    network: Network, parameters: Parameters, errors: bool, options: LocalOptions, seams: Seams
) -> tuple[tuple[Tensor, Tensor], ...]:
    """The time constants tau_m and tau_r of each layer's error neurons, constant during the step."""
    taus = []
    for n, (block, p) in enumerate(zip(network.blocks, parameters, strict=True), 1):
        tau_m, tau_r = present(p.tau_m)[0], present(p.tau_r)[0]
        if seams and errors and block.has_errors and local.filters_errors(options, block):
            tau_m, tau_r = seams.pass_layer("error_tau_m", n, tau_m), seams.pass_layer("error_tau_r", n, tau_r)
        taus.append((tau_m, tau_r))
    return tuple(taus)


def traverse(
    network: Network,
    parameters: Parameters,
    at: Variables,
    now: Instant,
    errors: bool,
    seams: Seams,
    path: ErrorPath,
) -> Traversal:
    """The signals of all layers at one time, from given u and v: rates upwards, then errors downwards."""
    passed = seams.pass_layer if seams else None
    currents, rates, slopes = [], [], []
    rate = inputs = now.inputs if passed is None else passed("rate", 0, now.inputs)
    for n, (block, p, u) in enumerate(zip(network.blocks, parameters, at.u, strict=True), 1):
        weight, bias, tau_m, tau_r = _own(p)
        current = block.connection.current(weight, bias, rate)
        if passed is not None:
            current = passed("current", n, current)
        phi = activation(block.like.phi)
        if network.prospective == "rate":
            rate, slope = neurons.prospective_rate(phi, u, current, tau_m, tau_r, network.dt)
        else:
            potential = neurons.prospective_potential(u, current, tau_m, tau_r)
            rate = phi.rate(potential)
            slope = phi.slope(potential, rate)
        slopes.append(slope)
        if passed is not None:
            rate = passed("rate", n, rate)
        currents.append(current)
        rates.append(rate)

    instants: list[Tensor | None] = [None] * len(rates)
    es, feedbacks = list(instants), list(instants)
    above = output_feedback(network, rate, now.target, now.mask) if errors else None
    for n, block in reversed(list(enumerate(network.blocks))):
        if above is None or not block.has_errors:
            break  # and no layer below has errors either
        weight, (tau_m, tau_r) = present(parameters[n].weight)[0], path.taus[n]
        if passed is not None:
            above = passed("feedback", n + 1, above)
        instant = neurons.instantaneous_error(slopes[n], above)
        if passed is not None:
            instant = passed("instantaneous", n + 1, instant)
        e = instant
        if block.like.prospective_errors and path.prospective:
            e = neurons.prospective_error(at.v[n], instant, tau_m, tau_r)
        if passed is not None:
            e = passed("error", n + 1, e)
        instants[n], es[n] = instant, e
        back = path.back[n]
        feedbacks[n] = above = (
            block.connection.feedback(weight if back is None else back[0], e) if block.feeds_back else None
        )
    return Traversal(inputs, tuple(currents), tuple(rates), tuple(slopes), tuple(instants), tuple(es), tuple(feedbacks))


def _exponential(
    network: Network, parameters: Parameters, start: Variables, first: Traversal, path: ErrorPath
) -> Variables:
    us, vs = [], []
    layers = zip(parameters, *start, first.current, first.instantaneous, path.taus, strict=True)
    for p, u, v, current, instant, (_, tau_r) in layers:
        us.append(neurons.relaxed(u, current, present(p.tau_m)[0], network.dt))
        vs.append(v if instant is None else neurons.relaxed(v, instant, tau_r, network.dt))
    return Variables(tuple(us), tuple(vs))


def _rk4(
    network: Network,
    parameters: Parameters,
    start: Variables,
    first: Traversal,
    now: Instant,
    following: Following,
    midpoint: Instant | None,
    errors: bool,
    seams: Seams,
    path: ErrorPath,
) -> Variables:
    dt, later = network.dt, following(first.rate[-1])
    middle = midpoint or Instant(_mean(now.inputs, later.inputs), _mean_target(now, later), None)
    k = [_derivatives(parameters, start, first, path)]
    for ahead, instant in ((dt / 2, middle), (dt / 2, middle), (dt, later)):
        at = _moved(start, k[-1], ahead)
        stage = traverse(network, parameters, at, instant._replace(mask=now.mask), errors, seams, path)
        k.append(_derivatives(parameters, at, stage, path))
    mean = Variables(*(tuple(map(_weighted, *stages)) for stages in zip(*k, strict=True)))
    return _moved(start, mean, dt)


def _derivatives(parameters: Parameters, at: Variables, stage: Traversal, path: ErrorPath) -> Variables:
    u_dots, v_dots = [], []
    layers = zip(parameters, *at, stage.current, stage.instantaneous, path.taus, strict=True)
    for p, u, v, current, instant, (_, tau_r) in layers:
        u_dots.append(neurons.membrane_derivative(u, current, present(p.tau_m)[0]))
        v_dots.append(torch.zeros_like(v) if instant is None else neurons.error_derivative(v, instant, tau_r))
    return Variables(tuple(u_dots), tuple(v_dots))


def _moved(start: Variables, derivatives: Variables, ahead: float) -> Variables:
    u, v = (
        tuple(torch.add(x, x_dot, alpha=ahead) for x, x_dot in zip(xs, x_dots, strict=True))
        for xs, x_dots in zip(start, derivatives, strict=True)
    )
    return Variables(u, v)


def _weighted(k1: Tensor, k2: Tensor, k3: Tensor, k4: Tensor) -> Tensor:
    return (k1 + 2 * (k2 + k3) + k4) / 6


def _mean(one: Tensor, other: Tensor) -> Tensor:
    return (one + other) / 2


def _mean_target(now: Instant, later: Instant) -> Tensor | None:
    return None if now.target is None or later.target is None else _mean(now.target, later.target)


def _new_state(network: Network, state: State, moved: Variables, first: Traversal, path: ErrorPath) -> State:
    """The new state: u and v of t + dt, the other variables from the traversal at t, or unchanged if not computed."""
    blocks = []
    for n, (block, old) in enumerate(zip(network.blocks, state, strict=True)):
        e, feedback, v = first.error[n], first.feedback[n], moved.v[n]
        if e is not None and not (block.like.prospective_errors and path.prospective):
            v = e
        blocks.append(
            BlockState(
                u=moved.u[n][None],
                v=v[None],
                r=first.rate[n][None],
                e=old.e if e is None else e[None],
                slope=first.slope[n][None],
                feedback=old.feedback if feedback is None else feedback[None],
            )
        )
    return tuple(blocks)


def _gradients(
    network: Network,
    first: Traversal,
    parameters: Parameters,
    u_dots: tuple[Tensor | None, ...],
) -> Parameters:
    """The gradients of Eqs. 21-24 at time t."""
    gradients = []
    for n, block in enumerate(network.blocks):
        e, instant, below = first.error[n], first.instantaneous[n], first.rate[n - 1] if n else first.inputs
        if e is None or instant is None:
            gradients.append(NOTHING)
            continue
        bias = parameters[n].bias is not None
        gradients.append(local.local_gradients(network, block, e[None], instant[None], below[None], u_dots[n], bias))
    return tuple(gradients)


def _u_dots(
    network: Network, parameters: Parameters, start: Variables, first: Traversal, path: ErrorPath
) -> tuple[Tensor | None, ...]:
    if not (network.learn_tau_m or network.learn_tau_r):
        return (None,) * len(start.u)
    return tuple(u_dot[None] for u_dot in _derivatives(parameters, start, first, path).u)


def _own(p: BlockParameters) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """The weight (S, N, N_in), bias, tau_m and tau_r (S, 1, N) of a block that consists of one layer."""
    return present(p.weight)[0], None if p.bias is None else p.bias[0], present(p.tau_m)[0], present(p.tau_r)[0]
