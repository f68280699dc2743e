"""Tests of Speech Commands' splits: the official lists, the exact sizes, and TensorFlow's rule on any names."""

import math
from collections import Counter

import pytest
from gsc_examples import speakers
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from gle_bench.registry import TASKS, load

MODULE = load(TASKS["gsc"].partition(":")[0] + ".partition")
PARTS = ("train", "validation", "test")
KEYWORDS = MODULE.KEYWORDS

# Clips a keyword in all of v0.02, in validation_list.txt and in testing_list.txt (facts/baselines.md 3).
EVERYWHERE = (4044, 3941, 3723, 3917, 3801, 3778, 3845, 3745, 3872, 3880)
VALIDATION = (397, 406, 350, 377, 352, 363, 363, 373, 350, 372)
TEST = (419, 405, 425, 406, 412, 396, 396, 402, 411, 402)


def official_list(name: str) -> list[str]:
    return shared_path(f"reference/speech_commands_v0.02_{name}_list.txt").read_text().split()


@pytest.mark.parametrize(
    ("name", "part", "count", "keywords", "per_word"),
    [("validation", "validation", 9_981, 3_703, VALIDATION), ("testing", "test", 11_005, 4_074, TEST)],
)
def test_the_rule_agrees_with_the_official_lists_name_by_name(name, part, count, keywords, per_word):
    names = official_list(name)
    assert len(names) == len(set(names)) == count
    assert {MODULE.part_of(name) for name in names} == {part}
    words = Counter(name.partition("/")[0] for name in names)
    assert tuple(words[word] for word in KEYWORDS) == per_word
    assert sum(per_word) == keywords


def synthetic(counts: dict[str, int]) -> list[str]:
    """A tree of names with the same number in each split and word, and unknown words from one folder."""
    return [f"{word}/{who}_nohash_{n}.wav" for part, each in counts.items() for word, who, n in _names(part, each)]


def _names(part: str, each: dict[str, int]):
    (who,) = speakers(part, 1)
    return [(word, who, n) for word, count in each.items() for n in range(count)]


def full_size() -> list[str]:
    """A tree of names with the official number of each word, and many unknown words."""
    train = [whole - v - t for whole, v, t in zip(EVERYWHERE, VALIDATION, TEST, strict=True)]
    counts = {"train": train, "validation": VALIDATION, "test": TEST}
    return synthetic({part: {**dict(zip(KEYWORDS, n, strict=True)), "cat": 4000} for part, n in counts.items()})


@pytest.mark.parametrize(("splits", "sizes"), [("paper", (36_923, 4_445, 4_890)), ("gle-code", (37_230, 4_481, 4_930))])
def test_the_full_set_has_the_published_sizes(splits, sizes):
    made = MODULE.partition(full_size(), None, splits)
    assert tuple(len(made.parts[part]) for part in PARTS) == sizes
    assert MODULE.SIZES[splits] == dict(zip(PARTS, sizes, strict=True))
    assert made.notes == ()


WORD = st.sampled_from([*KEYWORDS, "cat", "bed", "marvin", "zero"])
NAMES = st.lists(
    st.builds(lambda word, who, n: f"{word}/{who:08x}_nohash_{n}.wav", WORD, st.integers(0, 60), st.integers(0, 4)),
    unique=True,
    max_size=150,
)


@given(NAMES, st.sampled_from(["paper", "gle-code"]), st.randoms())
def test_any_names_are_split_by_the_rule(names, splits, random):
    made = MODULE.partition(names, None, splits)
    shuffled = list(names)
    random.shuffle(shuffled)
    assert MODULE.partition(shuffled, None, splits) == made  # whatever order a disk lists them in
    chosen = [clip.name for part in PARTS for clip in made.parts[part] if clip.name is not None]
    assert len(chosen) == len(set(chosen))
    for part in PARTS:
        clips = made.parts[part]
        mine = [name for name in names if MODULE.part_of(name) == part]
        keywords = [name for name in mine if name.partition("/")[0] in KEYWORDS]
        strangers, tenth = len(mine) - len(keywords), math.ceil(len(keywords) / 10)
        assert {clip.name for clip in clips if clip.label > 1} == set(keywords)
        assert all(clip.name is None or clip.name in mine for clip in clips)
        assert all(MODULE.CLASSES[clip.label] == clip.name.partition("/")[0] for clip in clips if clip.label > 1)
        count = Counter(clip.label for clip in clips)
        assert count[0] == min(tenth, strangers)
        assert count[1] == (tenth if splits == "paper" else int(0.1 * (len(keywords) + tenth) + 1e-9))
        assert any(part in note for note in made.notes) == (strangers < tenth)


def test_a_speaker_stays_in_one_split():
    names = [f"{word}/{who:08x}_nohash_{n}.wav" for word in ("yes", "cat") for who in range(300) for n in range(2)]
    parts = {}
    for name in names:
        parts.setdefault(name.rpartition("/")[2].partition("_")[0], set()).add(MODULE.part_of(name))
    assert all(len(where) == 1 for where in parts.values())
    share = Counter(part for where in parts.values() for part in where)
    assert share["validation"] / 300 == pytest.approx(0.1, abs=0.06)
    assert share["test"] / 300 == pytest.approx(0.1, abs=0.06)


def test_lists_come_before_the_hash():
    names = synthetic({part: {"yes": 3, "cat": 1} for part in PARTS})
    lists = {"validation": frozenset(names[:4]), "test": frozenset(names[4:8])}
    made = MODULE.partition(names, lists, "paper").parts
    for part, expected in zip(PARTS, (names[8:], names[:4], names[4:8]), strict=True):
        assert {clip.name for clip in made[part]} == {*expected, None}


def test_what_is_missing_is_noted():
    names = synthetic({part: {"yes": 30, "cat": 2} for part in PARTS})
    made = MODULE.partition(names, None, "paper")
    assert made.notes[-1] == "train has 2 unknown clips where the rule asks for 3"
    assert [len(made.parts[part]) for part in PARTS] == [35, 35, 35]


def test_a_few_clips_stand_for_all_classes():
    whole = MODULE.partition(full_size(), None, "paper")
    few = MODULE.partition(full_size(), None, "paper", 120)
    for part in PARTS:
        assert len(few.parts[part]) == 120
        assert set(few.parts[part]) <= set(whole.parts[part])
        shares = Counter(clip.label for clip in few.parts[part])
        everywhere = Counter(clip.label for clip in whole.parts[part])
        assert all(abs(shares[c] - 120 * n / len(whole.parts[part])) <= 1 for c, n in everywhere.items())
    assert MODULE.partition(full_size(), None, "paper", 10**6) == whole
