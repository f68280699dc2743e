"""Neuronal Least Action: networks of prospective rates, which answer at once to an input that is low-passed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gle_bench.config import Count, Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.gle import linear_defaults
from gle_bench.words import Activation

if TYPE_CHECKING:
    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss


class NLA(OnlineModel):
    """A network of Neuronal Least Action (Senn et al. 2023): a control without memory beside the input's low-pass.

    All neurons have one time constant. A rate looks ahead by it, r = phi(u) + tau d/dt phi(u), and the membrane that
    receives the rate lags by it, which undoes the look-ahead: after a transient exp(-t/tau), u = W phi(u) + b holds in
    every layer above the first. So the potentials are those of a feedforward network without time, whose input is
    low-passed once with tau. Layers are traversed in order, by the exponential integrator. Errors do not move the
    membranes, so that no system of equations for u_dot has to be solved (docs/least-action.md).

    Attributes:
        width: number of neurons in each hidden layer.
        hidden_layers: number of hidden layers.
        tau: the time constant of all neurons.
        dt: time step.
        phi1: activation of the first hidden layer: linear, as in the GLE networks that this one is compared with.
        phi: activation of the other hidden layers.
        beta: nudging strength.
    """

    width: Count = 53
    hidden_layers: Count = 6
    tau: Positive = 1.2
    dt: Positive = 0.2
    phi1: Activation = "identity"
    phi: Activation = "tanh"
    beta: float = 1.0

    def network(self, shape: Shape, loss: Loss) -> Network:
        from gle_bench.dynamics.network import Layer, Network

        widths = [shape.inputs, *[self.width] * self.hidden_layers, shape.outputs]
        phis: list[Activation] = [self.phi1, *[self.phi] * (self.hidden_layers - 1), "identity"]
        layers = (
            Layer(below, above, (self.tau,), (self.tau,), phi)
            for below, above, phi in zip(widths, widths[1:], phis, strict=False)
        )
        return Network(tuple(layers), self.dt, loss, self.beta, integrator="exponential", prospective="rate")

    def initialise(self, network: Network, seed: int) -> Parameters:
        from gle_bench.dynamics.state import initial_parameters

        return initial_parameters(network, *linear_defaults(network.layers, seed))
