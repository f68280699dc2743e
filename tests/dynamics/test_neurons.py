"""Tests of one neuron against solutions in closed form, and of the temporal operators against Eqs. 28-32."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gle_bench.dynamics import operators as op
from gle_bench.dynamics.neurons import error_step, instantaneous_error, membrane_step, nudging

TAU_M, TAU_R = 0.8, 0.3
TAUS = st.floats(0.05, 20)
OMEGA = 3.0

# Input I(t) and the potential u(t) of a neuron at rest that receives it.
RESPONSES = {
    "step": (lambda t: torch.ones_like(t), lambda t: 1 - (-t / TAU_M).exp()),
    "ramp": (lambda t: t, lambda t: t - TAU_M * (1 - (-t / TAU_M).exp())),
    "sine": (
        lambda t: (OMEGA * t).sin(),
        lambda t: (
            ((OMEGA * t).sin() + OMEGA * TAU_M * ((-t / TAU_M).exp() - (OMEGA * t).cos())) / (1 + (OMEGA * TAU_M) ** 2)
        ),
    ),
}


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def errors(name: str, dt: float) -> tuple[float, float]:
    """The largest errors of a simulated membrane potential and of its prospective rate over 4 time units."""
    current, potential = RESPONSES[name]
    t = torch.arange(round(4 / dt), dtype=torch.float64) * dt
    tau_m, tau_r, u = scalar(TAU_M), scalar(TAU_R), scalar(0.0)
    us, rates = [], []
    for value in current(t):
        us.append(u)
        u, ahead = membrane_step(u, value, tau_m, tau_r, dt)
        rates.append(ahead)
    expected = potential(t)
    expected_ahead = expected + TAU_R * (current(t) - expected) / TAU_M
    return tuple(
        (torch.stack(got) - want).abs().max().item() for got, want in ((us, expected), (rates, expected_ahead))
    )


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_follow_their_closed_forms_to_first_order(name: str) -> None:
    coarse, fine = errors(name, 0.002), errors(name, 0.001)
    for a, b in zip(coarse, fine, strict=True):
        assert b < 1e-3
        assert math.log2(a / b) == pytest.approx(1, abs=0.02)


def test_a_step_response_is_the_integrators_own_to_rounding() -> None:
    u, current, tau = scalar(0.2), scalar(1.5), scalar(TAU_M)
    for _ in range(50):
        u, _ = membrane_step(u, current, tau, tau, 0.1)
    assert u.item() == pytest.approx(1.5 + (0.2 - 1.5) * (1 - 0.1 / TAU_M) ** 50, abs=1e-14)


def test_the_paper_s_small_equations() -> None:
    x = torch.tensor([0.2, -0.7], dtype=torch.float64)
    torch.testing.assert_close(instantaneous_error(x, x), x * x)
    torch.testing.assert_close(nudging(x, x + 1, 0.5), torch.full_like(x, 0.5))
    torch.testing.assert_close(
        nudging(x, x + 1, 0.5, torch.tensor([1.0, 0.0], dtype=torch.float64)),
        torch.tensor([0.5, 0.0], dtype=torch.float64),
    )


@given(tau=TAUS, v=st.floats(-9, 9), i=st.floats(-9, 9))
def test_equal_time_constants_hand_the_error_through(tau: float, v: float, i: float) -> None:
    taus = scalar(tau)
    _, e = error_step(scalar(v), scalar(i), taus, taus, 0.05)
    assert e.item() == pytest.approx(i, abs=1e-12)


SIGNAL = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PER_NEURON = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)


@pytest.mark.parametrize("tau", [0.7, PER_NEURON])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_operators_are_pairwise_inverse(tau: float | Tensor, dim: int) -> None:
    x = SIGNAL.movedim(0, dim)
    d_x = op.d_plus(x, tau, 0.1, dim=dim)
    for same in (
        op.d_plus(op.i_minus(x, tau, 0.1, dim=dim), tau, 0.1, dim=dim),
        op.d_minus(op.i_plus(x, tau, 0.1, dim=dim), tau, 0.1, dim=dim),
        op.i_minus(d_x, tau, 0.1, dim=dim, start=SIGNAL[0]),
        op.i_plus(op.d_minus(x, tau, 0.1, dim=dim), tau, 0.1, dim=dim, end=SIGNAL[-1]),
    ):
        torch.testing.assert_close(same, x, rtol=0, atol=1e-12)


def test_operators_are_the_networks_own_steps() -> None:
    """The operators of Eqs. 44 and 45: r = D^+_{tau_r}{I^-_{tau_m}{I}}, e = D^+_{tau_m}{I^-_{tau_r}{e_inst}}."""
    tau_m, tau_r = PER_NEURON, PER_NEURON.flip(0)
    u = v = torch.zeros(3, dtype=torch.float64)
    ahead, e = [], []
    for x in SIGNAL:
        u, potential = membrane_step(u, x, tau_m, tau_r, 0.1)
        ahead.append(potential)
        v, error = error_step(v, x, tau_m, tau_r, 0.1)
        e.append(error)
    for mine, outer, inner in ((ahead, tau_r, tau_m), (e, tau_m, tau_r)):
        torch.testing.assert_close(torch.stack(mine), op.d_plus(op.i_minus(SIGNAL, inner, 0.1), outer, 0.1))


OMEGAS = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)[:, None]
PAIRS = torch.tensor([[2.0, 0.5], [0.5, 2.0], [1.0, 1.0], [0.7, 0.1]], dtype=torch.float64)
T_M, T_R = PAIRS.T
DT = 0.05

# Each filter, and its transfer function.
FILTERS = {
    "I-": (lambda x: op.i_minus(x, T_R, DT)[:-1], lambda w, dt: op.i_minus_transfer(w, T_R, dt)),
    "D+": (lambda x: op.d_plus(x, T_M, DT), lambda w, dt: op.d_plus_transfer(w, T_M, dt)),
    "I+": (lambda x: op.i_plus(x, T_M, DT)[1:], lambda w, dt: op.i_plus_transfer(w, T_M, dt)),
    "D-": (
        lambda x: torch.cat([x[:1], op.d_minus(x, T_R, DT)]),
        lambda w, dt: op.d_minus_transfer(w, T_R, dt),
    ),
    "GLE error": (
        lambda x: op.d_plus(op.i_minus(x, T_R, DT), T_M, DT),
        lambda w, dt: op.error_transfer(w, T_M, T_R, dt),
    ),
    "adjoint": (
        lambda x: op.i_plus(op.d_minus(x, T_R, DT), T_M, DT),
        lambda w, dt: op.adjoint_transfer(w, T_M, T_R, dt),
    ),
}


def measured(name: str) -> Tensor:
    """The complex gain (omega, tau) of a filter, measured with sines far from both ends."""
    steps = torch.arange(3600, dtype=torch.float64)
    t = (steps * DT)[:, None, None]
    y = FILTERS[name][0]((OMEGAS * t).sin().expand(-1, -1, len(PAIRS)))
    gains = []
    for row, omega in enumerate(OMEGAS):
        phase = omega * t[1500:2100, 0]
        fit = torch.linalg.lstsq(torch.cat([phase.sin(), phase.cos()], 1), y[1500:2100, row]).solution
        gains.append(torch.complex(fit[0], fit[1]))
    return torch.stack(gains)


@pytest.mark.parametrize("name", FILTERS)
def test_simulated_sines_have_the_discrete_transfer_function(name: str) -> None:
    torch.testing.assert_close(measured(name), FILTERS[name][1](OMEGAS, DT), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", FILTERS)
def test_discrete_transfer_functions_approach_eq_28_to_first_order(name: str) -> None:
    transfer = FILTERS[name][1]
    coarse, fine = ((transfer(OMEGAS, dt) - transfer(OMEGAS, 0.0)).abs().max().item() for dt in (2e-4, 1e-4))
    assert coarse < 1e-2
    assert math.log2(coarse / fine) == pytest.approx(1, abs=0.01)


def test_the_error_is_in_phase_with_the_adjoint_and_their_gains_are_inverse() -> None:
    """Eqs. 25, 30 and 32 hold on simulated signals up to rounding, since the discretisation keeps phase and gain."""
    error, adjoint = measured("GLE error"), measured("adjoint")
    torch.testing.assert_close(error.angle(), adjoint.angle(), rtol=0, atol=1e-9)
    torch.testing.assert_close(error.abs(), 1 / adjoint.abs(), rtol=1e-9, atol=0)


@given(omega=st.floats(1e-3, 1e3), tau_m=TAUS, tau_r=TAUS)
def test_phases_and_gains_of_eqs_29_to_32(omega: float, tau_m: float, tau_r: float) -> None:
    w = scalar(omega)
    lead, lag = math.atan(omega * tau_m), math.atan(omega * tau_r)
    gain_m, gain_r = math.hypot(1, omega * tau_m), math.hypot(1, omega * tau_r)
    for transfer, phase, gain in (
        (op.d_plus_transfer(w, tau_m), lead, gain_m),
        (op.i_plus_transfer(w, tau_m), lead, 1 / gain_m),
        (op.d_minus_transfer(w, tau_r), -lag, gain_r),
        (op.i_minus_transfer(w, tau_r), -lag, 1 / gain_r),
        (op.error_transfer(w, tau_m, tau_r), lead - lag, gain_m / gain_r),
        (op.adjoint_transfer(w, tau_m, tau_r), lead - lag, gain_r / gain_m),
    ):
        assert transfer.angle().item() == pytest.approx(phase, abs=1e-12)
        assert transfer.abs().item() == pytest.approx(gain, rel=1e-12)


@given(omega=st.floats(0, 1e4), tau_m=TAUS, tau_r=TAUS)
def test_the_gain_mismatch_is_bounded(omega: float, tau_m: float, tau_r: float) -> None:
    """The text below Eq. 32: GLE's gain over the adjoint's lies between 1 and (tau_m/tau_r)^2."""
    w = scalar(omega)
    ratio = (op.error_transfer(w, tau_m, tau_r) / op.adjoint_transfer(w, tau_m, tau_r)).abs().item()
    low, high = sorted((1.0, (tau_m / tau_r) ** 2))
    assert low * (1 - 1e-9) <= ratio <= high * (1 + 1e-9)
