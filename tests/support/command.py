"""The command `glebench` in a process of its own.

Importing torch and Lightning takes seconds, so most tests fork the command from a process that has imported them: it
has the same `main`, arguments, files and signals. `real` starts the installed script.
"""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess as _Process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from shared import SUPPORT

SCRIPT = Path(sysconfig.get_path("scripts")) / "glebench"
ENVIRONMENT = {"PYTHONPATH": str(SUPPORT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["command", "gle_bench.cli", "gle_bench.training.preview", "mnist1d.data", "toys"])


class Finished(NamedTuple):
    """The exit code of a command, negative for a signal, and its output."""

    code: int | None
    out: str
    err: str

    @property
    def told(self) -> str:
        """Standard error, which must be one line of whole sentences."""
        assert self.err.endswith(".\n"), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.strip()


def glebench(*arguments: object, largest_file: int | None = None, **variables: str) -> Finished:
    """Runs `glebench` in a fork with these environment variables; files may not grow beyond `largest_file` bytes."""
    (finished,) = together([arguments], largest_file, **variables)
    return finished


def together(commands: Sequence[Sequence[object]], largest_file: int | None = None, **variables: str) -> list[Finished]:
    """Runs `glebench` with each of these arguments, all at the same time."""
    with (
        TemporaryDirectory() as home,
        patch.dict(os.environ, ENVIRONMENT),
        ThreadPoolExecutor(2 * len(commands)) as pool,
    ):
        forkserver.ensure_running()  # it imports under this environment, once
        environment = {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, **ENVIRONMENT, **variables}
        started = [_start([*map(str, arguments)], environment, largest_file, pool) for arguments in commands]
        return [_finish(process, texts) for process, texts in started]


def _start(
    arguments: list[str], variables: Mapping[str, str], largest_file: int | None, pool: ThreadPoolExecutor
) -> "tuple[_Process, list[Future[str]]]":
    pipes = [_context.Pipe(duplex=False) for _ in range(2)]
    ends = [end for _, end in pipes]
    process = _context.Process(target=_main, args=(arguments, *ends, variables, largest_file))
    process.start()
    texts = [pool.submit(_read, reader) for reader, _ in pipes]
    for end in ends:
        end.close()
    return process, texts


def _finish(process: "_Process", texts: "list[Future[str]]") -> Finished:
    process.join(60)
    code = process.exitcode
    process.kill()
    process.join()
    finished = Finished(code, *(text.result() for text in texts))
    process.close()
    assert code is not None, f"glebench hangs: {finished}"
    assert "Traceback" not in finished.err, finished.err
    return finished


def _read(end: Connection) -> str:
    with end, open(end.fileno(), closefd=False) as file:
        return file.read()


def _main(
    arguments: list[str], out: Connection, err: Connection, variables: Mapping[str, str], largest_file: int | None
) -> None:
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.environ.clear()
    os.environ |= variables
    os.chdir(variables["HOME"])
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.path[:0] = [place for place in variables["PYTHONPATH"].split(os.pathsep) if place not in sys.path]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # as in all tests; see conftest
    sys.argv = ["glebench", *arguments]
    from gle_bench.cli import main

    main()


def real(*arguments: object, **variables: str | None) -> "subprocess.Popen[str]":
    """Starts the installed script. Environment variables are added, or removed if they are None."""
    environment = {**os.environ, **ENVIRONMENT, **variables}
    return subprocess.Popen(
        [SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in environment.items() if value is not None},
    )
