"""What there is to measure here: an engine, a network, how many of them on how many threads."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from gle_bench.bench.networks import NETWORKS, Standard
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import Job
from gle_bench.errors import look_up
from gle_bench.rules.gle import GLE


class Case(NamedTuple):
    """One row to be."""

    network: str
    engine: str
    threads: int
    networks: int

    @property
    def device(self) -> str:
        return _device(self.engine)


class Missing(NamedTuple):
    """A row, or all of an engine's rows with a network (threads and networks None), that there is none of, and why."""

    network: str
    engine: str
    reason: str
    threads: int | None = None
    networks: int | None = None


def cases(networks: Iterable[str], engines: Iterable[str], cores: int) -> tuple[list[Case], list[Missing]]:
    """The rows to measure with up to `cores` threads, and what cannot be measured here. No name stands for all.

    Raises:
        UnknownName: of a network or an engine, with the nearest name.
    """
    chosen = list(dict.fromkeys(networks)) or list(NETWORKS)
    runners = list(dict.fromkeys(engines)) or list(choice.ENGINES)
    for engine in runners:
        look_up("engine", engine, choice.ENGINES)
    found: list[Case] = []
    missing: list[Missing] = []
    for name in chosen:
        standard = look_up("network", name, NETWORKS)()
        for engine in runners:
            reason = choice.refusal(engine, _job(standard, engine))
            if reason is not None:
                missing.append(Missing(name, engine, reason))
                continue
            layouts = _layouts(standard, _device(engine), cores)
            found += [Case(name, engine, threads, count) for threads, count in layouts]
    return found, missing


def _layouts(standard: Standard, device: str, cores: int) -> Sequence[tuple[int, int]]:
    """(threads, networks), each once: one on one thread, one a core, one split over all cores, an ensemble on all.

    A GPU is driven by one thread, so only the first and the last are left of these.
    """
    if device == "cuda":
        return (1, 1), (1, standard.gpu_ensemble)
    return list(dict.fromkeys([(1, 1), (cores, cores), (cores, 1), (cores, standard.ensemble)]))


def _job(standard: Standard, engine: str) -> Job:
    return Job(standard.network(), GLE(), GLE.engines, _device(engine), torch.float32, feedback=None)


def _device(engine: str) -> str:
    """Where an engine is measured: each where it is meant to run."""
    return "cuda" if engine == "graph" and torch.cuda.is_available() else "cpu"
