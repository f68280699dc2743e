"""Networks as NeuroBench's hooks can watch them: connections are `nn.Linear` and its like, neurons are modules.

They run as they always do. What their connections were given, and what their neurons gave, is shown to modules
afterwards, all steps at once: NeuroBench copies a layer twice at every call, which takes longer than the networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.engines.interface import Feedback
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.state import BlockParameters, Parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError


class Neurons(nn.Module):
    """Passes rates on; has the time constants of its neurons, if they have any."""

    def __init__(self, **taus: Tensor) -> None:
        super().__init__()
        for name, tau in taus.items():
            self.register_buffer(name, tau)

    def forward(self, rates: Tensor) -> Tensor:
        return rates


class Activated(Neurons):
    """Neurons whose activation is not linear: what NeuroBench takes for an activation."""


class Run(NamedTuple):
    """One run: what each connection was given, what each layer of neurons gave, and the outputs."""

    given: Sequence[Tensor]
    rates: Sequence[Tensor]
    outputs: Tensor


class Exhibit(nn.Module):
    """Connections and neurons, and how they run."""

    def __init__(
        self, connections: Sequence[nn.Module], neurons: Sequence[Neurons], run: Callable[[Tensor], Run]
    ) -> None:
        super().__init__()
        self.connections, self.neurons, self._run = nn.ModuleList(connections), nn.ModuleList(neurons), run

    def forward(self, samples: Tensor) -> Tensor:
        """(B, T, C_in) -> (B, T, C)."""
        found = self._run(samples)
        for modules, shown in ((self.connections, found.given), (self.neurons, found.rates)):
            for module, tensor in zip(modules, shown, strict=True):
                module(tensor)
        return found.outputs


def gle_exhibit(network: Network, parameters: Parameters, feedback: Feedback | None = None) -> Exhibit:
    """A GLE network, whose S is 1: a layer of neurons for each connection, its time constants as buffers.

    Raises:
        GleBenchError: a connection that is no matrix.
    """
    layers = [
        BlockParameters(*(None if x is None else x[k : k + 1] for x in block))
        for block in parameters
        for k in range(len(_present(block.weight)))
    ]
    connections, neurons = [], []
    for layer, own in zip(network.layers, layers, strict=True):
        if not isinstance(layer.connection, Dense):
            raise GleBenchError(f"NeuroBench knows no connection like {type(layer.connection).__name__}.")
        connections.append(linear(_present(own.weight)[0, 0], None if own.bias is None else own.bias[0, 0, 0]))
        kind = Neurons if layer.phi == "identity" else Activated
        neurons.append(kind(tau_m=_present(own.tau_m).flatten(), tau_r=_present(own.tau_r).flatten()))

    def run(samples: Tensor) -> Run:
        heard = [_Heard() for _ in network.layers]
        heeding = replace(
            network,
            layers=tuple(replace(layer, connection=ear) for layer, ear in zip(network.layers, heard, strict=True)),
        )
        state = zero_state(heeding, tuple(layers), len(samples))
        window = Window(samples.shape[1], samples[None], None, None)
        _, outputs = TorchEngine().infer(heeding, tuple(layers), state, window, errors=False, feedback=feedback)
        given = [torch.cat(connection.given) for connection in heard]
        return Run(given, [*given[1:], outputs], outputs[0])

    return Exhibit(connections, neurons, run)


@dataclass(frozen=True, eq=False)
class _Heard(Dense):
    """Dense, and keeps what it is given. No two are equal, so that each layer is a block of its own."""

    given: list[Tensor] = field(default_factory=list)  # (1, B, N_in) each

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        self.given.append(rates.clone())
        return super().current(weight, bias, rates)


class Evaluated(nn.Module):
    """A module, as it is evaluated: as `evaluate` runs it, in closed loop say."""

    def __init__(self, module: nn.Module, evaluate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self._evaluate = module, evaluate

    def forward(self, samples: Tensor) -> Tensor:
        """(B, T, C_in) -> (B, T|1, C)."""
        return self._evaluate(samples)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """The layer of these weights (N, N_in)."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias is not None, device="meta")  # draws nothing
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "weights and time constants are always there"
    return tensor
