"""One layer's step: membrane, error and target, each equation of the paper once.

Shapes: neuron tensors are (..., B, N), time constants broadcast against them as (..., 1, N). All time constants and
`dt` share one arbitrary unit (paper, section 5.6.2).
"""

import torch
from torch import Tensor


def membrane_step(u: Tensor, current: Tensor, tau_m: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Eqs. 46 and 48, forward Euler: the potential after dt, and its derivative now."""
    u_dot = (current - u) / tau_m
    return torch.add(u, u_dot, alpha=dt), u_dot


def prospective(u: Tensor, u_dot: Tensor, tau: Tensor) -> Tensor:
    """Eq. 2: the prospective potential D^+_tau{u} = u + tau u_dot."""
    return torch.addcmul(u, tau, u_dot)


def error_step(v: Tensor, instantaneous: Tensor, tau_m: Tensor, tau_r: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Eqs. 45 and 49: the error potential v after dt, and the error e = D^+_{tau_m}{v}.

    Forward time constants switch their roles: v integrates with tau_r, e looks ahead with tau_m. For tau_m = tau_r the
    error equals the instantaneous one exactly.
    """
    v_dot = (instantaneous - v) / tau_r
    return torch.add(v, v_dot, alpha=dt), prospective(v, v_dot, tau_m)


def instantaneous_error(slope: Tensor, feedback: Tensor) -> Tensor:
    """Eqs. 17 and 18: e_inst = phi' o feedback, with W^T e of the layer above or, at the output, the nudging."""
    return slope * feedback


def nudging(prediction: Tensor, target: Tensor, beta: float, mask: Tensor | None = None) -> Tensor:
    """Eq. 18 without its phi': beta (r_trg - r_L).

    Args:
        prediction: what the cost compares with the target: the rates (Eq. 51), or their softmax (Eqs. 53, 54).
        target: target rates, or one-hot classes.
        beta: strength of the nudging.
        mask: (..., B, 1), 1 where the cost counts and 0 where it does not; None: everywhere.
    """
    error = (target - prediction) * beta
    return error if mask is None else error * mask
