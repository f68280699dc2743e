"""A tree with the layout of Speech Commands: one folder of clips for each word, one of noise, and lists of splits."""

import os
from pathlib import Path
from typing import NamedTuple

from gle_bench.errors import GleBenchError
from gle_bench.files.tree import CURE, Stamp, entries, is_folder, stamp

from .partition import KEYWORDS, Part

NOISE = "_background_noise_"
LISTS: dict[Part, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}


class Tree(NamedTuple):
    """The files of the data with their sizes and times, {path below the root: stamp}: clips, noises and two lists.

    Other files are ignored. If only one of the two lists exists, it is not read; `alone` is its name.
    """

    clips: dict[str, Stamp]
    noises: dict[str, Stamp]
    lists: dict[Part, Stamp]
    alone: str | None

    @property
    def files(self) -> dict[str, Stamp]:
        return self.clips | self.noises | {LISTS[part]: list_stamp for part, list_stamp in self.lists.items()}


def look_through(root: Path) -> Tree:
    """The tree in a folder, with the stamps of its files.

    Raises:
        GleBenchError: a file or folder cannot be read, or is of the wrong kind.
    """
    clips: dict[str, Stamp] = {}
    noises: dict[str, Stamp] = {}
    lists: dict[Part, Stamp] = {}
    parts: dict[str, Part] = {name: part for part, name in LISTS.items()}
    for entry in entries(root):
        if entry.name in parts:
            lists[parts[entry.name]] = stamp(entry)
        elif entry.name == NOISE:
            noises = _recordings(entry) if is_folder(entry) else noises
        elif entry.name[0].isalnum() and is_folder(entry):
            clips |= _recordings(entry)
        elif entry.name in KEYWORDS:
            raise GleBenchError(f"{entry.path} must be a folder with the clips of a keyword. {CURE}")
    alone = next(LISTS[part] for part in lists) if len(lists) == 1 else None
    return Tree(clips, noises, {part: lists[part] for part in LISTS if not alone and lists}, alone)


def _recordings(folder: "os.DirEntry[str]") -> dict[str, Stamp]:
    """The stamps of all WAV files in a folder, hidden ones excepted, by path relative to the root."""
    return {
        f"{folder.name}/{entry.name}": stamp(entry)
        for entry in entries(Path(folder.path))
        if entry.name.endswith(".wav") and not entry.name.startswith(".")
    }
