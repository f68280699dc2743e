"""Folders that others have laid out: looked at without trust in links, rights or kinds of files."""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gle_bench.errors import GleBenchError

CURE = "Mend that, or choose another --data."


class Stamp(NamedTuple):
    """What tells that a file has changed without reading it: its size in bytes, and two times in nanoseconds."""

    size: int
    written: int
    changed: int  # which nobody can set back


def find_folder(places: Iterable[Path]) -> Path | None:
    """The first of the places where a folder lies; None: nothing lies at any of them.

    Raises:
        GleBenchError: what lies there is no folder, or cannot be looked at.
    """
    trouble: GleBenchError | None = None
    for place in places:
        try:
            if stat.S_ISDIR(place.stat().st_mode):
                return place
            trouble = trouble or GleBenchError(f"{place} is not a folder. {CURE}")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or place.is_symlink():
                trouble = trouble or unreadable(place, error)
    if trouble is not None:
        raise trouble
    return None


def entries(folder: Path) -> list["os.DirEntry[str]"]:
    """What lies in a folder, by name.

    Raises:
        GleBenchError: it cannot be read.
    """
    try:
        with os.scandir(folder) as scanned:
            return sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder, or a link to one.

    Raises:
        GleBenchError: it is a link that leads nowhere, or in a circle.
    """
    try:
        if entry.is_symlink():
            return stat.S_ISDIR(entry.stat().st_mode)
        return entry.is_dir()
    except OSError as error:
        raise unreadable(entry, error) from error


def stamp(file: "os.DirEntry[str] | Path") -> Stamp:
    """The stamp of a regular file, or of a link to one.

    Raises:
        GleBenchError: it is anything else, or cannot be looked at.
    """
    try:
        found = file.stat()
    except OSError as error:
        raise unreadable(file, error) from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise GleBenchError(f"{os.fspath(file)} is {kind}, and should be a file. {CURE}")
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def unreadable(path: "os.PathLike[str]", error: OSError) -> GleBenchError:
    """That something cannot be read, and why."""
    own = Path(path)
    broken = error.errno in (errno.ENOENT, errno.ELOOP) and own.is_symlink()
    link = f", where a link leads to {own.readlink()}" if broken else ""
    return GleBenchError(f"Cannot read {own}: {error.strerror}{link}. {CURE}")
