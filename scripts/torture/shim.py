"""The layer between a process and the C library (shim.c): operations of files that kill or fail, and a wrong clock."""

import ctypes
import errno
import mmap
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")
NOTED: Final = 4000  # operations whose kind is remembered
COUNT, KILL, HALF, FAIL, ONCE = range(5)
WRITE, RENAME, SYNC, UNLINK, MKDIR, OPEN, CHANGE = (1 << bit for bit in range(7))
CHANGES: Final = WRITE | RENAME | SYNC | UNLINK | MKDIR | OPEN | CHANGE
GROWS: Final = WRITE | SYNC | MKDIR | OPEN  # what a full disk refuses


@dataclass(frozen=True)
class Plan:
    """What becomes of the n-th operation below a folder, counted from 1.

    Attributes:
        action: COUNT; KILL before it; HALF: after half a write, or after an operation that has no half; FAIL: it and
            all later ones; ONCE: it alone.
        error: the errno of those that fail; kinds: which of them are counted and can fail.
    """

    folder: Path
    number: int = 0
    action: int = COUNT
    error: int = 0
    kinds: int = CHANGES

    def environment(self) -> dict[str, str]:
        """Variables that arm the layer in a process of its own."""
        text = f"{self.number} {self.action} {self.error} {self.kinds} {self.folder}"
        return {"TORTURE_SHIM": text, "LD_PRELOAD": str(loaded())}

    def arm(self, counter: "Counter | None" = None) -> None:
        """Arms the layer in this process, which must have been started under it."""
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
    """A number that a forked child changes and its parent reads."""

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
        """Which of the operations that were counted were writes."""
        start = ctypes.sizeof(ctypes.c_long)
        return [n for n in range(1, min(NOTED, self.value + 1)) if self._page[start + n] == WRITE]


def shift_clock(period: int, span_s: int, seed: int) -> None:
    """Lets this process's clock jump every `period` times that it is read, by up to `span_s` seconds either way."""
    ctypes.CDLL(None).torture_clock(ctypes.c_long(period), ctypes.c_long(span_s), ctypes.c_ulong(seed))


def confine(folder: Path) -> None:
    """Lets this process change nothing outside a folder: it would be a read-only disk."""
    ctypes.CDLL(None).torture_confine(str(folder).encode())


def confined(folder: Path) -> dict[str, str]:
    """Variables that do so for a process of its own."""
    return {"TORTURE_JAIL": str(folder), "LD_PRELOAD": str(loaded())}


def build(folder: Path) -> Path | None:
    """Compiles the layer; None where there is no compiler of C."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = folder / "shim.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def loaded() -> Path | None:
    """The layer that this process was started under."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next((Path(line.split()[-1]) for line in lines if line.endswith("/shim.so")), None)
