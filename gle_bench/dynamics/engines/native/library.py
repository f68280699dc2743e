"""The choice of the native engine's library: the fastest one that is built from these sources and runs on this CPU.

The environment variable GLEBENCH_NATIVE names another: a variant, the path of a library, or 'off' for none.
"""

import ctypes
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench.dynamics.engines.native import build
from gle_bench.errors import GleBenchError, UnknownName, did_you_mean

FOLDER: Final = Path(__file__).parent
VARIABLE: Final = "GLEBENCH_NATIVE"
COMPILERS: Final = ("c++", "g++", "clang++")


class Library(NamedTuple):
    """A loaded library of the native engine."""

    variant: str  # 'avx512', 'avx2' or 'portable'
    path: Path
    handle: ctypes.CDLL


class Variant(NamedTuple):
    """A variant of the native engine's library for one instruction set, built or not."""

    name: str
    path: Path
    problem: str | None  # why it cannot be used, as a clause; None if it can


def load() -> Library:
    """The library to use: the fastest one, or the one that GLEBENCH_NATIVE names. A loaded library is cached.

    Raises:
        GleBenchError: no library can be used; the text says why, and what to do.
    """
    return _load(os.environ.get(VARIABLE, ""), FOLDER)


def variants(folder: Path = FOLDER) -> list[Variant]:
    """All variants of the library, the fastest first, whether they are built or not."""
    return [Variant(name, _path(name, folder), problem(_path(name, folder), folder)) for name in build.VARIANTS]


def problem(path: Path, folder: Path = FOLDER) -> str | None:
    """The reason why a library cannot be used with the sources in `folder`, as a clause; None: it can."""
    if not path.exists():
        return "it is not built"
    try:
        handle = _open(path)
        stamp, runs_here = handle.glebench_stamp(), handle.glebench_runs_here()
    except (OSError, AttributeError) as error:
        return f"it cannot be loaded ({error})"
    if _differs(stamp.decode(), folder):
        return "it was built from other sources than those that are here"
    return None if runs_here else "this CPU cannot run it"


@cache
def _load(requested: str, folder: Path) -> Library:
    """The library to use from a folder; `requested` is the value of GLEBENCH_NATIVE, empty for the fastest one."""
    if requested == "off":
        raise GleBenchError(f"{VARIABLE}=off switches it off; unset it")
    if requested and requested not in build.VARIANTS and os.sep not in requested:
        kinds = did_you_mean("variant", requested, [*build.VARIANTS, "off"])
        raise UnknownName(f"{VARIABLE}={requested}: {kinds} Or the path of a library.")
    paths = [_path(name, folder) for name in ([requested] if requested else build.VARIANTS)]
    for path in [Path(requested)] if os.sep in requested else paths:
        reason = problem(path, folder)
        if reason is None:
            return Library(path.name.partition(".")[0].lstrip("_"), path, _open(path))
        if requested:
            raise GleBenchError(f"{VARIABLE}={requested}: {reason}; unset it or {_cure(folder)}")
    raise GleBenchError(why_none(folder))


def why_none(folder: Path = FOLDER) -> str:
    """The reason why no library in the folder can be used, and what to do about it, as a clause."""
    built = [f"{variant.path.name}: {variant.problem}" for variant in variants(folder) if variant.path.exists()]
    if built:
        return f"{'; '.join(built)}; {_cure(folder)}"
    if not any(map(shutil.which, COMPILERS)):
        return f"there is no C++ compiler; install g++ (or name another in CXX), then {_cure(folder)}"
    return f"it was not built, or its build failed; {_cure(folder)}, and read the compiler's errors"


def _cure(folder: Path) -> str:
    """The command that builds the libraries of this installation, as the end of a sentence."""
    root = folder.parents[3]
    if not (root / "setup.py").exists():
        return "install glebench again"
    if Path(sys.prefix) == root / ".venv":
        return f"run {root / 'scripts/setup'} (its log is {root / '.venv-setup.log'})"
    return f"run {sys.executable} -m pip install -v -e {root}"


def _path(variant: str, folder: Path) -> Path:
    """The path of a variant's library, where setup.py puts it."""
    return folder / f"_{variant}{build.SUFFIX}"


def _open(path: Path) -> ctypes.CDLL:
    """A library, loaded and with the types of its two functions declared; OSError if it cannot be loaded."""
    handle = ctypes.CDLL(str(path))
    handle.glebench_stamp.restype = ctypes.c_char_p
    handle.glebench_stamp.argtypes = handle.glebench_runs_here.argtypes = ()
    return handle


def _differs(stamp: str, folder: Path) -> bool:
    """Whether a library with this stamp was built from sources other than those in `folder`, if any."""
    return (folder / build.SOURCE).exists() and stamp != build.stamp(folder)
