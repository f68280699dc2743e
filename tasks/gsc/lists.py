"""The lists of held-out clips in a tree: read in any common text format, and checked against the tree's clips."""

import codecs
import posixpath
import string
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench.errors import GleBenchError
from gle_bench.files.foreign import content
from gle_bench.files.tree import CURE, unreadable

from .partition import Part, part_of, speaker_of
from .tree import LISTS

EDGES: Final = f"{string.whitespace}\0\xa0\ufeff"  # characters that are stripped from both ends of an entry
LONGEST: Final = 100  # most characters of an entry that a message quotes
# Byte order marks, the longest first, because that of UTF-32 begins like that of UTF-16.
MARKS: Final[Mapping[bytes, str]] = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class Entries(NamedTuple):
    """The entries of one list: the clips that it names, and the entries that name no clip, in their order."""

    clips: frozenset[str]
    unmatched: tuple[str, ...]


class Lists(NamedTuple):
    """The clips that each list holds out, and notes for the records on entries that name no clip."""

    clips: Mapping[Part, frozenset[str]]
    notes: tuple[str, ...]


def read_lists(root: Path, parts: Iterable[Part], clips: Collection[str]) -> Lists:
    """The lists of clips that come with the data, such as the list of validation clips, read from the folder `root`.

    Raises:
        GleBenchError: a list cannot be read, names no clip of the tree, or puts clips of one speaker into two splits.
    """
    lists = {part: parsed(_text(root / LISTS[part]), clips) for part in parts}
    for part, entries in lists.items():
        if not entries.clips:
            first = f"; its first entry is {_quoted(entries.unmatched[0])}" if entries.unmatched else ""
            raise GleBenchError(f"{root / LISTS[part]} names none of the clips beside it{first}. {CURE}")
    complaint = torn(clips, lists)
    if complaint is not None:
        raise GleBenchError(f"The lists in {root} do not split its clips by speakers: {complaint}. {CURE}")
    notes = [
        f"entries of {LISTS[part]} that name no clip: {len(entries.unmatched):,}, first {_quoted(entries.unmatched[0])}"
        for part, entries in lists.items()
        if entries.unmatched
    ]
    return Lists({part: entries.clips for part, entries in lists.items()}, tuple(notes))


def _quoted(entry: str) -> str:
    """An entry as quoted in a message: on one line, and at most `LONGEST` characters."""
    return repr(entry if len(entry) <= LONGEST else f"{entry[:LONGEST]}...")


def _text(path: Path) -> str:
    try:
        return decoded(content(path))
    except OSError as error:
        raise unreadable(path, error) from error


def decoded(raw: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark, or in Latin-1."""
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
    """The entries of a list: one on a line, or several files on a line, separated by blanks."""
    matched: set[str] = set()
    unmatched: dict[str, None] = {}
    for line in text.splitlines():
        several = line.count(".wav") > 1  # else blanks belong to the name
        for entry in filter(None, (piece.strip(EDGES) for piece in (line.split() if several else [line]))):
            if normal(entry) in clips:
                matched.add(normal(entry))
            else:
                unmatched[entry] = None
    return Entries(frozenset(matched), tuple(unmatched))


def normal(entry: str) -> str:
    """An entry as 'word/file.wav', without the path before it and with backslashes replaced."""
    return "/".join(posixpath.normpath(entry.replace("\\", "/")).split("/")[-2:])


def torn(clips: Iterable[str], lists: Mapping[Part, Entries]) -> str | None:
    """The first clip whose speaker is also in another split, in words; None if there is none.

    Speakers are taken from all entries, also from those that name no clip. If most entries of each list agree with the
    hash of their speaker, clips that the hash assigns to a list, but no list names, count too.
    """
    twice = sorted(frozenset.intersection(*(entries.clips for entries in lists.values())))
    if twice:
        return f"{' and '.join(LISTS[part] for part in lists)} both name {twice[0]}"
    held_out = {part: _speakers(chain(entries.clips, entries.unmatched)) for part, entries in lists.items()}
    hashed = all(_most_follow_the_hash(part, entries) for part, entries in lists.items())
    by_hash: dict[str, Part] = {}
    complaints: dict[str, str] = {}
    for clip in sorted(clips):
        own: Part = next((part for part, entries in lists.items() if clip in entries.clips), "train")
        speaker = speaker_of(clip)
        for part, speakers in held_out.items():
            if part != own and speaker in speakers:
                complaints[clip] = f"{clip} is in {own}, and its speaker {speaker} in {LISTS[part]}"
        if hashed and own == "train":
            rule = by_hash.setdefault(speaker, part_of(clip))
            if rule != "train":
                complaints.setdefault(clip, f"{clip} is in train, and the hash of its speaker puts it into {rule}")
    if not complaints:
        return None
    others = f" (and {len(complaints) - 1:,} more such clips)" if len(complaints) > 1 else ""
    return f"{next(iter(complaints.values()))}{others}"


def _speakers(entries: Iterable[str]) -> frozenset[str]:
    """The speakers of all entries whose names contain the speaker."""
    return frozenset(speaker_of(normal(entry)) for entry in entries if "_nohash_" in entry)


def _most_follow_the_hash(part: Part, entries: Entries) -> bool:
    parts = Counter(part_of(normal(entry)) for entry in chain(entries.clips, entries.unmatched))
    return parts[part] > parts.total() / 2
