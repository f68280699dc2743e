"""Trials of the torture suite: each has a folder, random numbers, commands that are judged as they end, and faults."""

import fcntl
import random
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from torture import processes
from torture.faults import Fault, faults
from torture.processes import Finished, Process

NONE: Final[Mapping[str, str]] = MappingProxyType({})
CANARY: Final = "CODE-FROM-DATA-RAN"  # a file that hostile data make if they are executed


class Outcome(NamedTuple):
    """The outcome of a trial for the report; `computed_s` are seconds of computing, its commands' included."""

    kind: str
    number: int
    seconds: float
    computed_s: float
    counts: dict[str, int]
    faults: tuple[Fault, ...]


class Trial:
    """One trial: all of its random choices come from `random`, and all of its files lie below `folder`.

    Attributes:
        shared: the folder of files that all trials read and none changes.
    """

    def __init__(self, seed: int, kind: str, number: int, workspace: Path) -> None:
        self.seed, self.kind, self.number = seed, kind, number
        self.random = random.Random(f"{seed} {kind} {number}")
        self.folder, self.shared = workspace / f"{kind}-{number}", workspace / "shared"
        self.home, self.runs = self.folder / "home", self.folder / "runs"
        self.faults: list[Fault] = []
        self.counts: dict[str, int] = {}
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.home / "tmp").mkdir(parents=True)

    @property
    def canary(self) -> Path:
        return self.folder / CANARY

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """A file or folder that all trials share; the first that needs it makes it, while the others wait."""
        base, made = self.shared / name, self.shared / f"{name}-made"
        with (self.shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not base.exists():
                make(made)
                made.rename(base)
        return base

    def count(self, what: str, number: int = 1) -> None:
        """Adds one to a counter that the session's report shows."""
        self.counts[what] = self.counts.get(what, 0) + number

    def fault(self, kind: str, place: str, detail: str = "") -> None:
        self.faults.append(Fault(kind, place, detail))

    def start(
        self,
        words: Sequence[str],
        before: Callable[[], object] | None = None,
        real: bool = False,
        variables: Mapping[str, str] = NONE,
    ) -> Process:
        """Starts a command, in a fork that calls `before` first, or by the installed script."""
        self.count("real commands" if real else "forked commands")
        if not real:
            return processes.forked(words, self.home, before, variables)
        assert before is None, "the real command takes variables alone"
        return processes.real(words, self.home, variables)

    def finish(self, process: Process, signals: Collection[int] = (), code: int | None = None) -> Finished:
        """Waits for a command and judges it; `code` is what its exit code must be, if that is known."""
        done = process.wait()
        wrong = faults(done, signals)
        self.faults += wrong
        if code is not None and done.code not in (code, None) and not wrong:
            self.fault("exit code", f"{done.code} instead of {code}", f"glebench {' '.join(done.words)}\n{done.err}")
        return done

    def glebench(self, *words: str, code: int | None = None) -> Finished:
        """Runs a command in a fork."""
        return self.finish(self.start(words), code=code)

    def end(self, keep: bool) -> None:
        """Reports a fault if data were executed as code, and removes the trial's folder."""
        if self.canary.exists():
            self.fault("code execution", "data were executed", self.canary.read_text(errors="replace"))
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Kind(Protocol):
    """The interface of functions that carry out a trial of one kind."""

    def __call__(self, trial: Trial) -> None: ...
