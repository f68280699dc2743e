"""Exhibits: networks in a form that NeuroBench's hooks can count, with modules for connections and for neurons.

The network itself runs as usual. Its modules are called afterwards, with the inputs of connections and the rates of
neurons in all steps at once: NeuroBench copies a layer twice at each call, which would take longer than the network.
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
from gle_bench.models.modules.ridge import linear


class Neurons(nn.Module):
    """A module that stands for a layer of neurons when NeuroBench counts: it returns the rates that it is given.

    Its buffers are the time constants.
    """

    def __init__(self, **taus: Tensor) -> None:
        super().__init__()
        for name, tau in taus.items():
            self.register_buffer(name, tau)

    def forward(self, rates: Tensor) -> Tensor:
        return rates


class Activated(Neurons):
    """A layer of neurons with a nonlinear activation, which NeuroBench counts as an activation."""


class Run(NamedTuple):
    """One run of a network: the inputs of each connection, the rates of each layer of neurons, and the outputs."""

    given: Sequence[Tensor]
    rates: Sequence[Tensor]
    outputs: Tensor


class Exhibit(nn.Module):
    """A network for NeuroBench: its connections and neurons as modules, and the function that runs it."""

    def __init__(
        self, connections: Sequence[nn.Module], neurons: Sequence[Neurons], run: Callable[[Tensor], Run]
    ) -> None:
        super().__init__()
        self.connections, self.neurons, self._run = nn.ModuleList(connections), nn.ModuleList(neurons), run

    def forward(self, samples: Tensor) -> Tensor:
        """The outputs, (B, T, C_in) -> (B, T, C). Then every module is called once, so that its hooks can count."""
        result = self._run(samples)
        for modules, shown in ((self.connections, result.given), (self.neurons, result.rates)):
            for module, tensor in zip(modules, shown, strict=True):
                module(tensor)
        return result.outputs


def gle_exhibit(network: Network, parameters: Parameters, feedback: Feedback | None = None) -> Exhibit:
    """A GLE network (S = 1) in the form that NeuroBench counts, with a layer of neurons for each connection.

    Raises:
        GleBenchError: a connection is not a matrix.
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
    """A dense connection that keeps its inputs. No two are equal, so that each layer is a block of its own."""

    given: list[Tensor] = field(default_factory=list)  # (1, B, N_in) each

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        self.given.append(rates.clone())
        return super().current(weight, bias, rates)


class Evaluated(nn.Module):
    """The exhibit of an offline module, which runs as in an evaluation, for example in closed loop."""

    def __init__(self, module: nn.Module, evaluate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self._evaluate = module, evaluate

    def forward(self, samples: Tensor) -> Tensor:
        """The outputs of an evaluation, (B, T, C_in) -> (B, T|1, C)."""
        return self._evaluate(samples)


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "weights and time constants are always there"
    return tensor
