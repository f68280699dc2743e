"""How the native engine is built from the C++ sources in src/, and the stamp that ties a library to them.

setup.py reads this by its path, before anything is installed: standard library only. It belongs to the stamp, so that
another flag is another build.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = "src/engine.cpp"  # the one that is compiled; it includes the others
SUFFIX: Final = ".dll" if os.name == "nt" else ".so"  # of a library, which every Python can load
PATTERNS: Final = ("src/*.cpp", "src/*.hpp", "build.py")

# Not -ffast-math: NaN must stay NaN, and sums must not be put in another order. No vector is passed between libraries,
# so their calling convention is no matter; the last two undo flags of Python's own build, which come first.
FLAGS: Final = (
    *("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-pthread"),
    *("-Wno-psabi", "-g0", "-fno-wrapv"),
)

# What each library adds to them, the fastest first.
VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "avx512": (*("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma"), "-mprefer-vector-width=256"),
    "avx2": ("-mavx2", "-mfma"),
    "portable": (),
}


def variants(machine: str) -> list[str]:
    """The variants that can be built for `machine`, as `platform.machine()` names it, the fastest first."""
    return list(VARIANTS) if machine.lower() in ("x86_64", "amd64") else ["portable"]


def sources(folder: Path) -> Iterator[Path]:
    """All files of the native folder that a library depends on, in a fixed order."""
    for pattern in PATTERNS:
        yield from sorted(folder.glob(pattern))


def stamp(folder: Path) -> str:
    """The sources' fingerprint, compiled into every library as GLEBENCH_STAMP: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sources(folder):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
