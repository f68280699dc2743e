"""The content of a folder: one SHA-256 over the files that are read, and the archive that they were unpacked from."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from gle_bench.errors import GleBenchError
from gle_bench.files.disk import sha256, write_text
from gle_bench.files.foreign import content, opened
from gle_bench.files.tree import Stamp, unreadable


class Content(NamedTuple):
    """The content of a folder, restricted to the files that are read.

    Attributes:
        digest: SHA-256 over the names and the content of the files that are read. If the folder was unpacked here: over
            all files of the archive, even if some of those that are not read have changed or gone since.
        source: SHA-256 of the archive that exactly this content was unpacked from; None: unknown.
    """

    digest: str
    source: str | None


class _EarlierNote(BaseModel):
    """A note in an earlier format, whose digest covers all files of the folder, also those that are not read."""

    model_config = ConfigDict(frozen=True)

    digest: str
    source: str | None


class _Note(BaseModel):
    """The note on a folder, kept in a file beside it, so that unchanged files need not be hashed again.

    Attributes:
        stamps: SHA-256 over the names and stamps of the files that are read, as they were when `read` was computed.
        read: SHA-256 over the names and the content of these files.
        known: every content that was ever unpacked here, by its `read`, so that restored files are recognised.
        earlier: a note in the earlier format, kept until all files of the folder are found to match it.
    """

    model_config = ConfigDict(frozen=True)

    stamps: str
    read: str
    known: Mapping[str, Content]
    earlier: _EarlierNote | None = None

    @property
    def content(self) -> Content:
        return self.known.get(self.read, Content(self.read, None))


def identify(folder: Path, files: Mapping[str, Stamp], note: Path, source: str | None = None) -> Content:
    """The content of a folder. The file `note` keeps it, so that unchanged files need not be read next time.

    Args:
        files: stamps of the files that are read, by path relative to the folder. Other files are ignored.
        source: SHA-256 of the archive, given once, when the folder has just been unpacked from it.

    Raises:
        GleBenchError: if a file cannot be read.
    """
    stamps = sha256(repr(sorted(files.items())).encode("utf-8", "surrogateescape"))
    previous = _noted(note)
    if source is None and isinstance(previous, _Note) and previous.stamps == stamps:
        return previous.content
    contents = dict(previous.known) if isinstance(previous, _Note) else {}
    earlier = previous.earlier if isinstance(previous, _Note) else previous
    if source is None and earlier is None:
        read = _digest(_hashes(folder, files))
    else:
        hashes = _hashes(folder, {*files, *_all_files(folder)})
        read, whole = _digest({name: hashes[name] for name in files}), _digest(hashes)
        if source is not None:
            contents[read], earlier = Content(whole, source), None
        elif earlier is not None and earlier.digest == whole:
            contents[read], earlier = Content(whole, earlier.source), None
    latest = _noted(note)  # another process may have unpacked the same folder meanwhile
    contents = {**(latest.known if isinstance(latest, _Note) else {}), **contents}
    updated = _Note(stamps=stamps, read=read, known=contents, earlier=earlier)
    try:
        write_text(note, updated.model_dump_json())
    except GleBenchError:
        if source is not None:
            raise  # the archive is known only now: if the note is not written, its digest is lost
    return updated.content


def _noted(note: Path) -> _Note | _EarlierNote | None:
    """The content of a note file; None if there is no such file, or if it cannot be read or parsed."""
    for kind in (_Note, _EarlierNote):
        try:
            return kind.model_validate_json(content(note))
        except OSError:
            return None
        except ValidationError:
            continue
    return None


def _all_files(folder: Path) -> set[str]:
    """Relative paths of all files below the folder. Links to folders are not followed."""
    return {
        path.relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for path in (Path(parent, name) for name in names)
        if path.is_file()
    }


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of every named file in the folder."""
    hashes = {}
    for name in names:
        try:
            with opened(folder / name) as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(folder / name, error) from error
    return hashes


def _digest(hashes: Mapping[str, str]) -> str:
    whole = hashlib.sha256()
    for name in sorted(hashes):
        whole.update(f"{name}\0{hashes[name]}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()
