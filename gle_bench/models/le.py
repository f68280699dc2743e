"""Latent Equilibrium: GLE with tau_m = tau_r throughout, as a LeNet-5 whose convolutions learn locally (Fig. 8g)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from gle_bench.config import Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.lenet import LeNet5
from gle_bench.words import Activation, Loss

if TYPE_CHECKING:
    from gle_bench.dynamics.connections import Connection
    from gle_bench.dynamics.network import Layer, Network
    from gle_bench.dynamics.state import Parameters


class LE(LeNet5, OnlineModel):
    """A LeNet-5 of instantaneous neurons (tau_m = tau_r), which learns at every step.

    Attributes:
        tau: tau_m = tau_r of all neurons.
        dt: time step.
        beta: nudging strength.
        gamma: coupling of errors into the membrane.
    """

    loss: Loss | None = "mse"
    factors: tuple[Positive, Positive, Positive, Positive] = (1.0, 0.2, 0.2, 0.1)
    tau: Positive = 10.0
    dt: Positive = 0.1
    beta: float = 0.1
    gamma: float = 1.0

    def network(self, shape: Shape, loss: Loss) -> Network:
        """The network: convolution, pooling, convolution, pooling, hidden layer, readout.

        Raises:
            UsageError: the task has images of another size, or they are too small for the kernels.
        """
        from gle_bench.dynamics.connections import Dense
        from gle_bench.dynamics.convolution import Convolution, MaxPool
        from gle_bench.dynamics.network import Layer, Network, relay_layer

        self.check(shape)
        image, first, pooled, second, top = self.volumes()

        def layer(
            inputs: int, neurons: int, factor: float, connection: Connection, phi: Activation = self.phi
        ) -> Layer:
            return Layer(
                inputs,
                neurons,
                (self.tau,),
                (self.tau,),
                phi,
                connection,
                gamma=self.gamma,
                prospective_errors=False,  # for tau_m = tau_r they equal the instantaneous ones
                rate_factor=factor,
            )

        factors = self.factors
        layers = (
            layer(prod(image), prod(first), factors[0], Convolution(image, first.channels, self.kernel)),
            relay_layer(MaxPool(first)),
            layer(prod(pooled), prod(second), factors[1], Convolution(pooled, second.channels, self.kernel)),
            relay_layer(MaxPool(second)),
            layer(prod(top), self.hidden, factors[2], Dense()),
            layer(self.hidden, shape.outputs, factors[3], Dense(), "identity"),
        )
        return Network(layers, self.dt, loss, self.beta)

    def initialise(self, network: Network, seed: int) -> Parameters:
        from gle_bench.dynamics.state import initial_parameters

        drawn = self.first_weights(network.outputs, seed)
        weights, biases = ([first, None, second, None, *dense] for first, second, *dense in drawn)  # None: a pooling's
        return initial_parameters(network, weights, biases)
