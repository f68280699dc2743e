"""The network of Fig. 6: an instantaneous and a retrospective neuron in each of two hidden layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gle_bench.config import Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.gle import linear_defaults
from gle_bench.words import Activation

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss


class SmallNet(OnlineModel):
    """A network 1-2-2-1 without biases, of which the two weights from the input learn.

    The first neuron of each hidden layer is instantaneous, with tau_r = tau_m, the second retrospective, as is fast
    against slow. Each neuron of the second layer hears its like in the first one.

    Attributes:
        tau_m: membrane time constant of all neurons; also tau_r of the instantaneous ones.
        tau_r: prospective time constant of the retrospective neurons.
        second, top: the fixed weights of the second hidden layer's neurons, and those of the output.
        dt: time step; it must be that of the task.
        beta, gamma: nudging strength; coupling of errors into the membranes of the hidden layers.
        phi: activation of the hidden layers.
    """

    tau_m: Positive = 1.0
    tau_r: Positive = 0.1
    second: tuple[float, float] = (0.5, 1.0)
    top: tuple[float, float] = (0.5, 1.0)
    dt: Positive = 0.01
    beta: float = 1.0
    gamma: float = 1e-3
    phi: Activation = "tanh"

    def network(self, shape: Shape, loss: Loss) -> Network:
        from gle_bench.dynamics.connections import Dense
        from gle_bench.dynamics.network import Layer, Network

        tau_m, tau_r = (self.tau_m,), (self.tau_m, self.tau_r)
        fixed = Dense(plastic=False)
        first = Layer(shape.inputs, 2, tau_m, tau_r, self.phi, bias=False, gamma=self.gamma)
        second = Layer(2, 2, tau_m, tau_r, self.phi, fixed, bias=False, gamma=self.gamma)
        output = Layer(2, shape.outputs, tau_m, tau_m, "identity", fixed, bias=False)
        return Network((first, second, output), self.dt, loss, self.beta)

    def initialise(self, network: Network, seed: int) -> Parameters:
        return self.weighted(network, linear_defaults(network.layers[:1], seed)[0][0])

    def weighted(self, network: Network, first: Tensor) -> Parameters:
        """The parameters with these weights from the input, (2, 1)."""
        import torch

        from gle_bench.dynamics.state import initial_parameters

        fixed = [torch.diag(torch.tensor(self.second)), torch.tensor([self.top])]
        return initial_parameters(network, [first, *(weight.to(first) for weight in fixed)], [None] * 3)

    def named(self, network: Network, parameters: Parameters) -> dict[str, Tensor]:
        weight = parameters[0].weight
        assert weight is not None
        return {"w_i": weight[0, :, 0, 0], "w_r": weight[0, :, 1, 0]}
