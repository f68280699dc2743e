"""Finds the native engine's library: the fastest that is built, fits the sources and runs on this CPU.

GLEBENCH_NATIVE forces one: a variant, 'off', or the path of a library.
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
    """A library that can be called."""

    variant: str  # 'avx512', 'avx2' or 'portable'
    path: Path
    handle: ctypes.CDLL


class Variant(NamedTuple):
    """A library that is built, or could be."""

    name: str
    path: Path
    problem: str | None  # why it cannot be used, as a clause; None if it can


def load() -> Library:
    """The library to use: the fastest, or what GLEBENCH_NATIVE says. The answer is kept, a refusal is not.

    Raises:
        GleBenchError: there is none that can be used; says why, and the cure.
    """
    return _load(os.environ.get(VARIABLE, ""), FOLDER)


def variants(folder: Path = FOLDER) -> list[Variant]:
    """Every variant, the fastest first, built or not."""
    return [Variant(name, _path(name, folder), problem(_path(name, folder), folder)) for name in build.VARIANTS]


def problem(path: Path, folder: Path = FOLDER) -> str | None:
    """Why this library cannot be used with the sources in `folder`, as a clause; None if it can."""
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
def _load(wanted: str, folder: Path) -> Library:
    """As `load`, from any folder."""
    if wanted == "off":
        raise GleBenchError(f"{VARIABLE}=off switches it off; unset it")
    if wanted and wanted not in build.VARIANTS and os.sep not in wanted:
        kinds = did_you_mean("variant", wanted, [*build.VARIANTS, "off"])
        raise UnknownName(f"{VARIABLE}={wanted}: {kinds} Or the path of a library.")
    paths = [_path(name, folder) for name in ([wanted] if wanted else build.VARIANTS)]
    for path in [Path(wanted)] if os.sep in wanted else paths:
        found = problem(path, folder)
        if found is None:
            return Library(path.name.partition(".")[0].lstrip("_"), path, _open(path))
        if wanted:
            raise GleBenchError(f"{VARIABLE}={wanted}: {found}; unset it or {_cure(folder)}")
    raise GleBenchError(why_none(folder))


def why_none(folder: Path = FOLDER) -> str:
    """Why no library in the folder can be used and what to do about it, as a clause."""
    found = variants(folder)
    built = [f"{variant.path.name}: {variant.problem}" for variant in found if variant.path.exists()]
    if built:
        return f"{'; '.join(built)}; {_cure(folder)}"
    if not any(map(shutil.which, COMPILERS)):
        return f"there is no C++ compiler; install g++ (or name another in CXX), then {_cure(folder)}"
    return f"it was not built, or its build failed; {_cure(folder)}, and read the compiler's errors"


def _cure(folder: Path) -> str:
    """What builds the libraries of this installation."""
    root = folder.parents[3]
    if not (root / "setup.py").exists():
        return "install glebench again"
    if Path(sys.prefix) == root / ".venv":
        return f"run {root / 'scripts/setup'} (its log is {root / '.venv-setup.log'})"
    return f"run {sys.executable} -m pip install -v -e {root}"


def _path(variant: str, folder: Path) -> Path:
    """Where setup.py puts a variant."""
    return folder / f"_{variant}{build.SUFFIX}"


def _open(path: Path) -> ctypes.CDLL:
    """With the types of the two functions that every library has; OSError if it cannot be loaded."""
    handle = ctypes.CDLL(str(path))
    handle.glebench_stamp.restype = ctypes.c_char_p
    handle.glebench_stamp.argtypes = handle.glebench_runs_here.argtypes = ()
    return handle


def _differs(stamp: str, folder: Path) -> bool:
    """Whether the sources are there, and others than the library's."""
    return (folder / build.SOURCE).exists() and stamp != build.stamp(folder)
