"""Fully connected GLE networks with populations of time constants: the paper's headline model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from gle_bench.config import Count, Frozen, Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.errors import UsageError
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

    sizes: ClassVar = ("width", "depth")
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

    @property
    def width(self) -> int:
        """The number of neurons of a hidden layer, all populations together."""
        return sum(population.neurons for population in self.populations)

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return self.hidden_layers

    def resized(self, sizes: Mapping[str, Any]) -> GLENetwork:
        """The same network of another width, another depth or both; the populations keep their shares of the width."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        for name, size in sizes.items():
            least = len(self.populations) if name == "width" else 1
            if not isinstance(size, int) or isinstance(size, bool) or size < least:
                why = ", a neuron for each population" if name == "width" else ""
                raise UsageError(f"--set {name}={size}: give a whole number from {least} on{why}.")
        if "depth" in sizes:
            fields["hidden_layers"] = sizes["depth"]
        if "width" in sizes:
            counts = apportioned(sizes["width"], [population.neurons for population in self.populations])
            pairs = zip(self.populations, counts, strict=True)
            fields["populations"] = tuple(Population(**{**dict(each), "neurons": count}) for each, count in pairs)
        return type(self)(**fields)

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


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers with this sum, in proportion to the weights as nearly as can be, and none below 1.

    Each begins with 1; the rest is shared by the largest remainders, the first of equal ones first.
    """
    whole, rest = sum(weights), total - len(weights)
    exact = [max(0.0, total * weight / whole - 1) for weight in weights]
    scale = rest / sum(exact) if sum(exact) else 0.0
    shares = [int(part * scale) for part in exact]
    order = sorted(range(len(weights)), key=lambda k: shares[k] - exact[k] * scale)
    for k in order[: rest - sum(shares)]:
        shares[k] += 1
    return [1 + share for share in shares]


def linear_defaults(layers: Sequence[Layer], seed: int) -> tuple[list[Tensor], list[Tensor | None]]:
    """Weights and biases as PyTorch initialises `nn.Linear`: uniform on +-1/sqrt(fan-in) (Table 1, footnote 3)."""
    from torch import nn

    with seeded(seed):
        modules = [nn.Linear(layer.inputs, layer.neurons, bias=layer.bias) for layer in layers]
    biases = [module.bias.detach() if layer.bias else None for module, layer in zip(modules, layers, strict=True)]
    return [module.weight.detach() for module in modules], biases
