"""A library below a process that makes its file operations fail, kills it at one of them, or lets clocks jump."""

import ctypes
import errno
import mmap
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")
NOTED: Final = 4000  # most operations whose kind is remembered
COUNT, KILL, HALF, FAIL, ONCE = range(5)
WRITE, RENAME, SYNC, UNLINK, MKDIR, OPEN, CHANGE = (1 << bit for bit in range(7))
CHANGES: Final = WRITE | RENAME | SYNC | UNLINK | MKDIR | OPEN | CHANGE
GROWS: Final = WRITE | SYNC | MKDIR | OPEN  # operations that a full disk refuses


@dataclass(frozen=True)
class Plan:
    """A plan of what happens at the n-th file operation below a folder.

    Attributes:
        number: n, counted from 1.
        action: COUNT: nothing; KILL: a kill before it; HALF: a kill after half of a write, or after any other
            operation; FAIL: it and all later ones fail; ONCE: it alone fails.
        error: the errno of operations that fail; kinds: the operations that are counted and can fail.
    """

    folder: Path
    number: int = 0
    action: int = COUNT
    error: int = 0
    kinds: int = CHANGES

    def environment(self) -> dict[str, str]:
        """The environment variables with which a new process carries out this plan of file errors."""
        text = f"{self.number} {self.action} {self.error} {self.kinds} {self.folder}"
        return {"TORTURE_SHIM": text, "LD_PRELOAD": str(loaded())}

    def arm(self, counter: "Counter | None" = None) -> None:
        """Carries out the plan in this process, which must have been started under the layer."""
        shared = None if counter is None else counter.address
        ctypes.CDLL(None).torture_arm(
            str(self.folder).encode(),
            ctypes.c_long(self.number),
            self.action,
            self.error,
            self.kinds,
            ctypes.c_void_p(shared),
        )


FULL: Final = (errno.ENOSPC, GROWS)
READ_ONLY: Final = (errno.EROFS, CHANGES)
BROKEN: Final = (errno.EIO, WRITE | SYNC)
DISKS: Final = {"full": FULL, "read-only": READ_ONLY, "broken": BROKEN, "over quota": (errno.EDQUOT, GROWS)}


class Counter:
    """A counter of file operations in memory that a forked child writes and its parent reads."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._value = ctypes.c_long.from_buffer(self._page)

    @property
    def address(self) -> int:
        return ctypes.addressof(self._value)

    @property
    def value(self) -> int:
        return self._value.value

    @property
    def writes(self) -> list[int]:
        """The numbers of the counted operations that were writes."""
        start = ctypes.sizeof(ctypes.c_long)
        return [n for n in range(1, min(NOTED, self.value + 1)) if self._page[start + n] == WRITE]


def shift_clock(period: int, span_s: int, seed: int) -> None:
    """Makes this process's clock jump by up to `span_s` seconds, either way, every `period` times that it is read."""
    ctypes.CDLL(None).torture_clock(ctypes.c_long(period), ctypes.c_long(span_s), ctypes.c_ulong(seed))


def confine(folder: Path) -> None:
    """Forbids this process to change files outside a folder, as on a read-only disk."""
    ctypes.CDLL(None).torture_confine(str(folder).encode())


def confined(folder: Path) -> dict[str, str]:
    """Environment variables that confine a process to be started to a folder."""
    return {"TORTURE_JAIL": str(folder), "LD_PRELOAD": str(loaded())}


def build(folder: Path) -> Path | None:
    """Compiles shim.c into a library; returns its path, or None if there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = folder / "shim.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def loaded() -> Path | None:
    """The path of the layer that this process was started under; None if there is none."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next((Path(line.split()[-1]) for line in lines if line.endswith("/shim.so")), None)
