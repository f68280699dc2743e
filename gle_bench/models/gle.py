"""Fully connected GLE networks with populations of time constants: the paper's headline model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from gle_bench.config import Count, Frozen, Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.initial import seeded
from gle_bench.words import Activation

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Layer, Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss


class Population(Frozen):
    """A population of equal neurons in every hidden layer; time constants are in the task's unit of time."""

    neurons: Count
    tau_m: Positive
    tau_r: Positive


class GLENetwork(OnlineModel):
    """A fully connected GLE network: hidden layers of equal populations, and a linear, instantaneous output.

    Attributes:
        populations: the populations of each hidden layer, in this order.
        hidden_layers: number of hidden layers.
        dt: time step.
        tau_output: tau_m = tau_r of the output layer.
        phi1: activation of the first hidden layer: the released code leaves it linear, the paper writes tanh.
        phi: activation of the other hidden layers.
        beta, gamma: nudging strength; coupling of errors into the membrane.
        learn_tau_m, learn_tau_r: whether the time constants learn (Eqs. 23, 24); they never fall below dt.
    """

    populations: tuple[Population, ...]
    hidden_layers: Count
    dt: Positive
    tau_output: Positive
    phi1: Activation = "identity"
    phi: Activation = "tanh"
    beta: float = 1.0
    gamma: float = 0.0
    learn_tau_m: bool = False
    learn_tau_r: bool = False

    @model_validator(mode="before")
    @classmethod
    def _of_older_records(cls, fields: Any) -> Any:
        """The fields without `prospective_errors`, which records of earlier versions contain, always as True."""
        if not isinstance(fields, Mapping) or "prospective_errors" not in fields:
            return fields
        if fields["prospective_errors"] is not True:
            raise ValueError("prospective_errors is no setting of a network any more; choose --rule instantaneous")
        return {name: value for name, value in fields.items() if name != "prospective_errors"}

    def network(self, shape: Shape, loss: Loss) -> Network:
        from gle_bench.dynamics.network import Layer, Network

        width = sum(p.neurons for p in self.populations)
        tau_m = tuple(p.tau_m for p in self.populations for _ in range(p.neurons))
        tau_r = tuple(p.tau_r for p in self.populations for _ in range(p.neurons))

        def layer(
            inputs: int, neurons: int, tau_m: tuple[float, ...], tau_r: tuple[float, ...], phi: Activation
        ) -> Layer:
            return Layer(inputs, neurons, tau_m, tau_r, phi, gamma=self.gamma)

        first = layer(shape.inputs, width, tau_m, tau_r, self.phi1)
        deeper = [layer(width, width, tau_m, tau_r, self.phi) for _ in range(self.hidden_layers - 1)]
        output = layer(width, shape.outputs, (self.tau_output,), (self.tau_output,), "identity")
        return Network(
            (first, *deeper, output),
            self.dt,
            loss,
            self.beta,
            learn_tau_m=self.learn_tau_m,
            learn_tau_r=self.learn_tau_r,
            tau_range=(self.dt, float("inf")),
        )

    def initialise(self, network: Network, seed: int) -> Parameters:
        from gle_bench.dynamics.state import initial_parameters

        return initial_parameters(network, *linear_defaults(network.layers, seed))


def linear_defaults(layers: Sequence[Layer], seed: int) -> tuple[list[Tensor], list[Tensor | None]]:
    """Weights and biases as PyTorch initialises `nn.Linear`: uniform on +-1/sqrt(fan-in) (Table 1, footnote 3)."""
    from torch import nn

    with seeded(seed):
        modules = [nn.Linear(layer.inputs, layer.neurons, bias=layer.bias) for layer in layers]
    biases = [module.bias.detach() if layer.bias else None for module, layer in zip(modules, layers, strict=True)]
    return [module.weight.detach() for module in modules], biases
