"""GLE's error beside the adjoint's, in one neuron: one phase, a known gain, and their correlation.

The nudging is a given signal, because the input is zero and the output with it. What GLE makes of the nudging of a
step, the adjoint makes one step earlier: a step teaches by the cost of the next one.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gle_bench.contracts import OnlineRule
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.seams import Moment, Observer, Seams, Signal
from gle_bench.dynamics.state import initial_parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.rules.adjoint import Adjoint
from gle_bench.rules.gle import GLE

PERIOD, PERIODS = 120, 9  # steps; the errors of the middle period know neither the start nor the end
TAUS = pytest.mark.parametrize(("tau_m", "tau_r", "dt"), [(1.2, 0.2, 0.2), (1.0, 0.1, 0.05), (0.5, 2.0, 0.1)])


class Errors(Observer):
    """Keeps the errors of the steps."""

    def __init__(self, steps: int) -> None:
        self.errors = torch.full((steps,), torch.nan, dtype=torch.float64)

    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        if signal == "error":
            self.errors[moment.step] = tensor.squeeze()


def errors(rule: OnlineRule, tau_m: float, tau_r: float, dt: float, signal: Tensor) -> Tensor:
    """The errors of the middle period, where the nudging is a periodic signal; the adjoint's one step earlier."""
    network = Network((Layer(1, 1, (tau_m,), (tau_r,), phi="identity", bias=False),), dt, loss="mse")
    parameters = initial_parameters(network, [torch.ones(1, 1, dtype=torch.float64)], [None])
    steps = PERIOD * PERIODS
    target = signal.repeat(PERIODS)[None, None, :, None]
    observer = Errors(steps)
    window, state = Window(steps, torch.zeros_like(target), target, None), zero_state(network, parameters, 1)
    TorchEngine().gradients(network, rule, parameters, state, window, seams=Seams((observer,)))
    begin = PERIOD * (PERIODS // 2) - isinstance(rule, Adjoint)
    return observer.errors[begin : begin + PERIOD]


def transfer(tau_m: float, tau_r: float, dt: float, omega: Tensor) -> Tensor:
    """F of a tone: from a neuron's current to its prospective potential."""
    k, alpha, delay = dt / tau_m, tau_r / tau_m, torch.exp(-1j * omega * dt)
    return (alpha + (k - alpha) * delay) / (1 - (1 - k) * delay)


@TAUS
def test_both_errors_have_one_phase_and_gains_that_are_inverse(tau_m: float, tau_r: float, dt: float) -> None:
    """At every frequency of the period but that of two steps: F^-1 for GLE, the conjugate of F for the adjoint."""
    signal = torch.randn(PERIOD, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    omega = 2 * math.pi * torch.arange(PERIOD // 2, dtype=torch.float64) / (PERIOD * dt)
    spectrum, gle, adjoint = (
        torch.fft.fft(each)[: PERIOD // 2]
        for each in (signal, *(errors(rule, tau_m, tau_r, dt, signal) for rule in (GLE(), Adjoint())))
    )
    filtered = transfer(tau_m, tau_r, dt, omega)
    assert_close(gle / spectrum, 1 / filtered, rtol=1e-9, atol=1e-9)
    assert_close(adjoint / spectrum, filtered.conj(), rtol=1e-9, atol=1e-9)
    assert_close(gle / adjoint, (filtered.abs() ** -2).to(gle), rtol=1e-8, atol=0)


@TAUS
def test_their_correlation_is_the_power_of_the_instantaneous_error(tau_m: float, tau_r: float, dt: float) -> None:
    """E[lambda e] = E[i^2], so that GLE's error never points against the adjoint's."""
    signal = torch.randn(PERIOD, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gle, adjoint = (errors(rule, tau_m, tau_r, dt, signal) for rule in (GLE(), Adjoint()))
    assert_close((gle * adjoint).mean(), (signal**2).mean(), rtol=1e-9, atol=0)
    assert (gle**2).mean() * (adjoint**2).mean() > 1.1 * (signal**2).mean() ** 2  # they are not the same
