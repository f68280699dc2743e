"""Latent Equilibrium: GLE with tau_m = tau_r throughout, as a LeNet-5 whose convolutions learn locally (Fig. 8g)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Literal

from gle_bench.config import Positive
from gle_bench.models.cifar10 import LeNet5, pair
from gle_bench.models.gle import Phi
from gle_bench.protocols import OnlineModel, Shape

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.blocks import Parameters
    from gle_bench.dynamics.connections import Connection
    from gle_bench.dynamics.structure import Layer, Loss, Network


class LE(LeNet5, OnlineModel):
    """A LeNet-5 of neurons without a time of their own, which learns at every step.

    Attributes:
        tau: tau_m = tau_r of all neurons.
        dt: time step.
        beta: nudging strength.
        gamma: coupling of errors into the membrane.
    """

    loss: Literal["ce", "mse"] | None = "mse"
    factors: tuple[Positive, Positive, Positive, Positive] = (1.0, 0.2, 0.2, 0.1)
    tau: Positive = 10.0
    dt: Positive = 0.1
    beta: float = 0.1
    gamma: float = 1.0

    def network(self, shape: Shape, loss: Loss) -> Network:
        """Convolution, pooling, convolution, pooling, hidden layer, readout.

        Raises:
            UsageError: images of another size, or too small for the kernels.
        """
        from gle_bench.dynamics.connections import Dense
        from gle_bench.dynamics.convolution import Convolution, MaxPool
        from gle_bench.dynamics.structure import Layer, Network, relay_layer

        self.check(shape)
        image, first, pooled, second, top = self.volumes()

        def layer(inputs: int, neurons: int, factor: float, connection: Connection, phi: Phi = self.phi) -> Layer:
            return Layer(
                inputs,
                neurons,
                (self.tau,),
                (self.tau,),
                phi,
                connection,
                gamma=self.gamma,
                prospective_errors=False,  # which for tau_m = tau_r are the instantaneous ones
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
        from gle_bench.dynamics.blocks import initial_parameters

        weights, biases = (_around_pools(drawn) for drawn in self.first_weights(network.outputs, seed))
        return initial_parameters(network, weights, biases)


def _around_pools(drawn: list[Tensor]) -> list[Tensor | None]:
    first, second, *dense = drawn
    return [first, None, second, None, *dense]


_NOTES = (
    "Latent Equilibrium is GLE with tau_m = tau_r: neurons have no time of their own, each layer or pooling passes an "
    "image on a step later, and weights change at each of the 50 steps.",
    "The rate is that of the released LE code: 1.6 dt = 0.16 a step, times a factor for each layer. Errors bring the "
    "nudging strength, 0.1, as another factor.",
    "An error moves its neuron's membrane in the step in which it arises, as in the GLE code; in LE's, a step later.",
    "A convolution's bias learns from the average over positions, its kernel from the sum, as in the released LE code.",
)
_SUMMARY = "LeNet-5 of Latent Equilibrium, convolutions that learn locally at every step: 657,080 parameters"
PAIRS = (
    pair("le", "gle", LE(), 0.16, _SUMMARY, _NOTES),
    pair(
        "le",
        "gle",
        LE(),
        0.16,
        "the headline network: le under the name that GLE's have elsewhere",
        _NOTES,
        alias="gle",
    ),
)
