"""LagNet: fixed chains of lagging neurons, which keep the recent past of the input, below an instantaneous network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gle_bench.config import Count, Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.gle import linear_defaults
from gle_bench.words import Activation

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss


class LagNet(OnlineModel):
    """A LagNet: parallel chains of fixed, linear neurons, each with its own lag, below a plastic LE network (Fig. 8f).

    Attributes:
        chains: number of chains, which is also the width of their layers.
        chain_length: number of neurons in a chain.
        lag_range: membrane time constants, spread evenly over the chains and rounded to two digits.
        tau_r: prospective time constant of the chains.
        hidden: widths of the plastic hidden layers.
        tau: tau_m = tau_r of the plastic layers, which are therefore instantaneous.
        dt, beta, phi: time step, nudging strength, activation of the plastic hidden layers.
    """

    chains: Count = 10
    chain_length: Count = 4
    lag_range: tuple[Positive, Positive] = (0.2, 1.8)
    tau_r: Positive = 0.2
    hidden: tuple[Count, ...] = (60, 60)
    tau: Positive = 2.0
    dt: Positive = 0.2
    beta: float = 1.0
    phi: Activation = "tanh"

    def network(self, shape: Shape, loss: Loss) -> Network:
        import torch

        from gle_bench.dynamics.connections import Dense
        from gle_bench.dynamics.network import Layer, Network

        lags = tuple(round(float(tau), 2) for tau in torch.linspace(*self.lag_range, self.chains, dtype=torch.float64))
        fixed = Dense(plastic=False)
        layers = [
            Layer(inputs, self.chains, lags, (self.tau_r,), "identity", fixed, bias=False, forgets=True)
            for inputs in (shape.inputs, *[self.chains] * (self.chain_length - 1))
        ]
        widths = [self.chains, *self.hidden, shape.outputs]
        phis: list[Activation] = [*[self.phi] * len(self.hidden), "identity"]
        layers += [
            Layer(below, above, (self.tau,), (self.tau,), phi, prospective_errors=False)
            for below, above, phi in zip(widths, widths[1:], phis, strict=False)
        ]
        return Network(tuple(layers), self.dt, loss, self.beta)

    def initialise(self, network: Network, seed: int) -> Parameters:
        import torch

        from gle_bench.dynamics.state import initial_parameters

        chains, plastic = network.layers[: self.chain_length], network.layers[self.chain_length :]
        weights, biases = linear_defaults(plastic, seed)
        fixed: list[Tensor] = [torch.ones(self.chains, chains[0].inputs)]
        fixed += [torch.eye(self.chains) for _ in chains[1:]]
        return initial_parameters(network, fixed + weights, [None] * len(chains) + biases)
