"""What lies between two layers: the current it carries forward, the error it carries back, and its local gradient.

Every connection works on G = K S networks at once (K stacked layers of S networks), by batched products. A connection
is a static description; its weights are passed in.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Connection(Protocol):
    """The three local operations of a synapse bundle. `plastic` says whether it learns."""

    @property
    def plastic(self) -> bool: ...

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        """W r + b: (G, B, N_in) -> (G, B, N)."""
        ...

    def feedback(self, weight: Tensor, error: Tensor) -> Tensor:
        """W^T e: (G, B, N) -> (G, B, N_in)."""
        ...

    def gradient(self, error: Tensor, rates: Tensor) -> Tensor:
        """Eq. 21: the weight's gradient, a batch mean, its sign so that descending along it learns."""
        ...


@dataclass(frozen=True)
class Dense:
    """All to all: weight (G, N, N_in), bias (G, 1, N). `plastic=False` makes it fixed."""

    plastic: bool = True

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        if bias is None:
            return torch.bmm(rates, weight.transpose(1, 2))
        return torch.baddbmm(bias, rates, weight.transpose(1, 2))

    def feedback(self, weight: Tensor, error: Tensor) -> Tensor:
        return torch.bmm(error, weight)

    def gradient(self, error: Tensor, rates: Tensor) -> Tensor:
        ignored = error.new_empty(())  # beta = 0: not even NaN in it counts
        return torch.baddbmm(ignored, error.transpose(1, 2), rates, beta=0, alpha=-1 / error.shape[1])


def bias_gradient(error: Tensor) -> Tensor:
    """Eq. 22: (..., B, N) -> (..., 1, N), a batch mean, its sign so that descending along it learns."""
    return error.mean(-2, keepdim=True).neg()


def tau_m_gradient(error: Tensor, u_dot: Tensor) -> Tensor:
    """Eq. 23: dE/dtau_m = e o u_dot, (..., B, N) -> (..., 1, N), a batch mean."""
    return (error * u_dot).mean(-2, keepdim=True)


def tau_r_gradient(instantaneous: Tensor, u_dot: Tensor) -> Tensor:
    """Eq. 24: dE/dtau_r = -e_inst o u_dot, (..., B, N) -> (..., 1, N), a batch mean."""
    return (instantaneous * u_dot).mean(-2, keepdim=True).neg()
