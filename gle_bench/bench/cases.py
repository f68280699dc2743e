"""The cases of the benchmark: a network, an engine, the number of threads and of networks side by side."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from gle_bench.bench.networks import NETWORKS, Standard
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import EngineRequest
from gle_bench.errors import look_up
from gle_bench.rules.gle import GLE


class Case(NamedTuple):
    """One case to be measured: it becomes one row of the table."""

    network: str
    engine: str
    threads: int
    networks: int

    @property
    def device(self) -> str:
        return choice.device(self.engine)


class Missing(NamedTuple):
    """A case that cannot be measured here, and why. Threads and networks are None for all cases of an engine."""

    network: str
    engine: str
    reason: str
    threads: int | None = None
    networks: int | None = None


def cases(networks: Iterable[str], engines: Iterable[str], cores: int) -> tuple[list[Case], list[Missing]]:
    """The cases to measure with up to `cores` threads, and those that cannot be measured here.

    Args:
        networks, engines: their names; empty: all.

    Raises:
        UnknownName: there is no such network or engine; names the nearest one.
    """
    chosen = list(dict.fromkeys(networks)) or list(NETWORKS)
    runners = list(dict.fromkeys(engines)) or list(choice.ENGINES)
    for engine in runners:
        look_up("engine", engine, choice.ENGINES)
    measurable: list[Case] = []
    missing: list[Missing] = []
    for name in chosen:
        standard = look_up("network", name, NETWORKS)()
        for engine in runners:
            device = choice.device(engine)
            request = EngineRequest(standard.network(), GLE(), device, torch.float32, feedback=None)
            reason = choice.refusal(engine, request)
            if reason is not None:
                missing.append(Missing(name, engine, reason))
                continue
            measurable += [Case(name, engine, *layout) for layout in _layouts(standard, device, cores)]
    return measurable, missing


def _layouts(standard: Standard, device: str, cores: int) -> Sequence[tuple[int, int]]:
    """The pairs (threads, networks) to measure: one on one, one per core, one on all cores, an ensemble on all cores.

    A GPU is driven by one thread, so that only the first and the last remain.
    """
    if device == "cuda":
        return (1, 1), (1, standard.gpu_ensemble)
    return list(dict.fromkeys([(1, 1), (cores, cores), (cores, 1), (cores, standard.ensemble)]))
