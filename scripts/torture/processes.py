"""The command `glebench` in a process of its own: forked from this one, which has imported everything, or the real one.

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
BLOCKED_S: Final = 6.0  # asleep for so long without a moment of computing: it hangs
LONGEST_S: Final = 150.0  # for what takes a second where nothing else runs
MEMORY: Final = 4 << 30  # bytes beyond what the parent has: a foreign file must not ask for more
PR_SET_PDEATHSIG: Final = 1
DEAD_PROXY: Final = "http://127.0.0.1:9"  # nothing is ever downloaded


class Finished(NamedTuple):
    """What a command left. `code` is negative for a signal, and None if it hung."""

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
    """A command that was started; `wait` says how it ended. `out` and `err` are where its output is read from."""

    def __init__(self, words: Sequence[str], pid: int, out: int, err: int) -> None:
        self.words, self.pid = tuple(words), pid
        self._started, self._watch = time.monotonic(), os.pidfd_open(pid)
        self._texts = {out: bytearray(), err: bytearray()}
        self._finished: Finished | None = None

    def send(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self._finished is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = select.select([self._watch, *self._texts], [], [], left)[0]
            read = [self._read(file) for file in self._texts if file in ready]
            if self._watch in ready or left == 0.0:
                return self._watch in ready
            if ready and not any(read):  # it has closed its output
                return bool(select.select([self._watch], [], [], left)[0])

    def _read(self, file: int) -> bool:
        """Takes what there is to read of its output, and says whether there was any."""
        length = len(self._texts[file])
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(file, 1 << 16):
                self._texts[file] += chunk
        return len(self._texts[file]) > length

    def wait(self) -> Finished:
        """Waits for its end. One that hangs is killed, once it has said where it stands."""
        if self._finished is None:
            hung = self._hangs()
            if hung:
                self.send(signal.SIGABRT)  # faulthandler prints where
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
    """Nanoseconds that its main thread has computed; always another number while it waits for a turn or the disk."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) if state in "STt" else time.monotonic_ns()
    except OSError:
        return None


def forked(words: Sequence[str], home: Path, before: Callable[[], object] | None, more: Mapping[str, str]) -> Process:
    """Starts `glebench` with these words, and `more` variables, in a fork, which calls `before` first."""
    with _pipes() as (readers, writers):
        pid = os.fork()
        if pid == 0:
            _main(words, home, writers, before, variables(home, more))
    return Process(words, pid, *readers)


def real(words: Sequence[str], home: Path, more: Mapping[str, str]) -> Process:
    """Starts the installed script with these words, and `more` variables."""
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
    """Ends to read output and errors from, which stay open, and ends to write them to."""
    pairs = [os.pipe(), os.pipe()]
    for reader, _ in pairs:
        os.set_blocking(reader, False)
    try:
        yield [reader for reader, _ in pairs], [writer for _, writer in pairs]
    finally:
        for _, writer in pairs:
            os.close(writer)


def _obey() -> None:
    """A child ends with its parent, answers to signals as if it had been started by hand, and leaves no core."""
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
    """What the child does instead of returning."""
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
        faulthandler.enable()  # SIGABRT prints where it stands
        sys.argv = ["glebench", *words]
        if before is not None:
            before()
        code = _called()
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
    except BaseException:  # what even the interpreter's end would not survive
        traceback.print_exc()
        code = 120
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _called() -> int:
    """The exit code of `main`, as the interpreter gives it."""
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
    except BaseException:  # what Python itself would do with it
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
