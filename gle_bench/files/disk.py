"""Atomic writing: a file is written under a temporary name, synced, then renamed. Also the data folder."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gle_bench.errors import GleBenchError
from gle_bench.surroundings.home import cache_folder, expanded


def data_folder(chosen: Path | None) -> Path:
    """The folder of all data sets: `chosen`, else $GLEBENCH_DATA, else the platform's cache folder."""
    from_environment = os.environ.get("GLEBENCH_DATA")
    if chosen is not None:
        return chosen
    return expanded(from_environment) if from_environment else cache_folder()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file so that `path` is never half-written: `write` fills a temporary file, which is synced and renamed.

    Raises:
        GleBenchError: the folder cannot be made or written to, or the disk is full; `path` is then unchanged.
    """
    with discarding(temporary := written(path, write)):
        rename(temporary, path)


def written(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """A complete, synced temporary file in the folder of `path`, which the caller renames or deletes.

    Raises:
        GleBenchError: the folder cannot be made or written to, or the disk is full; no file is then left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # tempfile's files can be read by their owner alone; for these the umask decides.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise GleBenchError(
            f"Cannot write {path}: {error.strerror}. Choose a folder that can be written to."
        ) from error
    with discarding(temporary):
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            text = f"Cannot write {path}: {error.strerror}. Free some space, or choose another folder."
            raise GleBenchError(text) from error
    return temporary


@contextmanager
def discarding(*temporaries: Path) -> Iterator[None]:
    """Deletes the temporary files if the block raises."""
    try:
        yield
    except BaseException:
        for temporary in temporaries:
            with suppress(OSError):  # the disk has become read-only: the next process in this folder deletes them
                temporary.unlink(missing_ok=True)
        raise


def rename(temporary: Path, path: Path) -> None:
    """Renames a temporary file to `path`, in the place of an earlier file.

    Raises:
        GleBenchError: it cannot be renamed.
    """
    try:
        temporary.replace(path)
    except OSError as error:
        raise GleBenchError(f"Cannot write {path}: {error.strerror}. Choose another folder.") from error


def append(path: Path) -> BinaryIO:
    """A file opened for appending, unbuffered. Never blocks, even if `path` is a pipe.

    Raises:
        OSError: it cannot be opened.
    """
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK, 0o666))


def write_text(path: Path, text: str) -> None:
    """Writes text in UTF-8, by `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256(*chunks: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of the chunks, one after the other."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
