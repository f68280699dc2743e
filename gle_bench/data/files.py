"""Files that are whole or not there: written beside, synced, then renamed. And where data lie."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from gle_bench.names import GleBenchError
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
    write_together({path: write})


def write_together(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """`write_atomically` for several files, which are renamed when all are complete.

    Raises:
        GleBenchError: if one of them cannot be written; all are then as they were.
    """
    with ExitStack() as temporaries:
        ready = {path: temporaries.enter_context(_written(path, write)) for path, write in files.items()}
        for path, temporary in ready.items():
            try:
                temporary.replace(path)
            except OSError as error:
                raise GleBenchError(f"Cannot write {path}: {error.strerror}. Choose another folder.") from error


@contextmanager
def _written(path: Path, write: Callable[[BinaryIO], object]) -> Iterator[Path]:
    """A complete, synced file beside `path`, gone at the end if nobody has renamed it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile's, which is for its owner alone: the umask decides who may read what is left.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise GleBenchError(
            f"Cannot write {path}: {error.strerror}. Choose a folder that can be written to."
        ) from error
    try:
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            text = f"Cannot write {path}: {error.strerror}. Free some space, or choose another folder."
            raise GleBenchError(text) from error
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


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
