"""Folders from elsewhere, inspected safely: links may be broken, permissions missing, and files pipes or devices."""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gle_bench.errors import GleBenchError

CURE = "Repair that, or choose another --data."


class Stamp(NamedTuple):
    """The stamp of a file, which shows a change without reading it: size in bytes, and two times in nanoseconds."""

    size: int
    written: int  # time of the last change of content
    changed: int  # time of the last change of content or attributes, which programs cannot set


def find_folder(places: Iterable[Path]) -> Path | None:
    """The first of the places that is a folder; None if none of them exists.

    Raises:
        GleBenchError: none is a folder, and one exists but is something else, or cannot be inspected.
    """
    first_error: GleBenchError | None = None
    for place in places:
        try:
            if stat.S_ISDIR(place.stat().st_mode):
                return place
            first_error = first_error or GleBenchError(f"{place} is not a folder. {CURE}")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or place.is_symlink():
                first_error = first_error or unreadable(place, error)
    if first_error is not None:
        raise first_error
    return None


def entries(folder: Path) -> list["os.DirEntry[str]"]:
    """The entries of a folder, sorted by name.

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
        GleBenchError: it is a link to nothing, or to itself.
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
        GleBenchError: it is anything else, or cannot be inspected.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise unreadable(file, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise GleBenchError(f"{os.fspath(file)} is {kind}, and should be a file. {CURE}")
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def unreadable(path: "os.PathLike[str]", error: OSError) -> GleBenchError:
    """The error that a path cannot be read, with the reason and the cure."""
    file = Path(path)
    broken = error.errno in (errno.ENOENT, errno.ELOOP) and file.is_symlink()
    link = f", where a link leads to {file.readlink()}" if broken else ""
    return GleBenchError(f"Cannot read {file}: {error.strerror}{link}. {CURE}")
