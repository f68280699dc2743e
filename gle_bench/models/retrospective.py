"""GLE networks for signals, with instantaneous and retrospective neurons and layers that are traversed in order."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import Field, model_validator

from gle_bench.config import Count, Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.gle import linear_defaults
from gle_bench.words import Activation, Integrator

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss

_TIMES: Final = 1  # number of the seed's random stream for time constants; weights use torch's generator


class RetrospectiveGLE(OnlineModel):
    """A GLE network for signals: hidden layers of instantaneous and retrospective neurons, and a linear output.

    A retrospective neuron's time constants are `tau_m` and `tau_r` times exp(`spread` U), where U is uniform on
    [-1, 1], one number per neuron, drawn from the seed. So all have the same ratio tau_m / tau_r.

    Attributes:
        instantaneous, retrospective: numbers of neurons of either kind in each hidden layer.
        hidden_layers: number of hidden layers.
        tau_instantaneous: tau_m = tau_r of the instantaneous neurons; their rates do not depend on it.
        tau_m, tau_r: geometric means of the retrospective neurons' time constants.
        spread: largest deviation of a time constant's natural logarithm from its mean.
        tau_output: tau_m = tau_r of the output.
        phi: activation of the hidden layers.
        integrator: 'exponential', 'rk4', or 'euler', which delays every layer by dt.
        dt: time step; it must be that of the task's grid, as the signal advances by one point each step.
        beta, gamma: nudging strength; coupling of errors into the membrane, which only 'euler' can have.

    Raises:
        ValueError: the shortest time constant would be below dt.
    """

    instantaneous: Count = 46
    retrospective: Count = 47
    hidden_layers: Count = 2
    tau_instantaneous: Positive = 1.0
    tau_m: Positive = 6.0
    tau_r: Positive = 2.0
    spread: Annotated[float, Field(ge=0)] = 0.7
    tau_output: Positive = 1.0
    phi: Activation = "tanh"
    integrator: Integrator = "exponential"
    dt: Positive = 0.2
    beta: float = 1.0
    gamma: float = 0.0

    @model_validator(mode="after")
    def _resolved(self) -> RetrospectiveGLE:
        shortest = min(self.tau_m, self.tau_r) * exp(-self.spread)
        if shortest < self.dt:
            raise ValueError(
                f"spread = {self.spread} makes time constants as short as {shortest:.3g}, below dt = {self.dt}; lower "
                "spread or dt, or raise tau_m and tau_r"
            )
        return self

    @property
    def width(self) -> int:
        return self.instantaneous + self.retrospective

    def learned_parameters(self, shape: Shape) -> int:
        """The weights and biases of all layers; time constants do not learn."""
        sizes = [shape.inputs, *[self.width] * self.hidden_layers, shape.outputs]
        return sum((below + 1) * above for below, above in pairwise(sizes))

    def network(self, shape: Shape, loss: Loss) -> Network:
        """The network, with the mean time constants; the parameters hold those that are drawn from a seed."""
        import torch

        from gle_bench.dynamics.network import Layer, Network

        tau_m, tau_r = (self._times(tau, torch.zeros(self.retrospective)) for tau in (self.tau_m, self.tau_r))
        hidden = [
            Layer(inputs, self.width, tuple(tau_m.tolist()), tuple(tau_r.tolist()), self.phi, gamma=self.gamma)
            for inputs in (shape.inputs, *[self.width] * (self.hidden_layers - 1))
        ]
        tau = (self.tau_output,)
        output = Layer(self.width, shape.outputs, tau, tau, "identity", gamma=self.gamma)
        return Network((*hidden, output), self.dt, loss, self.beta, integrator=self.integrator)

    def initialise(self, network: Network, seed: int) -> Parameters:
        import torch

        from gle_bench.dynamics.state import initial_parameters

        parameters = initial_parameters(network, *linear_defaults(network.layers, seed))
        random = np.random.default_rng((seed, _TIMES))
        draws = torch.from_numpy(random.uniform(-1, 1, (self.hidden_layers, self.retrospective))).float()
        tau_m, tau_r = ([self._times(tau, draw) for draw in draws] for tau in (self.tau_m, self.tau_r))
        drawn = []
        for block, parameter in zip(network.blocks, parameters, strict=True):
            layers = slice(block.first, block.first + len(block.layers))
            hidden = block.first < self.hidden_layers  # the output layer is a block by itself and keeps its own
            drawn.append(
                parameter._replace(tau_m=_stacked(tau_m[layers]), tau_r=_stacked(tau_r[layers]))
                if hidden
                else parameter
            )
        return tuple(drawn)

    def _times(self, tau: float, draw: Tensor) -> Tensor:
        """The time constants (N,) of a hidden layer, from the numbers U of its retrospective neurons."""
        import torch

        return torch.cat([torch.full((self.instantaneous,), self.tau_instantaneous), tau * (self.spread * draw).exp()])


def _stacked(layers: list[Tensor]) -> Tensor:
    """The time constants of K layers, (N,) each, as a tensor (K, 1, 1, N) of their block."""
    import torch

    return torch.stack(layers)[:, None, None]
