"""Tests of layers traversed in order: exact cases, the order of convergence of each integrator, and gradients."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import FIXED, PHIS, generator, layerwise, make_batch, make_network, make_parameters, member, normal
from scipy.integrate import solve_ivp
from torch import Tensor

from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import pack, select
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.ordered_step import ordered_step
from gle_bench.dynamics.state import Parameters, State, initial_parameters, zero_state
from gle_bench.dynamics.step import Instant, step
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.rules.gle import GLE

SIZES, BATCH = (2, 5, 4, 1), 3
UNTIL = 2.0
ORDERED = pytest.mark.parametrize("integrator", ["exponential", "rk4"])
ENGINE = TorchEngine()


def never(output: Tensor) -> Instant:
    raise AssertionError("looked ahead")


def held(now: Instant) -> Callable[[Tensor], Instant]:
    return lambda output: now


def random_state(network: Network, parameters: Parameters, seed: int = 7) -> State:
    draw = generator(seed)
    return tuple(
        type(block)(*(torch.randn(x.shape, generator=draw, dtype=x.dtype) for x in block))
        for block in zero_state(network, parameters, BATCH)
    )


def ordered_network(integrator: str, **options: Any) -> Network:
    return make_network(SIZES, integrator=integrator, **{"loss": "mse", "beta": 0.8, **options})


# The integrators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [0.01, 0.3])
def test_exponential_is_exact_under_a_constant_drive(dt: float) -> None:
    """Two linear neurons in a row: u under a constant input, and the error potential below an instantaneous output."""
    tau_m, tau_r, steps, x, w, beta, target = 1.3, 0.6, 40, 0.7, -1.5, 0.5, 2.0
    layers = (
        Layer(1, 1, (tau_m,), (tau_r,), phi="identity", bias=False),
        Layer(1, 1, (1.0,), (1.0,), phi="identity", bias=False),
    )
    network = Network(layers, dt=dt, loss="mse", beta=beta, integrator="exponential")
    one = torch.ones(1, 1, dtype=torch.float64)
    parameters = initial_parameters(network, [one, w * one], [None, None])
    now = Instant(x * one[None], None, None)
    state, t = zero_state(network, parameters, 1), dt * torch.arange(steps, dtype=torch.float64)
    us, rates = [], []
    for _ in range(steps):
        us.append(state[0].u.item())
        state = ordered_step(network, parameters, state, now, never).state
        rates.append(state[0].r.item())
    assert us == pytest.approx((x * (1 - torch.exp(-t / tau_m))).tolist(), abs=1e-14)
    assert rates == pytest.approx((x * (1 - (1 - tau_r / tau_m) * torch.exp(-t / tau_m))).tolist(), abs=1e-14)

    # Settled, the hidden rate is the input, and what the output sends down stands still too.
    state = (state[0]._replace(u=x * one[None, None]), state[1])
    now, drive = now._replace(target=target * one[None]), w * beta * (target - w * x)
    vs, es = [], []
    for _ in range(steps):
        vs.append(state[0].v.item())
        state = ordered_step(network, parameters, state, now, never).state
        es.append(state[0].e.item())
    assert vs == pytest.approx((drive * (1 - torch.exp(-t / tau_r))).tolist(), abs=1e-13)
    assert es == pytest.approx((drive * (1 - (1 - tau_m / tau_r) * torch.exp(-t / tau_r))).tolist(), abs=1e-13)


def world(t: float) -> Instant:
    """The smooth input and target at a time."""
    phases = torch.arange(BATCH, dtype=torch.float64)[None, :, None]
    frequencies = torch.tensor([1.1, 2.3], dtype=torch.float64)
    return Instant(torch.sin(frequencies * t + phases), torch.cos(1.7 * t + phases), None)


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    """The u and v of all layers at time UNTIL by scipy, from equations that are written independently here."""
    network = ordered_network("rk4")
    parameters = make_parameters(network)
    layers = [
        (layer, *(p[name][0].numpy() for name in ("weight", "bias", "tau_m", "tau_r")))
        for layer, p in zip(network.layers, layerwise(network, parameters), strict=True)
    ]
    count, cuts = BATCH * sum(SIZES[1:]), np.cumsum([BATCH * size for size in SIZES[1:]])[:-1]

    def flow(t: float, y: np.ndarray) -> np.ndarray:
        inputs, target, _ = world(t)
        us, vs = ([part.reshape(BATCH, -1) for part in np.split(half, cuts)] for half in (y[:count], y[count:]))
        rate, slopes, u_dots, v_dots = inputs[0].numpy(), [], [], [np.empty(0)] * len(us)
        for (layer, weight, bias, tau_m, tau_r), u in zip(layers, us, strict=True):
            u_dots.append((rate @ weight.T + bias - u) / tau_m)
            potential = u + tau_r * u_dots[-1]
            rate = np.tanh(potential) if layer.phi == "tanh" else potential
            slopes.append(1 - rate**2 if layer.phi == "tanh" else np.ones_like(rate))
        above = network.beta * (target[0].numpy() - rate)
        for n in reversed(range(len(us))):
            _, weight, _, tau_m, tau_r = layers[n]
            v_dots[n] = (slopes[n] * above - vs[n]) / tau_r
            above = (vs[n] + tau_m * v_dots[n]) @ weight
        return np.concatenate([x.ravel() for x in (*u_dots, *v_dots)])

    solution = solve_ivp(flow, (0, UNTIL), np.zeros(2 * count), method="DOP853", rtol=1e-13, atol=1e-14)
    return solution.y[:, -1]


def integrated(network: Network, parameters: Parameters, steps: int, exact_midpoints: bool) -> np.ndarray:
    state, dt = zero_state(network, parameters, BATCH), network.dt
    for n in range(steps):
        after = held(world((n + 1) * dt))
        midpoint = world((n + 0.5) * dt) if exact_midpoints else None
        state = ordered_step(network, parameters, state, world(n * dt), after, midpoint=midpoint).state
    return np.concatenate([block[i][0, 0].numpy().ravel() for i in (0, 1) for block in state])


@pytest.mark.parametrize(
    ("integrator", "exact_midpoints", "order"), [("rk4", True, 4), ("rk4", False, 2), ("exponential", False, 1)]
)
def test_u_and_v_converge_to_scipy_s_at_the_integrators_order(
    exact: np.ndarray, integrator: str, exact_midpoints: bool, order: int
) -> None:
    """With smooth input and target, and frozen weights; the mean of both ends is a midpoint of second order only."""
    network = ordered_network(integrator)
    parameters = make_parameters(network)
    gaps = [
        np.abs(integrated(replace(network, dt=UNTIL / n), parameters, n, exact_midpoints) - exact).max()
        for n in (20, 40, 80)
    ]
    slopes = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(gaps)]
    assert slopes == pytest.approx([order] * 2, abs=0.15), (gaps, slopes)
    assert gaps[-1] < {4: 1e-8, 2: 2e-4, 1: 2e-2}[order]


def test_rk4_looks_ahead_once_with_the_output_of_now() -> None:
    network = ordered_network("rk4")
    parameters = make_parameters(network)
    seen: list[Tensor] = []

    def following(output: Tensor) -> Instant:
        seen.append(output)
        return world(0.1)

    result = ordered_step(network, parameters, random_state(network, parameters), world(0.0), following)
    assert len(seen) == 1
    assert torch.equal(seen[0], result.signals.output)


# Errors and gradients ------------------------------------------------------------------------------------------------


@ORDERED
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("phi", PHIS)
def test_instantaneous_layers_do_backpropagation_in_every_step(integrator: str, loss: str, phi: str) -> None:
    """With tau_m = tau_r, from any u and v, and without settling."""
    network = make_network((3, 5, 5, 4), [phi] * 3, instantaneous=True, loss=loss, beta=0.7, integrator=integrator)
    parameters = make_parameters(network)
    now = make_batch(network, 1, BATCH).at(0, 1)
    result = ordered_step(network, parameters, random_state(network, parameters), now, held(now))
    potentials, leaves, rates = [], [], now.inputs[0]
    for p in layerwise(network, parameters):
        weight, bias = (p[name][0].clone().requires_grad_() for name in ("weight", "bias"))
        potentials.append(rates @ weight.T + bias)
        rates = PHIS[phi](potentials[-1])
        leaves += [weight, bias]
    assert now.target is not None
    cost = (
        -(now.target[0] * rates.log_softmax(-1)).sum() if loss == "ce" else (now.target[0] - rates).square().sum() / 2
    )
    exact = torch.autograd.grad(network.beta * cost, [*potentials, *leaves])
    found = zip(layerwise(network, result.state), layerwise(network, result.gradients), strict=True)
    for n, (state, gradient) in enumerate(found):
        assert exact[n].abs().max() > 1e-4
        torch.testing.assert_close(state["r"][0], PHIS[phi](potentials[n]).detach(), rtol=0, atol=1e-12)
        torch.testing.assert_close(state["e"][0], -exact[n], rtol=0, atol=1e-12)
        weight, bias = exact[3 + 2 * n : 5 + 2 * n]
        torch.testing.assert_close(gradient["weight"][0], weight / BATCH, rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient["bias"][0], bias / BATCH, rtol=0, atol=1e-12)


@ORDERED
def test_gradients_are_those_of_the_steps_first_instant(integrator: str) -> None:
    """Signals after t do not enter; Eqs. 21-24 hold for the signals of t, with which both integrators start."""
    network = ordered_network(integrator, learn_tau_m=True, learn_tau_r=True)
    parameters = make_parameters(network)
    state, now = random_state(network, parameters), world(0.3)
    result = ordered_step(network, parameters, state, now, held(world(0.4)))
    again = ordered_step(network, parameters, state, now, held(world(0.9)))
    other = replace(network, integrator="rk4" if integrator == "exponential" else "exponential")
    elsewhere = ordered_step(other, parameters, state, now, held(world(0.4)))
    below = now.inputs
    for n, p in enumerate(layerwise(network, parameters)):
        old, new, gradient = (layerwise(network, x)[n] for x in (state, result.state, result.gradients))
        instant, u_dot = (signal[n][0] for signal in (result.signals.instantaneous, result.signals.u_dot))
        current = below @ p["weight"].transpose(1, 2) + p["bias"]
        torch.testing.assert_close(u_dot, (current - old["u"]) / p["tau_m"])
        torch.testing.assert_close(new["e"], old["v"] + p["tau_m"] * (instant - old["v"]) / p["tau_r"])
        torch.testing.assert_close(gradient["weight"], -new["e"].transpose(1, 2) @ below / BATCH)
        torch.testing.assert_close(gradient["tau_m"], (new["e"] * u_dot).mean(1, keepdim=True))
        torch.testing.assert_close(gradient["tau_r"], -(instant * u_dot).mean(1, keepdim=True))
        for name, value in gradient.items():
            assert torch.equal(value, layerwise(network, again.gradients)[n][name])
            assert torch.equal(value, layerwise(network, elsewhere.gradients)[n][name])
        below = new["r"]


@ORDERED
def test_the_mask_of_now_silences_the_target_throughout_the_step(integrator: str) -> None:
    network = ordered_network(integrator)
    parameters = make_parameters(network)
    state, mask = random_state(network, parameters), torch.tensor([1.0, 0.0, 1.0]).double()[None, :, None]
    now, after = (world(t)._replace(mask=m) for t, m in ((0.0, mask), (0.1, torch.ones_like(mask))))
    free = [instant._replace(target=None, mask=None) for instant in (now, after)]
    masked, taught, untaught = (
        ordered_step(network, parameters, state, one, held(other)).state
        for one, other in ((now, after), (now._replace(mask=None), after), free)
    )
    for found, with_target, without in zip(masked, taught, untaught, strict=True):
        for part in ("v", "e"):
            ours, all_on, none = (getattr(x, part)[0, 0] for x in (found, with_target, without))
            assert torch.equal(ours[[0, 2]], all_on[[0, 2]])
            assert torch.equal(ours[1], none[1])
            assert not torch.allclose(ours[1], all_on[1])


@ORDERED
def test_errors_stay_where_they_have_no_effect(integrator: str) -> None:
    """Without errors, and below the lowest plastic layer, v and e stay; without prospective errors, v = e = e_inst."""
    layers = [{"connection": FIXED}, {"prospective_errors": False}, {}]
    network = ordered_network(integrator, layers=layers)
    parameters = make_parameters(network)
    state, now = random_state(network, parameters), world(0.3)
    result = ordered_step(network, parameters, state, now, held(world(0.4)))
    assert result.gradients[0] == (None,) * 4
    assert result.signals.instantaneous[0] is None
    for name in ("v", "e", "feedback"):
        assert torch.equal(getattr(result.state[0], name), getattr(state[0], name))
    middle = result.state[1]
    assert torch.equal(middle.v, middle.e)
    assert torch.equal(middle.e, result.signals.instantaneous[1])
    assert torch.equal(middle.feedback, state[1].feedback)  # at which nobody below looks
    top = result.state[2]
    torch.testing.assert_close(top.feedback, top.e @ parameters[2].weight)

    blind = ordered_step(network, parameters, state, now, held(world(0.4)), plastic=False, errors=False)
    assert blind.gradients == ((None,) * 4,) * 3
    for old, new, seeing in zip(state, blind.state, result.state, strict=True):
        assert torch.equal(old.v, new.v)
        assert torch.equal(old.e, new.e)
        assert torch.equal(new.u, seeing.u)


# What a step promises ------------------------------------------------------------------------------------------------


@ORDERED
def test_members_of_an_ensemble_are_independent(integrator: str) -> None:
    network = ordered_network(integrator)
    parameters = make_parameters(network, members=3)
    batch = make_batch(network, 12, BATCH, members=3)
    rates = torch.tensor([0.01, 0.02, 0.03], dtype=torch.float64)
    carry = start(network, parameters, Optimizer("adam"), BATCH)
    together, outputs = ENGINE.learn(network, GLE(), Optimizer("adam"), carry, batch, rates)
    for s in range(3):
        alone, own = ENGINE.learn(
            network, GLE(), Optimizer("adam"), select(network, carry, [s]), part_of(batch, s), rates[s : s + 1]
        )
        torch.testing.assert_close(outputs[s : s + 1], own, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            pack(network, member(together.parameters, s)), pack(network, alone.parameters), rtol=0, atol=1e-12
        )
    batch.inputs[1, 0, 3] = torch.nan
    _, poisoned = ENGINE.learn(network, GLE(), Optimizer("adam"), carry, batch, rates)
    assert poisoned[1].isnan().any()
    assert torch.equal(poisoned[[0, 2]], outputs[[0, 2]])


def part_of(batch: Window, s: int) -> Window:
    return batch._replace(inputs=batch.inputs[s : s + 1], target=batch.target[s : s + 1])


@ORDERED
def test_a_step_changes_nothing_that_it_was_given_and_reads_u_and_v_alone(integrator: str) -> None:
    network = ordered_network(integrator)
    parameters = make_parameters(network)
    state = random_state(network, parameters)
    given = [x.clone() for blocks in (parameters, state) for block in blocks for x in block]
    result = ordered_step(network, parameters, state, world(0.0), held(world(0.1)))
    now = [x for blocks in (parameters, state) for block in blocks for x in block]
    assert all(torch.equal(one, other) for one, other in zip(given, now, strict=True))
    lost = [dict.fromkeys(("r", "e", "slope", "feedback"), torch.nan * block.u[..., :1]) for block in state]
    bare = tuple(block._replace(**nothing) for block, nothing in zip(state, lost, strict=True))
    again = ordered_step(network, parameters, bare, world(0.0), held(world(0.1)))
    for one, other in zip(result.state, again.state, strict=True):
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("u", "v", "r", "e", "slope"))


@ORDERED
def test_a_step_can_be_differentiated(integrator: str) -> None:
    network = ordered_network(integrator)
    parameters = make_parameters(network)
    state = random_state(network, parameters)

    def moved(weight: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        bent = (parameters[0]._replace(weight=weight), *parameters[1:])
        at = (state[0]._replace(u=u), *state[1:])
        result = ordered_step(network, bent, at, world(0.0), held(world(0.1)))
        return result.state[2].u, result.state[0].v, result.signals.output

    leaves = [x.clone().requires_grad_() for x in (parameters[0].weight, state[0].u)]
    assert torch.autograd.gradcheck(moved, leaves)


# Whole batches -------------------------------------------------------------------------------------------------------


@ORDERED
def test_a_batch_is_learned_step_by_step_with_what_follows(integrator: str) -> None:
    """Steps and descents alternate; RK4's last input is the window's `following`, or the last one held."""
    network = ordered_network(integrator)
    steps, rate = 6, torch.tensor([0.05], dtype=torch.float64)
    batch, optimizer = make_batch(network, steps, BATCH), Optimizer("sgd")
    carry = start(network, make_parameters(network), optimizer, BATCH)
    parameters, state = carry.parameters, carry.state
    for t in range(steps):
        after = held(batch.at(min(t + 1, steps - 1), 1))
        result = ordered_step(network, parameters, state, batch.at(t, 1), after)
        state = result.state
        parameters = tuple(
            p._replace(weight=p.weight - rate * g.weight, bias=p.bias - rate * g.bias)
            for p, g in zip(parameters, result.gradients, strict=True)
        )
    whole, outputs = ENGINE.learn(network, GLE(), optimizer, carry, batch, rate)
    torch.testing.assert_close(pack(network, whole.parameters), pack(network, parameters), rtol=0, atol=1e-13)
    torch.testing.assert_close(whole.state[0].u, state[0].u, rtol=0, atol=1e-13)

    first = batch.part(0, 4)._replace(following=batch.at(4, 1))
    halfway, early = ENGINE.learn(network, GLE(), optimizer, carry, first, rate)
    end, late = ENGINE.learn(network, GLE(), optimizer, halfway, batch.part(4, steps), rate)
    assert torch.equal(torch.cat([early, late], 2), outputs)
    assert torch.equal(pack(network, end.parameters), pack(network, whole.parameters))
    blunt, _ = ENGINE.learn(network, GLE(), optimizer, carry, batch.part(0, 4), rate)
    assert torch.equal(blunt.state[0].u, halfway.state[0].u) == (integrator == "exponential")


def test_a_window_holds_its_last_instant_where_nobody_knows_the_next() -> None:
    network = ordered_network("rk4")
    batch = make_batch(network, 3, BATCH)._replace(mask=torch.rand(1, BATCH, 3))
    assert all(torch.equal(one, other) for one, other in zip(batch.at(3, 2), batch.at(2, 2), strict=True))
    assert batch.at(3, 2).inputs.shape == (2, BATCH, 2)
    later = Instant(normal(1, BATCH, 2, seed=1), None, None)
    assert batch._replace(following=later).at(3, 1) is later


@ORDERED
def test_inference_is_what_learning_at_rate_zero_shows(integrator: str) -> None:
    network = ordered_network(integrator)
    batch = make_batch(network, 9, BATCH)
    carry = start(network, make_parameters(network), Optimizer("sgd"), BATCH)
    none = torch.zeros(1, dtype=torch.float64)
    learned, outputs = ENGINE.learn(network, GLE(), Optimizer("sgd"), carry, batch, none)
    state, alone = ENGINE.infer(network, carry.parameters, carry.state, batch, errors=False)
    assert torch.equal(outputs, alone)
    assert torch.equal(state[-1].u, learned.state[-1].u)
    assert not state[-1].v.any()
    assert learned.state[-1].v.any()


# What is refused -----------------------------------------------------------------------------------------------------


def test_what_goes_in_order_cannot_go_together_and_the_other_way_round() -> None:
    with pytest.raises(UsageError, match=r"^Unknown integrator 'rk5'\. Did you mean 'rk4'\?"):
        ordered_network("rk5")
    coupled: list[dict[str, Any]] = [{}, {"gamma": 0.1}, {}]
    assert not ordered_network("euler", layers=coupled).ordered
    with pytest.raises(
        UsageError, match=r"^gamma = 0\.1 of layer 2 needs the delay [^\n]+ set gamma to 0, or integrat"
    ):
        ordered_network("exponential", layers=coupled)
    together, in_order = ordered_network("euler"), ordered_network("rk4")
    parameters = make_parameters(together)
    state, now = zero_state(together, parameters, BATCH), world(0.0)
    with pytest.raises(UsageError, match="integrator = 'rk4' has no step"):
        step(in_order, parameters, state, *now)
    with pytest.raises(UsageError, match="integrator = 'euler' updates all layers together"):
        ordered_step(together, parameters, state, now, never)


def test_every_ordered_layer_is_a_block_of_its_own() -> None:
    alike = make_network((4, 4, 4, 4), ["tanh"] * 3)
    assert len(alike.blocks) == 1
    assert [block.first for block in replace(alike, integrator="rk4").blocks] == [0, 1, 2]
