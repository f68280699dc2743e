"""The pieces of local rules: filters of errors against the discrete adjoint, delays, and traces."""

from dataclasses import replace
from math import pi
from typing import Any

import pytest
import torch
from exact import worst
from local_rules import gradients, local
from networks import make_batch, make_network, make_parameters, normal
from torch import Tensor
from torch.testing import assert_close

from gle_bench.dynamics import local as equations
from gle_bench.dynamics.adjoint import exact_errors
from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.convolution import Convolution, MaxPool
from gle_bench.dynamics.local_memory import EMPTY, BlockMemory, delays, nested, populations
from gle_bench.dynamics.network import Layer, Network, relay_layer
from gle_bench.dynamics.state import initial_parameters, zero_state
from gle_bench.dynamics.tape import BlockTape, Tape
from gle_bench.dynamics.window import Window

TAUS = ((1.2, 0.6, 1.0, 0.5), (0.2, 0.2, 0.1, 2.0))  # tau_m, tau_r of four neurons


class Neurons:
    """Unconnected neurons under errors that are given, (T, B, N): what GLE, or the adjoint, makes of them."""

    def __init__(self, dt: float, tau_m: tuple[float, ...] = TAUS[0], tau_r: tuple[float, ...] = TAUS[1]) -> None:
        count = len(tau_m)
        self.network = Network((Layer(count, count, tau_m, tau_r, "identity"),), dt, loss="mse")
        self.parameters = initial_parameters(
            self.network, [torch.eye(count, dtype=torch.float64)], [torch.zeros(count, dtype=torch.float64)]
        )
        self.tau_m, self.tau_r = (torch.tensor([[tau]], dtype=torch.float64) for tau in (tau_m, tau_r))

    def adjoint(self, instant: Tensor) -> Tensor:
        """lambda, from the end of the series backward."""
        ahead = torch.cat([torch.zeros_like(instant[:1]), instant])[None]  # a step is nudged at its end
        ones = torch.ones_like(ahead)[None]
        tape = Tape((BlockTape(ones, ones, None),), ahead)
        (errors,) = exact_errors(self.network, self.parameters, tape, [ones[:, :, 0]])
        assert errors is not None
        assert torch.equal(errors.instantaneous[0, 0, :-1], instant)
        return errors.error[0, 0, :-1]

    def sent(self, instant: Tensor, memory: BlockMemory = EMPTY, **choices: Any) -> tuple[Tensor, list[BlockMemory]]:
        """The errors that a rule sends, and what it remembers after each step."""
        (state,) = zero_state(self.network, self.parameters, instant.shape[1])
        sent, memories = [], []
        options, (block,) = LocalOptions(**choices), self.network.blocks
        for now in instant[:, None, None]:
            result, memory = equations.sent_error(
                options, block, state, now, (self.tau_m, self.tau_r), self.network.dt, memory
            )
            state = state._replace(v=result.v, e=result.e)
            sent.append(result.e[0, 0])
            memories.append(memory)
        return torch.stack(sent), memories

    def transfer(self, omega: float) -> Tensor:
        """F of each neuron, in the closed form."""
        dt, alpha = self.network.dt, self.tau_r / self.tau_m
        k, q = dt / self.tau_m, torch.tensor(-1j * omega * dt, dtype=torch.complex128).exp()
        return ((alpha + (k - alpha) * q) / (1 - (1 - k) * q)).flatten()


def tone(omega: float, dt: float, steps: int) -> Tensor:
    """cos and sin, (T, 2, 4): two samples, which a linear filter takes for the parts of exp(i omega t)."""
    phase = omega * dt * torch.arange(steps, dtype=torch.float64)
    return torch.stack([phase.cos(), phase.sin()], 1)[:, :, None].expand(-1, -1, 4)


def response(signal: Tensor, of: Tensor, at: int) -> Tensor:
    """The complex gain of each neuron at one step, (N,)."""
    return torch.complex(*signal[at].unbind()) / torch.complex(*of[at].unbind())


# Errors that are sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [0.1, 0.02])
@pytest.mark.parametrize("omega", [0.3, 1.0, 3.0, 10.0])
def test_gle_s_error_has_the_phase_of_the_adjoint_and_a_gain_that_differs_by_the_membrane_s(
    omega: float, dt: float
) -> None:
    """Exactly at every dt; in the limit of small dt the gain is that of the continuous filters."""
    own, steps = Neurons(dt), round(60 / dt)
    instant = tone(omega, dt, steps)
    error, exact = response(own.sent(instant)[0], instant, -1), response(own.adjoint(instant), instant, 0)
    gain = (error / exact).abs()
    assert_close((error / exact).angle(), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-8)
    assert_close(gain, own.transfer(omega).abs() ** -2, rtol=1e-8, atol=0)
    assert_close(exact, own.transfer(omega).conj(), rtol=1e-8, atol=1e-10)
    if omega * dt <= 0.06:
        square = (omega * torch.stack([own.tau_m, own.tau_r])).flatten(1) ** 2
        assert_close(gain, (1 + square[0]) / (1 + square[1]), rtol=0.02, atol=0)


def test_error_and_adjoint_correlate_as_the_instantaneous_error_with_itself() -> None:
    """E[lambda e] = E[i^2] of coloured noise; exact in a sum over a whole series that starts at rest."""
    own, noise = Neurons(0.1), normal(2400, 300, 4, seed=1)
    for _ in range(2):  # two poles
        coloured, level = [], torch.zeros(300, 4, dtype=torch.float64)
        for drive in noise:
            level = level + (drive - level) / 5
            coloured.append(level)
        noise = torch.stack(coloured)
    error, exact = own.sent(noise)[0], own.adjoint(noise)
    assert_close((error * exact).sum((0, 1)), noise.square().sum((0, 1)), rtol=1e-10, atol=0)
    middle = slice(200, 2200)
    expected = noise[middle].square().mean((0, 1))
    assert_close((error * exact)[middle].mean((0, 1)), expected, rtol=1e-3, atol=0)


PERIOD = 40  # steps of a tone
TONE = 2 * pi / (PERIOD * 0.1)


def means(signal: Tensor) -> Tensor:
    """Mean squares over the last whole period, as a block remembers them."""
    return signal[-PERIOD:].square().mean(0)[None, None]


def test_a_tone_through_gle_gain_has_the_amplitude_of_the_adjoint() -> None:
    """With its moments at their means over whole periods, and so long an average that they stay."""
    own, instant = Neurons(0.1), tone(TONE, 0.1, 600)
    error = own.sent(instant)[0]
    fixed = BlockMemory(instant_square=means(instant), error_square=means(error))
    gained, memories = own.sent(instant, fixed, sent="gain", gain_time=1e300)
    assert torch.equal(memories[-1].error_square, fixed.error_square)
    assert_close(gained[400], own.adjoint(instant)[400 - 4 * PERIOD], rtol=0, atol=1e-6)
    assert (error[400] - gained[400]).abs().max() > 0.5


def test_the_moments_of_gle_gain_begin_at_ratio_one_and_go_to_the_membrane_s_gain() -> None:
    own, instant, none = Neurons(0.1), tone(TONE, 0.1, 3000), torch.zeros(1, 1, 2, 4, dtype=torch.float64)
    error = own.sent(instant)[0]
    gained, memories = own.sent(instant, BlockMemory(instant_square=none, error_square=none), sent="gain")
    assert torch.equal(gained[0], error[0])
    squares = [
        torch.stack([getattr(memory, name) for memory in memories[-PERIOD:]]).mean((0, 1, 2, 3))
        for name in ("instant_square", "error_square")
    ]
    assert_close(squares[0] / squares[1], own.transfer(TONE).abs() ** 2, rtol=1e-6, atol=0)
    assert_close(equations.gain(none, none), none + 1)


@pytest.mark.parametrize("omega", [0.2, 1.0])
def test_the_low_pass_filter_delays_the_phase_by_that_of_its_time_constant(omega: float) -> None:
    """-arctan(omega tau_s), to first order in dt."""
    away = []
    for dt in (0.04, 0.02):
        own = Neurons(dt)
        instant = tone(omega, dt, round(40 / dt))
        low, error = (own.sent(instant, sent=sent, lowpass_tau=0.7)[0] for sent in ("lowpass", "gle"))
        phase = response(low, error, -1).angle()
        away.append((phase + torch.tensor(0.7 * omega, dtype=torch.float64).arctan()).abs().max())
    assert 0 < away[0] < omega * 0.04
    assert away[1] / away[0] == pytest.approx(0.5, abs=0.05)


def test_clipped_errors_keep_their_sign_and_small_ones_all_of_it() -> None:
    own, instant = Neurons(0.1), normal(50, 3, 4, seed=1)
    error, clipped = own.sent(instant)[0], own.sent(instant, sent="clipped", clip=0.8)[0]
    small = error.abs() <= 0.8
    assert torch.equal(clipped[small], error[small])
    assert torch.equal(clipped[~small], 0.8 * error[~small].sign())
    assert 0.1 < small.double().mean() < 0.9


def test_errors_without_filters_are_what_arrives_or_its_share_within_a_step() -> None:
    own, instant = Neurons(0.1), normal(5, 3, 4, seed=1)
    assert torch.equal(own.sent(instant, sent="instantaneous")[0], instant)
    jacobian = own.sent(instant, sent="instantaneous", own="trace", signal="jacobian")[0]
    assert_close(jacobian, instant * (own.tau_r / own.tau_m)[0])


# Delays ---------------------------------------------------------------------------------------------------------------


def test_errors_wait_a_step_a_layer_upwards_and_downwards() -> None:
    network = make_network((3, 5, 5, 5, 4))
    assert delays(network, LocalOptions()) == [[7], [5, 3], [1]]
    assert delays(network, LocalOptions(feedback="broadcast")) == [[4], [3, 2], [1]]


def test_a_relay_delays_rates_alone() -> None:
    convolution, pooling = Convolution((1, 4, 4), 2, 3), MaxPool((2, 2, 2))
    taus = ((1.0,), (1.0,))
    layers = (Layer(*convolution.sizes, *taus, connection=convolution), relay_layer(pooling), Layer(2, 3, *taus))
    assert delays(Network(layers, 0.1), LocalOptions()) == [[4], [3], [1]]
    assert delays(Network(layers, 0.1), LocalOptions(feedback="broadcast")) == [[3], [2], [1]]


def test_a_delay_line_gives_what_entered_it_so_many_steps_ago() -> None:
    signal, line, late = normal(9, 2, 1, 3, seed=1), torch.zeros(2, 1, 4, 3, dtype=torch.float64), []
    for now in signal:
        out, line = equations.delayed(line, now, [4, 1])
        late.append(out)
    assert line.shape == (2, 1, 4, 3)
    for layer, steps in enumerate((4, 1)):
        assert not any(out[layer].any() for out in late[:steps])
        assert torch.equal(torch.stack(late[steps:])[:, layer], signal[: 9 - steps, layer])
    assert torch.equal(equations.delayed(line, signal[0], [0, 0])[0], signal[0])


# Traces ---------------------------------------------------------------------------------------------------------------


def test_the_trace_of_a_tone_is_that_of_the_membrane() -> None:
    """From the gradient of W over that of b, whose trace is 1; two members see cos and sin."""
    dt, steps = 0.1, 400
    network = Network((Layer(1, 4, *TAUS, "identity"),), dt, loss="mse")
    parameters = make_parameters(network)
    parameters = tuple(type(p)(*(None if x is None else x.expand(-1, 2, *x.shape[2:]) for x in p)) for p in parameters)
    signal = tone(2.0, dt, steps)[:, :, :1]
    target = torch.full((1, 1, 1, 4), 9.0, dtype=torch.float64)
    window = Window(steps, signal.transpose(0, 1)[:, None], target, None)
    made = gradients(local("eprop"), network, parameters, window, every=1).windowed[-1][0]
    assert made.weight is not None
    assert made.bias is not None
    trace = (made.weight[0, :, :, 0] / made.bias[0, :, 0])[None].expand(1, 2, 4)
    transfer = Neurons(dt).transfer(2.0)
    assert_close(response(trace, signal[-1:], 0), transfer, rtol=1e-8, atol=1e-10)
    assert (transfer.abs() - 1).abs().min() > 0.1  # another filter, or none, would show


SHARED = (0.3, 0.8, 0.3, 0.8)
ALONE = (0.3, 0.8, 0.4, 0.5)


@pytest.mark.parametrize("tau_m", [(SHARED, SHARED), (ALONE, SHARED), (SHARED, ALONE), ((0.3,), SHARED)])
@pytest.mark.parametrize("rule", ["eprop", "eprop-full", "rflo"])
def test_neurons_of_one_population_share_a_trace(rule: str, tau_m: tuple[tuple[float, ...], ...]) -> None:
    """As though each had its own, which it has where time constants learn; in layers of one block, too."""
    network = make_network((4, 4, 4, 3))
    layers = (replace(layer, tau_m=tau, tau_r=(0.5,)) for layer, tau in zip(network.layers, tau_m, strict=False))
    network = replace(network, layers=(*layers, network.layers[-1]))
    parameters, window = make_parameters(network, members=2), make_batch(network, 15, 3, members=2)
    assert len(network.blocks) == 2
    shared = gradients(local(rule), network, parameters, window).accumulated
    single = gradients(local(rule), replace(network, learn_tau_m=True), parameters, window).accumulated
    assert worst(shared, tuple(block._replace(tau_m=None) for block in single)) < 1e-12


def test_populations_are_the_neurons_of_equal_time_constants() -> None:
    layer = Layer(2, 4, SHARED, (0.5,))
    network = Network((layer, Layer(4, 4, (0.3,), (0.5, 0.5, 0.2, 0.2)), Layer(4, 3, (1.0,), (1.0,))), 0.1)
    first, members = populations(network, network.blocks[0])
    assert first.tolist() == [[0, 1]]
    assert members.tolist() == [[[1, 0, 1, 0], [0, 1, 0, 1]]]
    assert populations(network, network.blocks[1]).members.tolist() == [[[1, 1, 0, 0], [0, 0, 1, 1]]]
    learning = replace(network, learn_tau_r=True)
    assert torch.equal(populations(learning, network.blocks[0]).members[0], torch.eye(4))


def test_there_is_a_trace_a_population_and_none_where_nothing_learns() -> None:
    network = Network((Layer(2, 4, SHARED, (0.5,)), Layer(4, 3, (1.0,), (1.0,), bias=False)), 0.1)
    rule, parameters = local("eprop"), make_parameters(network)
    memory = nested(network, rule.choices, rule.start(network, parameters, 5, (1,)))
    assert [tuple(block.trace.shape) for block in memory if block.trace is not None] == [
        (1, 1, 2, 5, 2),
        (1, 1, 1, 5, 4),
    ]
    assert [block.bias_trace is None for block in memory] == [False, True]
