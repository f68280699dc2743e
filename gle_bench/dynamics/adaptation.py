"""Neurons whose adaptive current makes them prospective (paper, section 5.4), for a membrane resistance R = 1.

    tau_m du/dt = -u + I - w     both neurons, Eqs. 33 and 38
    tau_w dw/dt = -w + gamma u   the current w follows the potential, Eq. 33
    tau_w dw/dt = -w + gamma I   the current w follows the input, Eq. 38

In frequency space each derivative is an operator D^+ (Eq. 34), from which the transfer functions H = u/I follow.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from gle_bench.dynamics.operators import d_plus_transfer


@dataclass(frozen=True)
class AdaptiveNeuron(ABC):
    """A leaky integrator with an adaptive current, as Fig. 12 draws two of.

    Attributes:
        tau_m: time constant of the membrane potential u.
        tau_w: time constant of the adaptive current w.
        gamma: strength of the adaptation.
    """

    tau_m: float
    tau_w: float
    gamma: float

    def simulate(self, current: Tensor, dt: Tensor | float) -> Tensor:
        """The potential before each step, from rest, by forward Euler: T samples (T, ...) -> T."""
        m, w_share = (torch.as_tensor(dt / tau, dtype=current.dtype) for tau in (self.tau_m, self.tau_w))
        u = w = torch.zeros_like(current[0])
        potentials = []
        for now in current.unbind():
            potentials.append(u)
            u, w = torch.lerp(u, now - w, m), torch.lerp(w, self.source(u, now), w_share)
        return torch.stack(potentials)

    @abstractmethod
    def source(self, u: Tensor, current: Tensor) -> Tensor:
        """What the adaptive current w relaxes to."""

    @abstractmethod
    def transfer(self, omega: Tensor) -> Tensor:
        """The transfer function H from the input current to the potential."""

    @property
    @abstractmethod
    def advance(self) -> float:
        """The slope of the phase at omega = 0: positive for a neuron that is prospective for slow input."""

    @property
    @abstractmethod
    def crossing(self) -> float | None:
        """The frequency omega > 0 at which the phase changes its sign; None where it never does. Derived from H."""

    def first_order_phase(self, omega: Tensor) -> Tensor:
        """The phase of H expanded to first order in omega."""
        return (omega * self.advance).arctan()


@dataclass(frozen=True)
class VoltageAdaptation(AdaptiveNeuron):
    """The neuron whose adaptive current follows its potential."""

    def source(self, u: Tensor, current: Tensor) -> Tensor:
        return self.gamma * u

    def transfer(self, omega: Tensor) -> Tensor:
        """Eq. 35."""
        d_w = d_plus_transfer(omega, self.tau_w)
        return d_w / (d_w * d_plus_transfer(omega, self.tau_m) + self.gamma)

    @property
    def advance(self) -> float:
        """Eq. 37: positive for gamma > tau_m / tau_w."""
        return (self.gamma * self.tau_w - self.tau_m) / (1 + self.gamma)

    @property
    def crossing(self) -> float | None:
        return _root((self.gamma * self.tau_w - self.tau_m) / (self.tau_w**2 * self.tau_m))


@dataclass(frozen=True)
class InputAdaptation(AdaptiveNeuron):
    """The neuron whose adaptive current follows its input."""

    def source(self, u: Tensor, current: Tensor) -> Tensor:
        return self.gamma * current

    def transfer(self, omega: Tensor) -> Tensor:
        """The equation below Eq. 38."""
        d_w = d_plus_transfer(omega, self.tau_w)
        return (d_w - self.gamma) / (d_w * d_plus_transfer(omega, self.tau_m))

    @property
    def advance(self) -> float:
        """Eq. 39: positive for tau_m / (tau_m + tau_w) < gamma < 1."""
        return (self.gamma * self.tau_w + (self.gamma - 1) * self.tau_m) / (1 - self.gamma)

    @property
    def crossing(self) -> float | None:
        square = self.tau_w - (1 - self.gamma) * (self.tau_m + self.tau_w)
        return _root(square / (self.tau_w**2 * self.tau_m))


def _root(square: float) -> float | None:
    return math.sqrt(square) if square > 0 else None
