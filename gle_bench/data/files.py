"""Files that are whole or not there: written beside, synced, then renamed. And where data lie."""

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
    """The folder of all data: the one chosen, else $GLEBENCH_DATA, else the platform's cache."""
    from_environment = os.environ.get("GLEBENCH_DATA")
    if chosen is not None:
        return chosen
    return expanded(from_environment) if from_environment else cache_folder()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a temporary file beside `path`, syncs it and renames it: `path` is never half-written.

    Raises:
        GleBenchError: if the folder cannot be made or written to, or is full; `path` is then as it was.
    """
    with discarding(temporary := written(path, write)):
        rename(temporary, path)


def written(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """A complete, synced, temporary file beside `path`, for the caller to rename or to discard.

    Raises:
        GleBenchError: the folder cannot be made or written to, or is full; nothing is then left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile's, which is for its owner alone: the umask decides who may read what is left.
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
    """Removes temporary files if anything goes wrong inside."""
    try:
        yield
    except BaseException:
        for temporary in temporaries:
            with suppress(OSError):  # a disk that has become read-only: whoever takes the folder up next removes it
                temporary.unlink(missing_ok=True)
        raise


def rename(temporary: Path, path: Path) -> None:
    """Puts a temporary file into its place.

    Raises:
        GleBenchError: the disk does not let it.
    """
    try:
        temporary.replace(path)
    except OSError as error:
        raise GleBenchError(f"Cannot write {path}: {error.strerror}. Choose another folder.") from error


def append(path: Path) -> BinaryIO:
    """A file to add bytes to, unbuffered; a pipe in its place is not waited for.

    Raises:
        OSError: it cannot be opened.
    """
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK, 0o666))


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for text, in UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def sha256(*chunks: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of the chunks, one after the other."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
