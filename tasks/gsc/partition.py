"""Which clips make which split: speakers by hash, silence and unknown words by TensorFlow's rule."""

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
SHUFFLE_SEED = 59185  # TensorFlow's, whatever the run's seed: the splits are one and the same for all runs
HASHES = 2**27  # that TensorFlow's rule tells apart
# The splits of the whole data set, as Table 3 has them, and as the released GLE code makes them.
SIZES: dict[Splits, dict[Part, int]] = {
    "paper": {"train": 36_923, "validation": 4_445, "test": 4_890},
    "gle-code": {"train": 37_230, "validation": 4_481, "test": 4_930},
}


class Clip(NamedTuple):
    """A sample: its name as 'word/file.wav', None for silence, and its class."""

    name: str | None
    label: int


class Partition(NamedTuple):
    """The samples of each split, in their order, and what the rule asked for and did not find."""

    parts: Mapping[Part, Sequence[Clip]]
    notes: tuple[str, ...]


def speaker_of(name: str) -> str:
    """Who speaks in a clip: its file's name without '_nohash_' and what follows."""
    return name.rpartition("/")[2].partition("_nohash_")[0]


def part_of(name: str) -> Part:
    """The split of a clip, by the hash of its speaker: 10 % validation, 10 % test.

    Warden's rule, by which a speaker stays in one split.
    """
    hashed = hashlib.sha1(speaker_of(name).encode("utf-8", "surrogateescape"))
    percent = int(hashed.hexdigest(), 16) % HASHES * (100 / (HASHES - 1))
    return "validation" if percent < 10 else "test" if percent < 20 else "train"


def partition(
    names: Iterable[str], lists: Mapping[Part, frozenset[str]] | None, splits: Splits, most: int | None = None
) -> Partition:
    """The splits of the clips `names`, whatever their order.

    Args:
        lists: the names that the data's own lists give to 'validation' and 'test'; None: the hash decides.
        splits: which rule rounds the numbers of silent and unknown clips.
        most: as many samples a split, all classes in proportion; None: all.
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
    for part, found in keywords.items():  # in TensorFlow's order: one generator shuffles them all
        strangers, silent = wanted(len(found), splits)
        shuffler.shuffle(unknown[part])
        if len(unknown[part]) < strangers:
            notes.append(f"{part} has {len(unknown[part])} unknown clips where the rule asks for {strangers}")
        parts[part] = [*found, *unknown[part][:strangers], *[Clip(None, SILENCE)] * silent]
    for part in parts:
        shuffler.shuffle(parts[part])
        parts[part] = representative(parts[part], most)
    return Partition({part: parts[part] for part in ("train", "validation", "test")}, tuple(notes))


def _listed(name: str, lists: Mapping[Part, frozenset[str]]) -> Part:
    return next((part for part, listed in lists.items() if name in listed), "train")


def wanted(keywords: int, splits: Splits) -> tuple[int, int]:
    """How many unknown and silent clips join so many keywords."""
    unknown = math.ceil(keywords / 10)
    return unknown, unknown if splits == "paper" else (keywords + unknown) // 10


def representative(clips: Sequence[Clip], most: int | None) -> list[Clip]:
    """At most so many of the clips, in their order, each class in proportion; always the same ones."""
    if most is None or most >= len(clips):
        return list(clips)
    by_class = sorted(range(len(clips)), key=lambda i: clips[i].label)
    return [clips[i] for i in sorted(by_class[k * len(clips) // most] for k in range(most))]
