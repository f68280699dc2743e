"""The equations of one layer's step: membrane, error and nudging, each equation of the paper once.

Shapes: neuron tensors are (..., B, N), time constants broadcast against them as (..., 1, N). All time constants and
`dt` share one arbitrary unit (paper, section 5.6.2).
"""

import torch
from torch import Tensor

from gle_bench.dynamics.activations import Activation


def leaky_step(x: Tensor, drive: Tensor, tau: Tensor, ahead: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """A leaky integrator tau x_dot = drive - x by forward Euler: x after dt, and D^+_ahead{x} = x + ahead x_dot now.

    Both are points on the line from x to its drive, and take one pass each over the neurons.
    """
    return torch.lerp(x, drive, dt / tau), prospective(x, drive, tau, ahead)


def prospective(x: Tensor, drive: Tensor, tau: Tensor, ahead: Tensor) -> Tensor:
    """D^+_ahead{x} = x + ahead x_dot of tau x_dot = drive - x: ahead/tau along the line from x to its drive.

    For ahead = tau it is the drive itself, exactly.
    """
    return torch.lerp(x, drive, ahead / tau)


def relaxed(x: Tensor, drive: Tensor, tau: Tensor, dt: float) -> Tensor:
    """The solution x(dt) of tau x_dot = drive - x, drive + (x - drive) exp(-dt/tau), exact for a constant drive."""
    return torch.lerp(x, drive, torch.expm1(-dt / tau).neg())


def membrane_step(u: Tensor, current: Tensor, tau_m: Tensor, tau_r: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Eqs. 44, 46 and 48: the potential u after dt, and the prospective potential D^+_{tau_r}{u}."""
    return leaky_step(u, current, tau_m, tau_r, dt)


def error_step(v: Tensor, instantaneous: Tensor, tau_m: Tensor, tau_r: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Eqs. 45 and 49: the error potential v after dt, and the error e = D^+_{tau_m}{v}.

    The time constants are exchanged compared with the membrane: v integrates with tau_r, e looks ahead with tau_m.
    """
    return leaky_step(v, instantaneous, tau_r, tau_m, dt)


def prospective_potential(u: Tensor, current: Tensor, tau_m: Tensor, tau_r: Tensor) -> Tensor:
    """Eqs. 44 and 46: the prospective potential D^+_{tau_r}{u} now; the rate is phi of it."""
    return prospective(u, current, tau_m, tau_r)


def prospective_rate(
    phi: Activation, u: Tensor, current: Tensor, tau_m: Tensor, tau_r: Tensor, dt: float
) -> tuple[Tensor, Tensor]:
    """Neuronal Least Action: the rate r = D^+_{tau_r}{phi(u)}, and the slope phi' that errors use.

    It is phi(u) + tau_r phi'(u) u_dot in the limit of small dt. Here the derivative is the difference of phi from u to
    u(dt), and the slope, tau_m/tau_r dr/dI, is phi'(u(dt)). Then a membrane that receives r undoes the look-ahead
    exactly at any dt; with phi'(u) u_dot itself the error grows with every layer and every weight.
    """
    following = relaxed(u, current, tau_m, dt)
    now, then = phi.rate(u), phi.rate(following)
    gain = tau_r / tau_m / torch.expm1(-dt / tau_m).neg()
    return torch.addcmul(now, gain, then - now), phi.slope(following, then)


def prospective_error(v: Tensor, instantaneous: Tensor, tau_m: Tensor, tau_r: Tensor) -> Tensor:
    """Eqs. 45 and 49: the error e = D^+_{tau_m}{v} now."""
    return prospective(v, instantaneous, tau_r, tau_m)


def membrane_derivative(u: Tensor, current: Tensor, tau_m: Tensor) -> Tensor:
    """Eq. 46: the derivative u_dot of the potential."""
    return (current - u) / tau_m


def error_derivative(v: Tensor, instantaneous: Tensor, tau_r: Tensor) -> Tensor:
    """Eq. 49: the derivative v_dot of the error potential."""
    return (instantaneous - v) / tau_r


def instantaneous_error(slope: Tensor, feedback: Tensor) -> Tensor:
    """Eqs. 17 and 18: the instantaneous error phi' o feedback, with W^T e from above or, at the output, the nudging."""
    return slope * feedback


def nudging(prediction: Tensor, target: Tensor, beta: float, mask: Tensor | None = None) -> Tensor:
    """Eq. 18 without its phi': the nudging of the output, beta (r_trg - r_L).

    Args:
        prediction: the rates (Eq. 51), or their softmax (Eqs. 53, 54), which the cost compares with the target.
        target: target rates, or one-hot classes.
        beta: strength of the nudging.
        mask: (..., B, 1), 1 where the cost counts and 0 where it does not; None: everywhere.
    """
    error = (target - prediction) * beta
    return error if mask is None else error * mask
