"""The command `glebench` in a process of its own.

Importing torch and Lightning takes seconds, so most tests fork theirs from a process that has them already: the same
`main` with the same arguments, files and signals. `real` starts the installed script.
"""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

TESTS = Path(__file__).parent
SCRIPT = Path(sysconfig.get_path("scripts")) / "glebench"
ENVIRONMENT = {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["command", "gle_bench.cli", "gle_bench.training.commands", "mnist1d.data", "toys"])


class Finished(NamedTuple):
    """What a command left: negative codes are signals."""

    code: int | None
    out: str
    err: str

    @property
    def told(self) -> str:
        """Standard error, if it is one sentence or more on one line."""
        assert self.err.endswith(".\n"), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.strip()


def glebench(*arguments: object, largest_file: int | None = None, **variables: str) -> Finished:
    """Runs `glebench`, forked. Environment variables are added; no file may grow beyond `largest_file` bytes."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        outside = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder}
        process = _start([*map(str, arguments)], out, err, {**outside, **ENVIRONMENT, **variables}, largest_file)
        process.join(60)
        code = process.exitcode
        process.kill()
        process.join()
        process.close()
        finished = Finished(code, out.read_text(), err.read_text())
    assert code is not None, f"glebench {arguments} hangs: {finished}"
    assert "Traceback" not in finished.err, finished.err
    return finished


def _start(
    arguments: list[str], out: Path, err: Path, variables: Mapping[str, str], largest_file: int | None
) -> ForkServerProcess:
    with patch.dict(os.environ, ENVIRONMENT):
        forkserver.ensure_running()  # it imports under this environment, once
    process = _context.Process(target=_main, args=(arguments, out, err, variables, largest_file))
    process.start()
    return process


def _main(arguments: list[str], out: Path, err: Path, variables: Mapping[str, str], largest_file: int | None) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ |= variables
    os.chdir(variables["HOME"])
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    sys.argv = ["glebench", *arguments]
    from gle_bench.cli import main

    main()


def real(*arguments: object, **variables: str) -> "subprocess.Popen[str]":
    """Starts the installed script."""
    return subprocess.Popen(
        [SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT, **variables},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
