"""What lies between two layers: the current it carries forward, the error it carries back, and its local gradients.

Every connection works on G = K S networks at once (K stacked layers of S networks), by batched products or grouped
convolutions. A connection is a static description; its weights are passed in. Those of images are in `convolution`.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class Connection(Protocol):
    """The three local operations of a synapse bundle. `plastic` says whether it learns."""

    @property
    def plastic(self) -> bool: ...

    @property
    def sizes(self) -> tuple[int, int] | None:
        """(N_in, N) where the connection fixes them; None: it joins any two layers."""
        ...

    def weight_shape(self, inputs: int, neurons: int) -> tuple[int, ...]:
        """Shape of one network's weight."""
        ...

    def biases(self, neurons: int) -> int:
        """How many biases N neurons have."""
        ...

    def macs(self, inputs: int, neurons: int) -> int:
        """Multiply-accumulates of `current`, for one sample of one network."""
        ...

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        """W r + b: (G, B, N_in) -> (G, B, N)."""
        ...

    def feedback(self, weight: Tensor, error: Tensor) -> Tensor:
        """W^T e: (G, B, N) -> (G, B, N_in)."""
        ...

    def gradient(self, error: Tensor, rates: Tensor) -> Tensor:
        """Eq. 21: the weight's gradient, a batch mean, its sign so that descending along it learns."""
        ...

    def bias_gradient(self, error: Tensor) -> Tensor:
        """Eq. 22: the bias's gradient, likewise: (G, B, N) -> (G, 1, biases)."""
        ...


@runtime_checkable
class Relay(Protocol):
    """What passes rates on without neurons, weights and errors of its own, and errors back as it passed the rates.

    Rates take a time step, as through a layer. An error takes none: in the step in which the layer below would hear
    W^T e of the layer above, it hears that through the relay. Its own phi' then meets the error, and where the relay
    has chosen among rates, that is the phi' of those chosen. This is the exact transpose of what the relay does to the
    rates of that step.
    """

    @property
    def plastic(self) -> bool:
        """Never: there is nothing to learn."""
        ...

    @property
    def sizes(self) -> tuple[int, int]:
        """(N_in, N)."""
        ...

    def forth(self, rates: Tensor) -> tuple[Tensor, Tensor]:
        """(G, B, N_in) -> rates (G, B, N), and the route they came by, to be handed to `back`."""
        ...

    def back(self, error: Tensor, route: Tensor) -> Tensor:
        """(G, B, N) -> (G, B, N_in), by the same route."""
        ...


@dataclass(frozen=True)
class Dense:
    """All to all: weight (G, N, N_in), bias (G, 1, N). `plastic=False` makes it fixed."""

    plastic: bool = True

    @property
    def sizes(self) -> None:
        return None

    def weight_shape(self, inputs: int, neurons: int) -> tuple[int, ...]:
        return neurons, inputs

    def biases(self, neurons: int) -> int:
        return neurons

    def macs(self, inputs: int, neurons: int) -> int:
        return inputs * neurons

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        if bias is None:
            return torch.bmm(rates, weight.transpose(1, 2))
        return torch.baddbmm(bias, rates, weight.transpose(1, 2))

    def feedback(self, weight: Tensor, error: Tensor) -> Tensor:
        return torch.bmm(error, weight)

    def gradient(self, error: Tensor, rates: Tensor) -> Tensor:
        ignored = error.new_empty(())  # beta = 0: not even NaN in it counts
        return torch.baddbmm(ignored, error.transpose(1, 2), rates, beta=0, alpha=-1 / error.shape[1])

    def bias_gradient(self, error: Tensor) -> Tensor:
        return error.mean(-2, keepdim=True).neg()


def tau_m_gradient(error: Tensor, u_dot: Tensor) -> Tensor:
    """Eq. 23: dE/dtau_m = e o u_dot, (..., B, N) -> (..., 1, N), a batch mean."""
    return (error * u_dot).mean(-2, keepdim=True)


def tau_r_gradient(instantaneous: Tensor, u_dot: Tensor) -> Tensor:
    """Eq. 24: dE/dtau_r = -e_inst o u_dot, (..., B, N) -> (..., 1, N), a batch mean."""
    return (instantaneous * u_dot).mean(-2, keepdim=True).neg()
