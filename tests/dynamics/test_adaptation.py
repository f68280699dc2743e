"""Neurons with adaptive currents obey Eqs. 33 to 39, and forward and error neurons undo each other."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gle_bench.dynamics import operators as op
from gle_bench.dynamics.adaptation import AdaptiveNeuron, InputAdaptation, VoltageAdaptation

TAUS = st.floats(0.1, 10)
OMEGA = torch.logspace(-3, 2, 30, dtype=torch.float64)
KINDS = pytest.mark.parametrize("kind", [VoltageAdaptation, InputAdaptation])


def phase(neuron: AdaptiveNeuron, omega: float) -> float:
    return neuron.transfer(torch.tensor(omega, dtype=torch.float64)).angle().item()


@given(tau_m=TAUS, tau_r=TAUS)
def test_errors_undo_the_shift_and_the_gain_of_their_neurons(tau_m: float, tau_r: float) -> None:
    both = op.forward_transfer(OMEGA, tau_m, tau_r) * op.error_transfer(OMEGA, tau_m, tau_r)
    torch.testing.assert_close(both, torch.ones_like(both))
    torch.testing.assert_close(
        op.forward_transfer(OMEGA, tau_m, tau_r).abs(), op.adjoint_transfer(OMEGA, tau_m, tau_r).abs()
    )


@KINDS
def test_without_adaptation_a_neuron_is_a_leaky_integrator(kind: type[AdaptiveNeuron]) -> None:
    torch.testing.assert_close(kind(0.7, 2.0, 0.0).transfer(OMEGA).angle(), -(OMEGA * 0.7).arctan())


@KINDS
@given(tau_m=TAUS, tau_w=TAUS, share=st.floats(0.02, 0.98))
def test_phases_begin_with_the_first_order_and_cross_zero_where_told(
    kind: type[AdaptiveNeuron], tau_m: float, tau_w: float, share: float
) -> None:
    """A neuron is prospective for slow input exactly when its adaptation is stronger than the paper's bound."""
    bound = tau_m / tau_w if kind is VoltageAdaptation else tau_m / (tau_m + tau_w)
    neuron = kind(tau_m, tau_w, share * 2 * bound if kind is VoltageAdaptation else share)
    slow = 1e-5
    assert phase(neuron, slow) / slow == pytest.approx(neuron.advance, rel=1e-3, abs=1e-6)
    assert (neuron.advance > 0) == (neuron.gamma > bound) or math.isclose(neuron.gamma, bound)
    if neuron.crossing is None:
        assert neuron.advance <= 1e-12
    elif neuron.crossing > 1e-3:
        assert abs(phase(neuron, neuron.crossing)) < 1e-9
        assert phase(neuron, 0.99 * neuron.crossing) > 0 > phase(neuron, 1.01 * neuron.crossing)
