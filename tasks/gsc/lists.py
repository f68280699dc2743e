"""The lists of held-out clips that a tree brings: read however they were written, and checked against its clips."""

import codecs
import posixpath
import string
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench.data.foreign import content
from gle_bench.data.tree import CURE, unreadable
from gle_bench.errors import GleBenchError

from .partition import Part, part_of, speaker_of
from .tree import LISTS

EDGES: Final = f"{string.whitespace}\0\xa0\ufeff"  # of an entry: no part of it
LONGEST: Final = 100  # characters that a message quotes
# The longest first: the mark of UTF-32 begins like that of UTF-16.
MARKS: Final[Mapping[bytes, str]] = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class Entries(NamedTuple):
    """A list: the clips that it names, and those of its entries that name no clip, in their order."""

    clips: frozenset[str]
    unmatched: tuple[str, ...]


class Lists(NamedTuple):
    """The clips that each list holds out, and what its other entries are."""

    clips: Mapping[Part, frozenset[str]]
    notes: tuple[str, ...]


def read_lists(root: Path, parts: Iterable[Part], clips: Collection[str]) -> Lists:
    """The lists of a tree with these clips.

    Raises:
        GleBenchError: a list that cannot be read, that names no clip of the tree, or that tears a speaker apart.
    """
    lists = {part: parsed(_text(root / LISTS[part]), clips) for part in parts}
    for part, found in lists.items():
        if not found.clips:
            first = f"; its first entry is {_quoted(found.unmatched[0])}" if found.unmatched else ""
            raise GleBenchError(f"{root / LISTS[part]} names none of the clips beside it{first}. {CURE}")
    complaint = torn(clips, lists)
    if complaint is not None:
        raise GleBenchError(f"The lists in {root} do not split its clips by speakers: {complaint}. {CURE}")
    notes = [
        f"entries of {LISTS[part]} that name no clip: {len(found.unmatched):,}, first {_quoted(found.unmatched[0])}"
        for part, found in lists.items()
        if found.unmatched
    ]
    return Lists({part: found.clips for part, found in lists.items()}, tuple(notes))


def _quoted(entry: str) -> str:
    """An entry in a message: in one line, and no longer than a name is."""
    return repr(entry if len(entry) <= LONGEST else f"{entry[:LONGEST]}...")


def _text(path: Path) -> str:
    try:
        return decoded(content(path))
    except OSError as error:
        raise unreadable(path, error) from error


def decoded(raw: bytes) -> str:
    """The text of a file that may be in any UTF, with a mark or without, or in Latin-1."""
    for mark, encoding in MARKS.items():
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    if b"\0" in raw[:2]:
        return raw.decode("utf-16-be" if raw.startswith(b"\0") else "utf-16-le", "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def parsed(text: str, clips: Collection[str]) -> Entries:
    """The entries of a list: one a line, or several files with blanks between them."""
    matched: set[str] = set()
    unmatched: dict[str, None] = {}
    for line in text.splitlines():
        several = line.count(".wav") > 1  # a name may have blanks
        for entry in filter(None, (piece.strip(EDGES) for piece in (line.split() if several else [line]))):
            if normal(entry) in clips:
                matched.add(normal(entry))
            else:
                unmatched[entry] = None
    return Entries(frozenset(matched), tuple(unmatched))


def normal(entry: str) -> str:
    """An entry as 'word/file.wav', whatever path leads there and whichever way its slashes lean."""
    return "/".join(posixpath.normpath(entry.replace("\\", "/")).split("/")[-2:])


def torn(clips: Iterable[str], lists: Mapping[Part, Entries]) -> str | None:
    """The first clip that shares its speaker with another split, in words; None: there is none.

    The speakers are those of all entries, also of the ones that name no clip. Where most entries of each list are where
    the hash of their speaker puts them, the hash also says which clips the lists should have named.
    """
    twice = sorted(frozenset.intersection(*(found.clips for found in lists.values())))
    if twice:
        return f"{' and '.join(LISTS[part] for part in lists)} both name {twice[0]}"
    held_out = {part: _speakers(chain(found.clips, found.unmatched)) for part, found in lists.items()}
    hashed = all(_most_follow_the_hash(part, found) for part, found in lists.items())
    by_hash: dict[str, Part] = {}
    trouble: dict[str, str] = {}
    for clip in sorted(clips):
        own: Part = next((part for part, found in lists.items() if clip in found.clips), "train")
        speaker = speaker_of(clip)
        for part, speakers in held_out.items():
            if part != own and speaker in speakers:
                trouble[clip] = f"{clip} is in {own}, and its speaker {speaker} in {LISTS[part]}"
        if hashed and own == "train":
            rule = by_hash.setdefault(speaker, part_of(clip))
            if rule != "train":
                trouble.setdefault(clip, f"{clip} is in train, and the hash of its speaker puts it into {rule}")
    if not trouble:
        return None
    others = f" (and {len(trouble) - 1:,} more clips alike)" if len(trouble) > 1 else ""
    return f"{next(iter(trouble.values()))}{others}"


def _speakers(entries: Iterable[str]) -> frozenset[str]:
    """The speakers of all entries whose names tell them."""
    return frozenset(speaker_of(normal(entry)) for entry in entries if "_nohash_" in entry)


def _most_follow_the_hash(part: Part, found: Entries) -> bool:
    where = Counter(part_of(normal(entry)) for entry in chain(found.clips, found.unmatched))
    return where[part] > where.total() / 2
