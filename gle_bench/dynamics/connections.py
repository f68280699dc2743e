"""The connections between layers: the current they carry forward, the error they carry back, their local gradients.

Every connection works on G = K S networks at once (K stacked layers of S networks), by batched products or grouped
convolutions. A connection is a static description; its weights are passed in. Those of images are in `convolution`.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


class Connection(Protocol):
    """A connection between two layers: its current, feedback of errors and local gradients. If `plastic`, it learns."""

    @property
    def plastic(self) -> bool: ...

    @property
    def sizes(self) -> tuple[int, int] | None:
        """(N_in, N) if the connection fixes them; None: it joins any two layers."""
        ...

    def weight_shape(self, inputs: int, neurons: int) -> tuple[int, ...]:
        """The shape of one network's weight."""
        ...

    def biases(self, neurons: int) -> int:
        """The number of biases of N neurons."""
        ...

    def macs(self, inputs: int, neurons: int) -> int:
        """Multiply-accumulates of `current`, for one sample of one network."""
        ...

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        """The current W r + b: (G, B, N_in) -> (G, B, N)."""
        ...

    def feedback(self, weight: Tensor, error: Tensor) -> Tensor:
        """The feedback W^T e: (G, B, N) -> (G, B, N_in)."""
        ...

    def gradient(self, error: Tensor, rates: Tensor) -> Tensor:
        """Eq. 21: the gradient of the weight, a batch mean, with the sign for gradient descent."""
        ...

    def bias_gradient(self, error: Tensor) -> Tensor:
        """Eq. 22: the gradient of the bias, a batch mean, with the same sign: (G, B, N) -> (G, 1, biases)."""
        ...


@runtime_checkable
class Relay(Protocol):
    """A connection without neurons, weights and errors of its own, such as pooling, which passes rates and errors on.

    Rates take one time step, as through a layer; errors take none. In the step in which the layer below would receive
    W^T e of the layer above, it receives it through the relay, and multiplies it by its own phi'. If the relay selects
    rates, the errors go to the neurons whose rates were selected: the exact transpose of the relay's effect on rates.
    """

    @property
    def plastic(self) -> bool:
        """Always False, because a relay has no parameters."""
        ...

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of inputs and outputs, (N_in, N)."""
        ...

    def forth(self, rates: Tensor) -> tuple[Tensor, Tensor]:
        """The rates passed on, (G, B, N_in) -> (G, B, N), and the route that they took, for `back`."""
        ...

    def back(self, error: Tensor, route: Tensor) -> Tensor:
        """The errors passed back along the route, (G, B, N) -> (G, B, N_in)."""
        ...


@dataclass(frozen=True)
class Dense:
    """A dense connection, all to all: weight (G, N, N_in), bias (G, 1, N). `plastic=False` makes it fixed."""

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
        ignored = error.new_empty(())  # beta = 0: its values are not read, not even NaN
        return torch.baddbmm(ignored, error.transpose(1, 2), rates, beta=0, alpha=-1 / error.shape[1])

    def bias_gradient(self, error: Tensor) -> Tensor:
        return error.mean(-2, keepdim=True).neg()


def tau_m_gradient(error: Tensor, u_dot: Tensor) -> Tensor:
    """Eq. 23: dE/dtau_m = e o u_dot, (..., B, N) -> (..., 1, N), a batch mean."""
    return (error * u_dot).mean(-2, keepdim=True)


def tau_r_gradient(instantaneous: Tensor, u_dot: Tensor) -> Tensor:
    """Eq. 24: dE/dtau_r = -e_inst o u_dot, (..., B, N) -> (..., 1, N), a batch mean."""
    return (instantaneous * u_dot).mean(-2, keepdim=True).neg()
