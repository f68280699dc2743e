"""The choice of an engine for a run: the one that the user names, or the fastest that can run it, with the reason."""

from importlib import import_module
from typing import NamedTuple

import torch

from gle_bench.dynamics.engines.interface import Engine, EngineRequest
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import initial_parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError, UsageError, look_up


class Listed(NamedTuple):
    """An entry in the table of engines. Its module is imported only when the engine is used."""

    summary: str
    module: str
    cls: str
    made_for_gpu: bool = False


# In the order in which 'auto' tries them: the fastest first.
ENGINES = {
    "graph": Listed(
        "the fast GPU path: CUDA graphs of many steps", "gle_bench.dynamics.engines.graph", "GraphEngine", True
    ),
    "native": Listed(
        "the fast CPU path: compiled, dense stacks", "gle_bench.dynamics.engines.native.engine", "NativeEngine"
    ),
    "torch": Listed(
        "the readable path: any layer, any device, any precision", "gle_bench.dynamics.engines.torch", "TorchEngine"
    ),
}
OFFLINE = "PyTorch itself: the model learns offline"


class Choice(NamedTuple):
    """A chosen engine: its name, and the reason for the choice."""

    engine: str
    reason: str


def make(name: str) -> Engine:
    """A new engine of the given name.

    Raises:
        UnknownName: with the nearest name.
    """
    listed = look_up("engine", name, ENGINES)
    engine: Engine = getattr(import_module(listed.module), listed.cls)()
    return engine


def device(name: str) -> str:
    """The device on which an engine should run: 'cuda' if it is made for GPUs and there is one, else 'cpu'."""
    return "cuda" if ENGINES[name].made_for_gpu and torch.cuda.is_available() else "cpu"


def choose(name: str, request: EngineRequest) -> Choice:
    """The engine for a request: the one of that name, or for 'auto' the fastest that can run it.

    Raises:
        UsageError: the name is unknown, or the engine cannot run the request.
    """
    _check(name)
    if name != "auto":
        reason = refusal(name, request)
        if reason is not None:
            raise UsageError(f"--engine {name}: {reason}; use --engine auto.")
        return Choice(name, "chosen by --engine")
    passed_over: list[str] = []
    for candidate in ENGINES:
        reason = refusal(candidate, request)
        if reason is None:
            best = f"auto: {candidate} is the fastest that can run this"
            return Choice(candidate, "; ".join([best, *passed_over]))
        passed_over.append(f"{candidate}: {reason}")
    raise UsageError(f"--engine auto: no engine can run this ({'; '.join(passed_over)}); choose another --rule.")


def choose_offline(name: str) -> Choice:
    """The engine of a model that learns offline, which is always PyTorch.

    Raises:
        UsageError: the name is unknown, or it is that of another engine.
    """
    _check(name)
    if name not in ("auto", "torch"):
        raise UsageError(f"--engine {name}: the model learns offline, by PyTorch itself; use --engine auto.")
    return Choice("torch", OFFLINE)


def refusal(name: str, request: EngineRequest) -> str | None:
    """The reason why an engine cannot run a request, as a clause; None: it can."""
    if name not in request.rule.engines:
        return f"rule '{request.rule.name}' does not support it"
    return make(name).refusal(request)


def absence(name: str) -> str | None:
    """The reason why an engine cannot run even the smallest network on this CPU, as a clause; None: it can."""
    network = Network((Layer(1, 1, (1.0,), (1.0,), phi="identity"),), dt=0.1)
    parameters = initial_parameters(network, [torch.zeros(1, 1)], [torch.zeros(1)])
    state, inputs = zero_state(network, parameters, 1), torch.zeros(1, 1, 1, 1)
    try:
        make(name).infer(network, parameters, state, Window(1, inputs, None, None))
    except (NotImplementedError, GleBenchError) as error:
        return str(error)
    return None


def _check(name: str) -> None:
    look_up("engine", name, {**ENGINES, "auto": ""})
