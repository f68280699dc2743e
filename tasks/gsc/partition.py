"""The partition of clips into splits: speakers by hash, silence and unknown words by TensorFlow's rule."""

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from gle_bench.recipes.gsc import Splits

Part = Literal["train", "validation", "test"]

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = 0, 1
CLASSES = ("unknown", "silence", *KEYWORDS)
SHUFFLE_SEED = 59185  # TensorFlow's seed, the same for all runs, so that all have the same splits
HASHES = 2**27  # number of different hashes in TensorFlow's rule
# Sizes of the splits of the whole data set in Table 3, and in the released GLE code.
SIZES: dict[Splits, dict[Part, int]] = {
    "paper": {"train": 36_923, "validation": 4_445, "test": 4_890},
    "gle-code": {"train": 37_230, "validation": 4_481, "test": 4_930},
}


class Clip(NamedTuple):
    """A sample: its path 'word/file.wav', which is None for silence, and its class."""

    name: str | None
    label: int


class Partition(NamedTuple):
    """The samples of each split, in order, and notes for the records if the data have fewer than the rule asks for."""

    parts: Mapping[Part, Sequence[Clip]]
    notes: tuple[str, ...]


def speaker_of(name: str) -> str:
    """The speaker of a clip: its file's name up to '_nohash_'."""
    return name.rpartition("/")[2].partition("_nohash_")[0]


def part_of(name: str) -> Part:
    """The split of a clip by Warden's rule: the hash of its speaker decides, 10 % validation and 10 % test.

    All clips of a speaker are in the same split.
    """
    hashed = hashlib.sha1(speaker_of(name).encode("utf-8", "surrogateescape"))
    percent = int(hashed.hexdigest(), 16) % HASHES * (100 / (HASHES - 1))
    return "validation" if percent < 10 else "test" if percent < 20 else "train"


def partition(
    names: Iterable[str], lists: Mapping[Part, frozenset[str]] | None, splits: Splits, most: int | None = None
) -> Partition:
    """The splits of clips, independent of the order of `names`.

    Args:
        names: paths of the clips, 'word/file.wav'.
        lists: the clips in 'validation' and 'test' by the data's own lists; None: the hash decides.
        splits: the rule that rounds the numbers of silent and unknown clips.
        most: largest number of samples in a split, with all classes in proportion; None: no limit.
    """
    keywords: dict[Part, list[Clip]] = {"validation": [], "test": [], "train": []}
    unknown: dict[Part, list[Clip]] = {"validation": [], "test": [], "train": []}
    for name in sorted(names):
        word = name.partition("/")[0]
        part = part_of(name) if lists is None else _listed(name, lists)
        if word in KEYWORDS:
            keywords[part].append(Clip(name, CLASSES.index(word)))
        else:
            unknown[part].append(Clip(name, UNKNOWN))
    shuffler, parts, notes = random.Random(SHUFFLE_SEED), {}, []
    for part, clips in keywords.items():  # in TensorFlow's order, because one generator shuffles them all
        unknown_count, silent_count = added(len(clips), splits)
        shuffler.shuffle(unknown[part])
        if len(unknown[part]) < unknown_count:
            notes.append(f"{part} has {len(unknown[part])} unknown clips where the rule asks for {unknown_count}")
        parts[part] = [*clips, *unknown[part][:unknown_count], *[Clip(None, SILENCE)] * silent_count]
    for part in parts:
        shuffler.shuffle(parts[part])
        parts[part] = representative(parts[part], most)
    return Partition({part: parts[part] for part in ("train", "validation", "test")}, tuple(notes))


def _listed(name: str, lists: Mapping[Part, frozenset[str]]) -> Part:
    return next((part for part, listed in lists.items() if name in listed), "train")


def added(keywords: int, splits: Splits) -> tuple[int, int]:
    """The numbers of unknown and of silent clips that a split gets for its number of keyword clips."""
    unknown = math.ceil(keywords / 10)
    return unknown, unknown if splits == "paper" else (keywords + unknown) // 10


def representative(clips: Sequence[Clip], most: int | None) -> list[Clip]:
    """At most `most` of the clips, in their order, with all classes in proportion; always the same ones."""
    if most is None or most >= len(clips):
        return list(clips)
    by_class = sorted(range(len(clips)), key=lambda i: clips[i].label)
    return [clips[i] for i in sorted(by_class[k * len(clips) // most] for k in range(most))]
