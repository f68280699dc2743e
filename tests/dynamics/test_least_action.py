"""Laws of Neuronal Least Action: after a transient its potentials are those of a network without time."""

import itertools
import math
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from networks import generator, layerwise, make_parameters, normal
from torch import Tensor

from gle_bench.contracts import Shape
from gle_bench.dynamics import neurons
from gle_bench.dynamics.activations import ACTIVATIONS
from gle_bench.dynamics.adjoint import exact_refusal
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.graph import GraphEngine
from gle_bench.dynamics.engines.interface import EngineRequest
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.ordered_step import ordered_step
from gle_bench.dynamics.state import Parameters, State, zero_state
from gle_bench.dynamics.step import Instant
from gle_bench.errors import UsageError
from gle_bench.models.nla import NLA
from gle_bench.rules.gle import GLE

BATCH, TAU, OMEGA = 3, 1.0, 0.9
INPUTS, OUTPUTS = 2, 3


def network_of(dt: float = 0.1, **fields: Any) -> Network:
    model = NLA(width=5, hidden_layers=3, tau=TAU, dt=dt, phi1="tanh", **fields)
    return model.network(Shape(inputs=INPUTS, outputs=OUTPUTS, steps=10), "mse")


def without_time(network: Network, parameters: Parameters, inputs: Tensor) -> list[Tensor]:
    """The potentials u = W phi(u) + b of all layers of a network without time, (B, N), written independently here."""
    us, rate = [], inputs
    for layer, p in zip(network.layers, layerwise(network, parameters), strict=True):
        us.append(rate @ p["weight"][0].T + p["bias"][0])
        rate = torch.tanh(us[-1]) if layer.phi == "tanh" else us[-1]
    return us


def wave(t: float) -> tuple[Tensor, Tensor]:
    """A smooth input at a time, (B, N_in), and the same input after an infinitely long low-pass with TAU."""
    phase = OMEGA * t + torch.arange(BATCH * INPUTS, dtype=torch.float64).view(BATCH, INPUTS)
    return phase.sin(), (phase.sin() - OMEGA * TAU * phase.cos()) / (1 + (OMEGA * TAU) ** 2)


class Gaps(NamedTuple):
    """The largest deviations from three laws, over the steps after the transient."""

    layers: float  # |u - W phi(u) - b| of all layers above the first
    potentials: float  # |u - F(x_low)| of the output, F being the network without time
    rates: float  # |r - D^+{F(x_low)}| of the output
    evidence: float  # |sum dt r - sum dt F(x_low) - tau (F_end - F_begin)|


def gaps(dt: float, begin: float = 14 * TAU, end: float = 17 * TAU) -> Gaps:
    network = network_of(dt)
    parameters = make_parameters(network)
    layers, state, first = layerwise(network, parameters), zero_state(network, parameters, BATCH), round(begin / dt)
    worst, total, edges = [0.0] * 3, torch.zeros(BATCH, OUTPUTS, dtype=torch.float64), list[Tensor]()

    def answer(x: Tensor) -> Tensor:
        return without_time(network, parameters, x)[-1]

    for n in range(round(end / dt)):
        inputs, low = wave(n * dt)
        now = state
        state = ordered_step(network, parameters, now, Instant(inputs[None], None, None), after(n * dt + dt)).state
        if n < first:
            continue
        us, rate = [block.u[0, 0] for block in now], state[-1].r[0, 0]
        for below, u, p in zip(us, us[1:], layers[1:], strict=False):
            worst[0] = max(worst[0], (u - below.tanh() @ p["weight"][0].T - p["bias"][0]).abs().max().item())
        still, moving = torch.autograd.functional.jvp(answer, low, inputs - low)  # tau x_low_dot = x - x_low
        worst[1] = max(worst[1], (us[-1] - still).abs().max().item())
        worst[2] = max(worst[2], (rate - still - moving).abs().max().item())
        total += dt * (rate - still)
        edges.append(still)
    return Gaps(*worst, (total - TAU * (edges[-1] - edges[0])).abs().max().item())


def after(t: float) -> Any:
    return lambda output: Instant(wave(t)[0][None], None, None)


def settled(network: Network, parameters: Parameters, now: Instant, steps: int) -> State:
    """The state after some steps of a constant input, from random potentials."""
    draw = generator(3)
    state = tuple(
        block._replace(u=torch.randn(block.u.shape, generator=draw, dtype=torch.float64))
        for block in zero_state(network, parameters, BATCH)
    )
    for _ in range(steps):
        state = ordered_step(network, parameters, state, now, lambda output: now).state
    return state


def test_potentials_are_those_of_a_network_without_time_and_outputs_look_ahead() -> None:
    """With a smooth input: from layer to layer exactly, beside the continuous low-pass and its look-ahead to O(dt).

    Summed over time, outputs are those of F(x_low) but for both ends: they tell which values there were, not in which
    order.
    """
    measured = [gaps(dt) for dt in (0.2, 0.1, 0.05)]
    assert all(gap.layers < 1e-5 for gap in measured)  # exp(-14) of the transient is left
    for law in ("potentials", "rates", "evidence"):
        sizes = [getattr(gap, law) for gap in measured]
        orders = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(sizes)]
        assert min(orders) > 0.8, (law, sizes, orders)


def test_a_constant_input_is_answered_as_by_instantaneous_gle() -> None:
    """At any dt, exactly, after the transient."""
    network = network_of(dt=0.5)
    parameters, inputs = make_parameters(network), normal(1, BATCH, INPUTS, seed=5)
    now = Instant(inputs, None, None)
    step = ordered_step(network, parameters, settled(network, parameters, now, 80), now, lambda output: now)
    gle = ordered_step(
        replace(network, prospective="potential"), parameters, zero_state(network, parameters, BATCH), now, after(0)
    )
    torch.testing.assert_close(step.signals.output, gle.signals.output, rtol=0, atol=1e-13)
    for block, u in zip(step.state, without_time(network, parameters, inputs[0]), strict=True):
        torch.testing.assert_close(block.u[0, 0], u, rtol=0, atol=1e-13)


def rate_of(phi: str, dt: float) -> tuple[Tensor, Tensor]:
    u, current, tau = normal(4, 5, seed=1), normal(4, 5, seed=2), torch.tensor(TAU, dtype=torch.float64)
    return neurons.prospective_rate(ACTIVATIONS[phi], u, current, tau, tau, dt)


def test_linear_neurons_have_the_rates_of_gle() -> None:
    rate, slope = rate_of("identity", 0.3)
    torch.testing.assert_close(rate, normal(4, 5, seed=2), rtol=0, atol=1e-14)  # tau_m = tau_r: the current itself
    torch.testing.assert_close(slope, torch.ones_like(rate), rtol=0, atol=0)


@pytest.mark.parametrize("phi", ["tanh", "softplus"])
def test_a_rate_is_the_tangent_of_phi_in_the_limit(phi: str) -> None:
    u, ahead = normal(4, 5, seed=1), normal(4, 5, seed=2) - normal(4, 5, seed=1)
    now = ACTIVATIONS[phi].rate(u)
    slope = ACTIVATIONS[phi].slope(u, now)
    errors = []
    for dt in (1e-3, 5e-4):
        rate, ours = rate_of(phi, dt)
        errors.append([(rate - now - slope * ahead).abs().max().item(), (ours - slope).abs().max().item()])
    assert errors[0] == pytest.approx([2 * error for error in errors[1]], rel=0.02)


def cost_gradients(network: Network, parameters: Parameters, now: Instant, us: list[Tensor] | None) -> list[Tensor]:
    """The gradients of the cost by autograd: of the network without time, or with the given potentials held."""
    leaves, rate = [], now.inputs[0]
    for n, (layer, p) in enumerate(zip(network.layers, layerwise(network, parameters), strict=True)):
        weight, bias = (p[name][0].clone().requires_grad_() for name in ("weight", "bias"))
        leaves += [weight, bias]
        current = rate @ weight.T + bias
        if layer.phi != "tanh":
            rate = current
        elif us is None:
            rate = current.tanh()
        else:
            moved = 1 - math.exp(-network.dt / TAU)
            rate = us[n].tanh() + ((us[n] + moved * (current - us[n])).tanh() - us[n].tanh()) / moved
    assert now.target is not None
    cost = network.beta * (now.target[0] - rate).square().sum() / 2 / BATCH
    return list(torch.autograd.grad(cost, leaves))


@pytest.mark.parametrize("steps", [0, 80])
def test_gradients_are_autograd_s(steps: int) -> None:
    """At equilibrium those of the network without time; from any potentials those of the instant's own cost."""
    network = network_of(dt=0.5, beta=0.7)
    parameters = make_parameters(network)
    now = Instant(normal(1, BATCH, INPUTS, seed=5), normal(1, BATCH, OUTPUTS, seed=6), None)
    state = settled(network, parameters, now, steps)
    made = ordered_step(network, parameters, state, now, lambda output: now).gradients
    found = [gradient[name][0] for gradient in layerwise(network, made) for name in ("weight", "bias")]
    us = None if steps else [block.u[0, 0] for block in state]
    for one, other in zip(found, cost_gradients(network, parameters, now, us), strict=True):
        assert other.abs().max() > 1e-5
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_what_is_refused_and_what_runs_it() -> None:
    network = network_of()
    request = EngineRequest(network, GLE(), "cpu", torch.float32, None)
    native = choice.refusal("native", request)
    assert native is not None
    assert native.startswith(("prospective = 'rate' is not built in", "it is not here"))
    assert choice.choose("auto", request).engine == "torch"
    assert "traverses the layers in order" in str(GraphEngine().refusal(request._replace(device="cuda")))
    assert str(exact_refusal(network)).startswith("prospective = 'rate' lets rates look ahead, and the exact")
    layer = Layer(1, 1, (1.0,), (1.0,))
    with pytest.raises(
        UsageError, match="prospective = 'rate' is derived for integrator = 'exponential', not 'euler'; set that"
    ):
        Network((layer,), dt=0.1, prospective="rate")
    with pytest.raises(UsageError, match=r"^Unknown prospective 'rates'\. Did you mean 'rate'\?"):
        Network((layer,), dt=0.1, integrator="exponential", prospective="rates")  # type: ignore[arg-type]
