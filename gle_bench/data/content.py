"""What those files of a folder hold that are read, as one SHA-256, and from which archive they were unpacked."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from gle_bench.data.files import sha256, write_text
from gle_bench.data.foreign import content, opened
from gle_bench.data.tree import Stamp, unreadable
from gle_bench.errors import GleBenchError


class Content(NamedTuple):
    """The content of a folder, as far as it is read.

    Attributes:
        digest: SHA-256 over the names and the content of the files that are read. Of what was unpacked here, it is that
            of all the archive's files, whatever has become of those that are not read.
        source: SHA-256 of the archive that just this content was unpacked from; None: it is not known.
    """

    digest: str
    source: str | None


class _EarlierNote(BaseModel):
    """What was remembered when all files of a folder counted, also those that are not read."""

    model_config = ConfigDict(frozen=True)

    digest: str
    source: str | None


class _Note(BaseModel):
    """What is remembered of a folder.

    Attributes:
        stamps: SHA-256 over the names and stamps of the files that were read when `read` was computed.
        read: SHA-256 over the names and the content of these files.
        known: by the same SHA-256, all that was ever unpacked here: content that comes back is known again.
        earlier: what was noted when all files counted, until the folder is found to be as it was then.
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
    """The content of a folder. `note`, a file elsewhere, spares reading it all next time.

    Args:
        files: those that are read, by their paths from the folder. No other file counts.
        source: given once, when the folder has just been unpacked from the archive of that SHA-256.

    Raises:
        GleBenchError: if a file cannot be read.
    """
    stamps = sha256(repr(sorted(files.items())).encode("utf-8", "surrogateescape"))
    noted = _noted(note)
    if source is None and isinstance(noted, _Note) and noted.stamps == stamps:
        return noted.content
    known = dict(noted.known) if isinstance(noted, _Note) else {}
    earlier = noted.earlier if isinstance(noted, _Note) else noted
    if source is None and earlier is None:
        read = _digest(_hashes(folder, files))
    else:
        hashes = _hashes(folder, {*files, *_all_files(folder)})
        read, whole = _digest({name: hashes[name] for name in files}), _digest(hashes)
        if source is not None:
            known[read], earlier = Content(whole, source), None
        elif earlier is not None and earlier.digest == whole:
            known[read], earlier = Content(whole, earlier.source), None
    now = _noted(note)  # another process may have unpacked the same folder meanwhile
    known = {**(now.known if isinstance(now, _Note) else {}), **known}
    made = _Note(stamps=stamps, read=read, known=known, earlier=earlier)
    try:
        write_text(note, made.model_dump_json())
    except GleBenchError:
        if source is not None:
            raise  # where the data come from is noted now or never
    return made.content


def _noted(note: Path) -> _Note | _EarlierNote | None:
    """What was noted; None: nothing, or nothing that could be used."""
    for kind in (_Note, _EarlierNote):
        try:
            return kind.model_validate_json(content(note))
        except OSError:
            return None
        except ValidationError:
            continue
    return None


def _all_files(folder: Path) -> set[str]:
    """Every file below the folder by its path from there; what links lead to is not looked for."""
    return {
        path.relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for path in (Path(parent, name) for name in names)
        if path.is_file()
    }


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of every file."""
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
