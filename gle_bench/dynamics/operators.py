"""The paper's temporal operators, as filters of sampled signals and as transfer functions.

    I^-_tau{x}(t) = 1/tau int_-inf^t x(s) exp(-(t - s)/tau) ds   retrospective, Eq. 1
    D^+_tau{x}(t) = (1 + tau d/dt) x(t)                          prospective, Eq. 2; inverse of I^-
    I^+_tau{x}(t) = 1/tau int_t^inf x(s) exp((t - s)/tau) ds     adjoint of I^-, below Eq. 10
    D^-_tau{x}(t) = (1 - tau d/dt) x(t)                          adjoint of D^+, below Eq. 10; inverse of I^+

The filters step as the network does: forward Euler for the integrals, one-sided differences for the derivatives, both
of first order in dt. An integral therefore has one sample more than its argument (its value before the first step and
after each one) and a derivative has one less, so that pairs of them keep length and place, and D^+ I^- and D^- I^+ are
the identity to rounding. I^- runs forward and I^+ backward in time: sample k of the result lies at step

    I^- : k    D^+ : k    I^+ : k - 1    D^- : k + 1

Time runs along `dim`; `tau` and the filters' `dt` are one value, or expand to one time step of the signal. In frequency
space the difference quotients make i omega into s = (exp(i omega dt) - 1)/dt, and nothing else changes: with their
argument `dt`, the transfer functions below are those of the discrete filters, exactly.
"""

import torch
from torch import Tensor


def i_minus(x: Tensor, tau: Tensor | float, dt: Tensor | float, *, dim: int = 0, start: Tensor | float = 0.0) -> Tensor:
    """Eq. 1, I^-: T samples -> T + 1. `start` is the value before the first step, left by all earlier input."""
    steps = x.movedim(dim, 0)
    share = dt / torch.as_tensor(tau, dtype=x.dtype, device=x.device)
    now = torch.as_tensor(start, dtype=x.dtype, device=x.device)
    values = [now.expand(steps.shape[1:])]
    for sample in steps.unbind():
        values.append(torch.lerp(values[-1], sample, share))
    return torch.stack(values).movedim(0, dim)


def d_plus(x: Tensor, tau: Tensor | float, dt: Tensor | float, *, dim: int = 0) -> Tensor:
    """Eq. 2, D^+: T samples -> T - 1, by forward differences."""
    steps = x.movedim(dim, 0)
    return (steps[:-1] + tau * (steps.diff(dim=0) / dt)).movedim(0, dim)


def i_plus(x: Tensor, tau: Tensor | float, dt: Tensor | float, *, dim: int = 0, end: Tensor | float = 0.0) -> Tensor:
    """Below Eq. 10, I^+: T samples -> T + 1, backward in time. `end` is the value at the step of the last sample."""
    return i_minus(x.flip(dim), tau, dt, dim=dim, start=end).flip(dim)


def d_minus(x: Tensor, tau: Tensor | float, dt: Tensor | float, *, dim: int = 0) -> Tensor:
    """Below Eq. 10, D^-: T samples -> T - 1, by backward differences."""
    return d_plus(x.flip(dim), tau, dt, dim=dim).flip(dim)


def d_plus_transfer(omega: Tensor, tau: Tensor | float, dt: float = 0.0) -> Tensor:
    """Eq. 28: the transfer function of D^+, 1 + i omega tau."""
    return 1 + tau * _derivative(omega, dt)


def i_minus_transfer(omega: Tensor, tau: Tensor | float, dt: float = 0.0) -> Tensor:
    """Eq. 28: the transfer function of I^-, 1/(1 + i omega tau). The minus sign in Eq. 27's denominator is an error."""
    return 1 / d_plus_transfer(omega, tau, dt)


def d_minus_transfer(omega: Tensor, tau: Tensor | float, dt: float = 0.0) -> Tensor:
    """Eq. 28: the transfer function of D^-, 1 - i omega tau."""
    return d_plus_transfer(omega, tau, dt).conj()


def i_plus_transfer(omega: Tensor, tau: Tensor | float, dt: float = 0.0) -> Tensor:
    """Eq. 28: the transfer function of I^+, 1/(1 - i omega tau)."""
    return 1 / d_minus_transfer(omega, tau, dt)


def forward_transfer(omega: Tensor, tau_m: Tensor | float, tau_r: Tensor | float, dt: float = 0.0) -> Tensor:
    """The transfer function of a GLE neuron, D^+_{tau_r} I^-_{tau_m}, from its input current (Eq. 44).

    It is the inverse of `error_transfer`: errors undo the phase shift and the gain of the neurons that they pass.
    """
    return d_plus_transfer(omega, tau_r, dt) * i_minus_transfer(omega, tau_m, dt)


def error_transfer(omega: Tensor, tau_m: Tensor | float, tau_r: Tensor | float, dt: float = 0.0) -> Tensor:
    """The transfer function of a GLE error neuron, D^+_{tau_m} I^-_{tau_r}, from its instantaneous error (Eq. 15).

    `.angle()` is Eq. 30, arctan(omega tau_m) - arctan(omega tau_r), and `.abs()` is Eq. 32.
    """
    return d_plus_transfer(omega, tau_m, dt) * i_minus_transfer(omega, tau_r, dt)


def adjoint_transfer(omega: Tensor, tau_m: Tensor | float, tau_r: Tensor | float, dt: float = 0.0) -> Tensor:
    """The transfer function of the adjoint method, I^+_{tau_m} D^-_{tau_r} (Eq. 10): same phase, inverse gain."""
    return i_plus_transfer(omega, tau_m, dt) * d_minus_transfer(omega, tau_r, dt)


def _derivative(omega: Tensor, dt: float) -> Tensor:
    """The transfer function of d/dt (dt = 0), or of the forward difference over dt."""
    angle = torch.complex(torch.zeros_like(omega), omega)
    return torch.expm1(angle * dt) / dt if dt else angle
