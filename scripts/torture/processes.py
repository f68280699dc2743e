"""The command `glebench` in a process of its own: a fork of this process, which has imported all, or a new process.

A forked command has the same `main`, arguments, files and signals as the installed script, without the seconds that
importing PyTorch takes.
"""

import contextlib
import ctypes
import faulthandler
import os
import resource
import select
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

SUPPORT: Final = Path(__file__).parents[2] / "tests" / "support"
SCRIPT: Final = Path(sysconfig.get_path("scripts")) / "glebench"
BLOCKED_S: Final = 6.0  # seconds of sleep without computing after which a command counts as hanging
LONGEST_S: Final = 150.0  # longest seconds of a command; on an idle machine it takes one
MEMORY: Final = 4 << 30  # most bytes that a command may use beyond its parent's
PR_SET_PDEATHSIG: Final = 1  # the option of prctl: a signal at the parent's death
DEAD_PROXY: Final = "http://127.0.0.1:9"  # a proxy that does not exist, so that nothing is downloaded


class Finished(NamedTuple):
    """The exit code of a command, negative for a signal and None if it hung, with its output and its time."""

    words: tuple[str, ...]
    code: int | None
    out: str
    err: str
    seconds: float


def variables(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command whose home, temporary files and working folder are below `home`."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONPATH": str(SUPPORT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "WANDB_MODE": "disabled",
        "http_proxy": DEAD_PROXY,
        "https_proxy": DEAD_PROXY,
        **more,
    }


class Process:
    """A running command, with the file descriptors `out` and `err` of its output."""

    def __init__(self, words: Sequence[str], pid: int, out: int, err: int) -> None:
        self.words, self.pid = tuple(words), pid
        self._started, self._watch = time.monotonic(), os.pidfd_open(pid)
        self._texts = {out: bytearray(), err: bytearray()}
        self._finished: Finished | None = None

    def send(self, number: int) -> None:
        """Sends a signal to the command if it still runs."""
        if self._finished is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self, seconds: float) -> bool:
        """Whether the command ends within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = select.select([self._watch, *self._texts], [], [], left)[0]
            read = [self._read(file) for file in self._texts if file in ready]
            if self._watch in ready or left == 0.0:
                return self._watch in ready
            if ready and not any(read):  # the command has closed its output
                return bool(select.select([self._watch], [], [], left)[0])

    def _read(self, file: int) -> bool:
        """Reads the output that is there, and returns whether there was any."""
        length = len(self._texts[file])
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(file, 1 << 16):
                self._texts[file] += chunk
        return len(self._texts[file]) > length

    def wait(self) -> Finished:
        """Waits for the end of the command. If it hangs, it prints its stack and is killed."""
        if self._finished is None:
            hung = self._hangs()
            if hung:
                self.send(signal.SIGABRT)  # on which faulthandler prints the stack
                self.ended(2.0)
                self.send(signal.SIGKILL)
                self.ended(10.0)
            status = os.waitpid(self.pid, 0)[1]
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # children that outlived it
            for file in self._texts:
                self._read(file)
            for file in (self._watch, *self._texts):
                os.close(file)
            code = None if hung else os.waitstatus_to_exitcode(status)
            out, err = (bytes(text).decode("utf-8", "replace") for text in self._texts.values())
            self._finished = Finished(self.words, code, out, err, time.monotonic() - self._started)
        return self._finished

    def _hangs(self) -> bool:
        computed, since = _computed(self.pid), time.monotonic()
        while not self.ended(0.5):
            now = time.monotonic()
            if (latest := _computed(self.pid)) != computed:
                computed, since = latest, now
            if now - since > BLOCKED_S or now - self._started > LONGEST_S:
                return True
        return False


def _computed(pid: int) -> int | None:
    """The nanoseconds that a process's main thread has computed; the present time while it waits for a core or disk."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) if state in "STt" else time.monotonic_ns()
    except OSError:
        return None


def forked(words: Sequence[str], home: Path, before: Callable[[], object] | None, more: Mapping[str, str]) -> Process:
    """Starts `glebench` with these arguments in a forked process, with `more` environment variables, after `before`."""
    with _pipes() as (readers, writers):
        pid = os.fork()
        if pid == 0:
            _main(words, home, writers, before, variables(home, more))
    return Process(words, pid, *readers)


def real(words: Sequence[str], home: Path, more: Mapping[str, str]) -> Process:
    """Starts the installed script `glebench` with these arguments and with `more` environment variables."""
    with _pipes() as (readers, writers):
        child = subprocess.Popen(
            [SCRIPT, *words],
            cwd=home,
            env=variables(home, more),
            stdin=subprocess.DEVNULL,
            stdout=writers[0],
            stderr=writers[1],
            preexec_fn=_obey,
            process_group=0,
        )
    child.returncode = 0  # it is waited for here
    return Process(words, child.pid, *readers)


@contextlib.contextmanager
def _pipes() -> Iterator[tuple[list[int], list[int]]]:
    """Two pipes for output and errors: their ends for reading, which stay open, and their ends for writing."""
    pairs = [os.pipe(), os.pipe()]
    for reader, _ in pairs:
        os.set_blocking(reader, False)
    try:
        yield [reader for reader, _ in pairs], [writer for _, writer in pairs]
    finally:
        for _, writer in pairs:
            os.close(writer)


def _obey() -> None:
    """Prepares a child, which ends with its parent, has the default handlers of signals, and leaves no core file."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(
    words: Sequence[str],
    home: Path,
    outputs: Sequence[int],
    before: Callable[[], object] | None,
    environment: Mapping[str, str],
) -> NoReturn:
    """Runs the command in the child, and ends the child."""
    code = 70
    try:
        os.setpgid(0, 0)
        _obey()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _redirect(outputs)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(home)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        faulthandler.enable()  # prints the stack on SIGABRT
        sys.argv = ["glebench", *words]
        if before is not None:
            before()
        code = _called()
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
    except BaseException:  # an error outside `main`
        traceback.print_exc()
        code = 120
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _called() -> int:
    """Runs `main`, and returns the exit code that the interpreter would give it."""
    from gle_bench.cli import main

    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        return 130
    except BaseException:  # printed as Python itself would
        traceback.print_exc()
        return 1
    return 0


def _redirect(outputs: Sequence[int]) -> None:
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
