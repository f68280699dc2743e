"""What a folder of files holds, as one SHA-256, and whether it came from an archive that was checked."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gle_bench.data.files import sha256, write_text
from gle_bench.names import GleBenchError


class Content(NamedTuple):
    """A folder's content.

    Attributes:
        digest: SHA-256 over the files' names and contents.
        listing: SHA-256 over their names, sizes and times, by which a change is noticed without reading them all.
        source: SHA-256 of the archive that just this content was unpacked from; None: it is not known.
    """

    digest: str
    listing: str
    source: str | None


def identify(folder: Path, note: Path, source: str | None = None) -> Content:
    """The folder's content. `note`, a file elsewhere, spares reading it all next time.

    Args:
        source: given once, when the folder has just been unpacked from the archive of that SHA-256.

    Raises:
        GleBenchError: if a file cannot be read.
    """
    listing = _listing(folder)
    known = _noted(note)
    if known is not None and known.listing == listing and source is None:
        return known
    digest = _digest(folder)
    if source is None and known is not None and known.digest == digest:
        source = known.source  # copied or touched, but the same
    content = Content(digest, listing, source)
    try:
        write_text(note, json.dumps(content._asdict()))
    except GleBenchError:
        if source is not None:
            raise
    return content


def _noted(note: Path) -> Content | None:
    try:
        return Content(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _listing(folder: Path) -> str:
    entries = [(name, entry.stat().st_size, entry.stat().st_mtime_ns) for name, entry in _files(folder)]
    return sha256(repr(sorted(entries)).encode("utf-8", "surrogateescape"))


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for name, entry in sorted(_files(folder), key=lambda found: found[0]):
        try:
            inner = sha256(Path(entry.path).read_bytes())
        except OSError as error:
            raise GleBenchError(
                f"Cannot read {entry.path}: {error.strerror}. Mend that, or choose another --data."
            ) from error
        whole.update(f"{name}\0{inner}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Every file below the folder by its path from there, in no order."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry
