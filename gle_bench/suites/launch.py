"""Launchers, which run the commands of a suite: their interface, and the launcher of processes on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from gle_bench.errors import GleBenchError
from gle_bench.files.disk import append
from gle_bench.surroundings import isolation
from gle_bench.surroundings.machine import usable_cores
from gle_bench.surroundings.processes import Requests

POLL_S: Final = 0.2  # seconds between two looks at the running processes
PATIENCE_S: Final = 30.0  # seconds that a process has to write its records once it is asked to end


class Job(NamedTuple):
    """One command of a suite: its label, its words after `glebench`, and the log file of its output."""

    label: str
    words: tuple[str, ...]
    log: Path


class Ended(NamedTuple):
    """A job that has ended, and its exit code."""

    job: Job
    code: int


class Watcher(Protocol):
    """The interface of a display of jobs; a launcher calls it when a job begins, while jobs run, and when one ends."""

    def began(self, job: Job) -> None: ...

    def running(self, jobs: Sequence[Job]) -> None: ...

    def ended(self, end: Ended) -> None: ...


class Launcher(Protocol):
    """The interface of launchers, which run jobs on this machine or on a cluster."""

    def run(self, jobs: Sequence[Job], watcher: Watcher) -> list[Ended]:
        """Runs all jobs, in their order or side by side, even if some fail; returns how each ended.

        Raises:
            KeyboardInterrupt: once all running jobs, asked to end, have ended. GleBenchError: none can be started.
        """
        ...


@dataclass(frozen=True)
class LocalProcesses:
    """The launcher of processes on this machine, which share its cores evenly.

    Attributes:
        at_once: number of jobs that run side by side.
        program: the words that start `glebench`.
    """

    at_once: int = 1
    program: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "gle_bench"))

    def run(self, jobs: Sequence[Job], watcher: Watcher) -> list[Ended]:
        waiting, ended = list(jobs), []
        with _ending() as processes:
            while waiting or processes:
                while waiting and len(processes) < self.at_once:
                    job = waiting.pop(0)
                    processes[job] = self._start(job)
                    watcher.began(job)
                time.sleep(POLL_S)
                for job in [job for job, process in processes.items() if process.poll() is not None]:
                    ended.append(Ended(job, processes.pop(job).returncode))
                    watcher.ended(ended[-1])
                watcher.running(list(processes))
        return ended

    def _start(self, job: Job) -> "subprocess.Popen[bytes]":
        threads = str(max(1, usable_cores() // self.at_once))
        with _opened(job.log) as log:
            return subprocess.Popen(
                [*self.program, *job.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"OMP_NUM_THREADS": threads, **isolation.safe(dict(os.environ))},
                start_new_session=True,  # so that Ctrl-C reaches this process alone, which passes it on
            )


@contextmanager
def _opened(log: Path) -> Iterator[IO[bytes]]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = append(log)
    except OSError as error:
        raise GleBenchError(f"Cannot write {log}: {error.strerror}; choose another --runs.") from error
    with file:
        yield file


@contextmanager
def _ending() -> "Iterator[dict[Job, subprocess.Popen[bytes]]]":
    """A context with a table of running processes: at its end each process is asked to end, and killed if it does not.

    They are asked by SIGTERM, because a program that a shell started in the background ignores Ctrl-C.
    """
    processes: dict[Job, subprocess.Popen[bytes]] = {}
    with Requests.present().heard():
        try:
            yield processes
        finally:
            for process in processes.values():
                process.terminate()
            deadline = time.monotonic() + PATIENCE_S
            for process in processes.values():
                _wait(process, lambda: deadline - time.monotonic())


def _wait(process: "subprocess.Popen[bytes]", left: Callable[[], float]) -> None:
    try:
        process.wait(max(0.0, left()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
