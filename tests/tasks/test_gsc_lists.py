"""Tests of Speech Commands' lists of clips, in any encoding and spelling, checked against the clips beside them."""

import codecs
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command import glebench
from gsc_examples import PER_PART, TREE, WORDS, speakers, write_tree
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from gle_bench import registry
from gle_bench.contracts import Data
from gle_bench.errors import GleBenchError
from gle_bench.recipes.gsc import GSCOptions
from gle_bench.registry import TASKS, load

PACKAGE = TASKS["gsc"].partition(":")[0]
LISTS, PARTITION = load(f"{PACKAGE}.lists"), load(f"{PACKAGE}.partition")
FILES = {"validation": "validation_list.txt", "test": "testing_list.txt"}
HELD_OUT = {part: [f"{word}/{who}_nohash_0.wav" for word in WORDS for who in speakers(part, 2)] for part in FILES}
CLIPS = frozenset(
    f"{word}/{who}_nohash_0.wav" for word in WORDS for part, count in PER_PART.items() for who in speakers(part, count)
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("lists") / TREE)


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "gsc" / TREE)


def bring(root: Path, **lists: list[str] | bytes) -> Path:
    """Writes both lists: the right ones, or the given ones."""
    for part, name in FILES.items():
        content = lists.get(part, HELD_OUT[part])
        (root / name).write_bytes(content if isinstance(content, bytes) else "\n".join(content).encode())
    return root


def loaded(root: Path) -> Data:
    return registry.task("gsc").load(root.parent, GSCOptions(), "paper", None)


def names(data: Data) -> dict[str, list[str | None]]:
    return {part: split._names for part, split in data.splits.items()}  # type: ignore[attr-defined]


# However a list is written --------------------------------------------------------------------------------------------

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 big endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 big endian without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Latin-1": lambda text: f"{text}\nmüll/ü.wav".encode("latin-1"),
}
PREFIXES = ["", "./", ".\\", "././", "/", "speech_commands_v0.02/", "/data/gsc/", "C:\\gsc\\", ".//", "a/../"]
SLASHES = ["/", "//", "\\", "\\\\", "/./"]
BLANKS = ["", " ", "\t", "  ", "\ufeff", "\xa0"]
ENDS = ["\n", "\r\n", "\r", "\n\n", " \n\t\n", " "]


def spelled(entry: str, prefix: str, slash: str, before: str, after: str, end: str) -> str:
    return f"{before}{prefix}{entry.replace('/', slash)}{after}{end}"


@given(
    st.sampled_from(sorted(ENCODINGS)),
    st.lists(
        st.tuples(*map(st.sampled_from, [sorted(CLIPS), PREFIXES, SLASHES, BLANKS, BLANKS, ENDS])),
        min_size=1,
        max_size=30,
    ),
)
def test_every_way_of_writing_an_entry_names_its_clip(encoding: str, entries: list[tuple[str, ...]]) -> None:
    text = "".join(spelled(*entry) for entry in entries)
    if encoding.startswith("Latin-1") or encoding.endswith("without a mark"):
        text = text.replace("\ufeff", "")
    found = LISTS.parsed(LISTS.decoded(ENCODINGS[encoding](text)), CLIPS)
    assert found.clips == {entry[0] for entry in entries}
    assert found.unmatched == (("müll/ü.wav",) if encoding == "Latin-1" else ())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("prefix", ["./", ".\\"])
def test_a_list_holds_out_the_same_clips_however_it_is_written(root: Path, encoding: str, prefix: str) -> None:
    expected = loaded(bring(root))
    text = "\r\n".join(prefix + entry for entry in HELD_OUT["validation"])
    found = loaded(bring(root, validation=ENCODINGS[encoding](text)))
    assert names(found) == names(expected)
    assert [clip for clip in names(found)["train"] if clip in HELD_OUT["validation"]] == []


def test_a_name_with_blanks_is_one_entry() -> None:
    clips = {"yes/copy of a_nohash_0.wav", "no/b_nohash_0.wav", "no/c_nohash_0.wav"}
    text = "/my data/yes/copy of a_nohash_0.wav\r\nno/b_nohash_0.wav ./no/c_nohash_0.wav no/d_nohash_0.wav\n# held out"
    assert LISTS.parsed(text, clips) == (clips, ("no/d_nohash_0.wav", "# held out"))


# What names no clip ---------------------------------------------------------------------------------------------------


def test_an_entry_that_names_no_clip_is_told_and_counted(root: Path) -> None:
    bring(root, test=[*HELD_OUT["test"], "yes/gone_nohash_0.wav", "nonsense\x1b[2J", "yes/gone_nohash_0.wav"])
    note = "entries of testing_list.txt that name no clip: 2, first 'yes/gone_nohash_0.wav'"
    assert loaded(root).notes == (note,)
    prepared = glebench("prepare", "gsc", "--data", root.parent.parent)
    assert prepared.code == 0
    assert f"gsc: {note}" in prepared.err
    options = ["--accept-data", "--data", root.parent.parent, "--runs", root.parent / "runs", "--dry-run"]
    planned = glebench("run", "gsc", "--model", "mlp", "--budget", "smoke", *options)
    assert planned.code == 0, planned.err
    assert f"gsc: {note}" in planned.err


def test_a_long_entry_is_quoted_in_part(root: Path) -> None:
    (note,) = loaded(bring(root, test=[*HELD_OUT["test"], "x" * 100_000])).notes
    assert len(note) < 250


NOTHING: dict[str, list[str] | bytes] = {
    "no entry": b"",
    "blanks": b" \r\n\t\n",
    "other clips": ["yes/gone_nohash_0.wav", "no/gone_nohash_0.wav"],
    "bytes": bytes(range(256)) * 4,
    "half a UTF-16": codecs.BOM_UTF16_LE + b"a",
}


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("content", NOTHING)
def test_a_list_that_names_nothing_is_refused(root: Path, part: str, content: str) -> None:
    bring(root, **{part: NOTHING[content]})
    with pytest.raises(GleBenchError, match=f"{FILES[part]} names none of the clips beside it"):
        loaded(root)


def test_a_list_too_long_to_be_one_is_not_read(root: Path) -> None:
    bring(root)
    with (root / "testing_list.txt").open("r+b") as file:
        file.truncate(1 << 40)  # which takes no room
    with pytest.raises(GleBenchError, match="bytes, more than the limit of"):
        loaded(root)


# A split without clips ------------------------------------------------------------------------------------------------


def command(root: Path, *arguments: str) -> str:
    """The sentence of a run that is refused."""
    options = ["--accept-data", "--data", root.parent.parent, "--runs", root.parent / "runs", *arguments]
    done = glebench("run", "gsc", "--model", "mlp", "--budget", "smoke", *options)
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    return done.told


def test_a_list_without_keywords_is_an_empty_split(root: Path) -> None:
    bring(root, test=[clip for clip in HELD_OUT["test"] if clip.startswith(("cat/", "marvin/"))])
    for word in WORDS[:10]:
        for who in speakers("test", 2):
            (root / word / f"{who}_nohash_0.wav").unlink()
    told = command(root, "--dry-run")
    assert "has no clips of yes" in told
    assert "for test, by validation_list.txt and testing_list.txt" in told


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_tree_whose_hash_leaves_a_split_empty(root: Path, part: str) -> None:
    for clip in CLIPS:
        if PARTITION.part_of(clip) == part:
            (root / clip).unlink()
    with pytest.raises(GleBenchError, match=f"for {part}, by the hash of their speakers"):
        loaded(root)


def test_a_keyword_without_clips_is_told(root: Path) -> None:
    shutil.rmtree(root / "up")
    shutil.rmtree(root / "go")
    assert "there is no clip of up, go" in loaded(root).notes


# Speakers -------------------------------------------------------------------------------------------------------------


def test_a_clip_that_the_hash_holds_out_and_training_has_is_named(root: Path) -> None:
    """Even if the lists do not have its speaker."""
    (root / "yes" / f"{speakers('validation', 3)[2]}_nohash_0.wav").write_bytes(b"a clip")
    with pytest.raises(GleBenchError, match=rf"{speakers('validation', 3)[2]}_nohash_0\.wav is in train.* validation"):
        loaded(bring(root))


def test_a_clip_that_is_missing_in_its_list_is_named(root: Path) -> None:
    for dropped in ("yes/", f"/{speakers('test', 1)[0]}_"):
        bring(root, test=[clip for clip in HELD_OUT["test"] if dropped not in clip])
        with pytest.raises(GleBenchError, match=r"do not split its clips by speakers: \w+/\w+\.wav is in train"):
            loaded(root)


def test_entries_that_name_no_clip_still_name_speakers(root: Path) -> None:
    bring(root, test=[clip.replace("yes/", "YES/") for clip in HELD_OUT["test"]])
    with pytest.raises(GleBenchError, match=r"yes/\w+_nohash_0\.wav is in train, .* 1 more"):
        loaded(root)


def test_a_clip_in_both_lists_is_named(root: Path) -> None:
    bring(root, validation=[*HELD_OUT["validation"], HELD_OUT["test"][0]])
    with pytest.raises(GleBenchError, match=f"testing_list.txt both name {HELD_OUT['test'][0]}|validation_list.txt "):
        loaded(root)


OWN = st.dictionaries(st.sampled_from([f"{n:08x}" for n in range(40)]), st.sampled_from(["train", *FILES]), min_size=3)


@given(OWN, st.lists(st.sampled_from(WORDS), unique=True, min_size=1), st.data())
def test_lists_may_split_speakers_in_a_way_of_their_own_but_none_apart(split, words, data) -> None:
    clips = {f"{word}/{who}_nohash_0.wav": part for who, part in split.items() for word in words}
    held_out = {part: [clip for clip, own in clips.items() if own == part] for part in FILES}
    entries = {part: LISTS.parsed("\n".join(found), clips) for part, found in held_out.items()}
    hashed = all(
        sum(PARTITION.part_of(clip) == part for clip in found) > len(found) / 2 for part, found in held_out.items()
    )
    leaks = {clip for clip, own in clips.items() if hashed and own == "train" and PARTITION.part_of(clip) != "train"}
    complaint = LISTS.torn(clips, entries)
    assert (complaint is None) == (not leaks)
    assert complaint is None or min(leaks) in complaint
    if len(words) > 1 and held_out["test"]:
        moved = data.draw(st.sampled_from(held_out["test"]))
        rest = [clip for clip in held_out["test"] if clip != moved]
        torn = LISTS.torn(clips, entries | {"test": LISTS.parsed("\n".join(rest), clips)})
        assert torn is not None


def test_files_without_a_speaker_in_their_names_may_be_called_alike() -> None:
    clips = {f"{word}/{n}.wav" for word in WORDS for n in range(1000)}
    lists = {"validation": ["yes/0.wav", "yes/1.wav"], "test": ["no/0.wav", "no/2.wav", "no/3.wav"]}
    entries = {part: LISTS.parsed("\n".join(found), clips) for part, found in lists.items()}
    if not all(LISTS._most_follow_the_hash(part, found) for part, found in entries.items()):
        assert LISTS.torn(clips, entries) is None


# The real lists and clips ---------------------------------------------------------------------------------------------


def official(part: str) -> list[str]:
    name = FILES[part]
    return shared_path(f"reference/speech_commands_v0.02_{name}").read_text().split()


def test_the_official_lists_pass_and_no_speaker_can_be_taken_out_of_them() -> None:
    lists = {part: official(part) for part in FILES}
    train = [f"{word}/{n:08x}_nohash_0.wav" for n in range(30_000) for word in ("yes", "cat", "up")]
    train = [clip for clip in train if PARTITION.part_of(clip) == "train"]
    clips = {*train, *lists["validation"], *lists["test"]}
    entries = {part: LISTS.parsed("\n".join(found), clips) for part, found in lists.items()}
    assert [len(found.clips) for found in entries.values()] == [9_981, 11_005]
    assert not any(found.unmatched for found in entries.values())
    assert LISTS.torn(clips, entries) is None
    for part, found in lists.items():
        speaker = PARTITION.speaker_of(found[0])
        rest = [clip for clip in found if PARTITION.speaker_of(clip) != speaker]
        torn = LISTS.torn(clips, entries | {part: LISTS.parsed("\n".join(rest), clips)})
        assert speaker in torn
        assert f"puts it into {part}" in torn


def test_the_official_lists_beside_some_of_the_clips_are_told_and_counted(root: Path) -> None:
    lists = {part: official(part) for part in FILES}
    assert not CLIPS & {*lists["validation"], *lists["test"]}
    bring(root, **{part: [*HELD_OUT[part], *found] for part, found in lists.items()})
    notes = loaded(root).notes
    assert [note.partition(", first")[0].rpartition(" ")[2] for note in notes] == ["9,981", "11,005"]
