"""Tests of the archive of Speech Commands: downloaded, copied by hand, or a smaller one of the same layout."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import glebench
from gsc_examples import PER_PART, TREE, WORDS, speakers, write_tree
from loopback import Behaviour, serve

from gle_bench import registry
from gle_bench.errors import GleBenchError
from gle_bench.files.download import Remote
from gle_bench.recipes.gsc import GSCOptions
from gle_bench.registry import TASKS, load

MODULE = load(TASKS["gsc"].partition(":")[0] + ".archive")
TASK = registry.task("gsc")
CLIPS = len(WORDS) * sum(PER_PART.values())
NOBODY = lambda line: None  # noqa: E731


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tar archive of the synthetic tree."""
    base = tmp_path_factory.mktemp("packed")
    root = write_tree(base / TREE)
    with tarfile.open(base / "a.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(root, ".")
    return (base / "a.tar.gz").read_bytes()


@pytest.fixture
def server(packed: bytes) -> Iterator[Behaviour]:
    with serve({f"/{TREE}.tar.gz": packed}) as behaviour:
        yield behaviour


@pytest.fixture
def remote(server: Behaviour, packed: bytes, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A server with the archive, which the test declares to be the official one."""
    remote = Remote(f"{server.url}/{TREE}.tar.gz", hashlib.sha256(packed).hexdigest(), len(packed))
    monkeypatch.setattr(MODULE, "ARCHIVE", remote)
    return remote


def loaded(folder: Path):
    return TASK.load(folder, GSCOptions(), "paper", None)


def test_the_official_archive_is_pinned() -> None:
    assert MODULE.ARCHIVE.sha256 == "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
    assert MODULE.ARCHIVE.url.endswith("/speech_commands_v0.02.tar.gz")
    assert MODULE.CLIPS == 105_829


def test_the_archive_is_downloaded_unpacked_and_official(server: Behaviour, remote: Remote, tmp_path: Path) -> None:
    server.cut_after = [100_000]
    lines: list[str] = []
    MODULE.get(tmp_path, lines.append, remote, CLIPS)
    assert TASK.is_prepared(tmp_path, GSCOptions())
    assert not list(tmp_path.glob("*.tar.gz*"))
    first = loaded(tmp_path)
    assert first.official
    assert {part: len(split) for part, split in first.splits.items()} == {"train": 48, "validation": 24, "test": 24}
    MODULE.get(tmp_path, lines.append, remote, CLIPS)  # nothing is left to do
    assert len(server.asked) == 2
    clip = next((tmp_path / TREE / "yes").iterdir())
    clip.write_bytes(clip.read_bytes()[:-2] + b"ab")
    changed = loaded(tmp_path)
    assert not changed.official
    assert changed.fingerprint != first.fingerprint


def test_an_archive_put_there_by_hand_is_checked_and_kept(
    server: Behaviour, remote: Remote, packed: bytes, tmp_path: Path
) -> None:
    (tmp_path / f"{TREE}.tar.gz").write_bytes(packed)
    MODULE.get(tmp_path, NOBODY, remote, CLIPS)
    assert loaded(tmp_path).official
    assert server.asked == []
    assert (tmp_path / f"{TREE}.tar.gz").exists()


def test_an_archive_with_clips_missing_is_refused(server: Behaviour, remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(GleBenchError, match=f"it holds {CLIPS} clips, not {CLIPS + 1}"):
        MODULE.get(tmp_path, NOBODY, remote, CLIPS + 1)
    assert not TASK.is_prepared(tmp_path, GSCOptions())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GleBenchError, match="Choose another --data"):
        MODULE.get(tmp_path / "file" / "gsc", NOBODY)


@pytest.mark.parametrize("layout", ["gsc", "gsc/SpeechCommands", "SpeechCommands"])
def test_a_tree_laid_out_alike_is_found_and_not_official(tmp_path: Path, layout: str) -> None:
    write_tree(tmp_path / layout / TREE)
    assert TASK.is_prepared(tmp_path / "gsc", GSCOptions())
    found = loaded(tmp_path / "gsc")
    assert not found.official
    assert found.fingerprint == loaded(tmp_path / "gsc").fingerprint
    assert len(set(found.digests.values())) == 3


def test_lists_that_the_tree_brings_are_used(tmp_path: Path) -> None:
    root = write_tree(tmp_path / TREE)
    held_out = {"validation": speakers("train", 1)[0], "testing": speakers("test", 1)[0]}
    lists = {part: [f"{word}/{who}_nohash_0.wav" for word in WORDS] for part, who in held_out.items()}
    (root / "validation_list.txt").write_text("\n".join(lists["validation"]))
    by_hash = loaded(tmp_path)
    (root / "testing_list.txt").write_text("\n".join(lists["testing"]))
    by_lists = loaded(tmp_path)
    assert len(by_hash.splits["validation"]) == 24
    assert any("validation_list.txt comes without the other list" in note for note in by_hash.notes)
    assert [len(by_lists.splits[part]) for part in ("validation", "test")] == [12, 12]
    assert by_lists.notes == ()


def test_a_tree_without_keywords_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / TREE, ["cat"])
    with pytest.raises(GleBenchError, match="holds no clips of yes"):
        loaded(tmp_path)


@pytest.mark.parametrize("option", ["--offline", "--dry-run"])
def test_without_data_the_command_says_what_to_do_in_a_sentence(tmp_path: Path, option: str) -> None:
    done = glebench("run", "gsc", "--model", "gle", option, "--data", tmp_path, "--runs", tmp_path / "runs")
    assert done.code == 1
    assert str(tmp_path / "gsc") in done.told
    assert "glebench prepare gsc" in done.told
    assert MODULE.ARCHIVE.url in done.told
    assert not (tmp_path / "gsc").exists()


def test_other_data_need_to_be_accepted(tmp_path: Path) -> None:
    write_tree(tmp_path / "gsc" / TREE)
    done = glebench("run", "gsc", "--model", "gle", "--data", tmp_path, "--runs", tmp_path / "runs")
    assert done.code == 1
    assert "--accept-data" in done.told


def test_prepare_finds_what_is_there(tmp_path: Path) -> None:
    write_tree(tmp_path / "gsc" / TREE)
    done = glebench("prepare", "gsc", "--data", tmp_path)
    assert done.code == 0, done.err
    assert str(tmp_path / "gsc") in done.told
    assert "not the official ones" in done.told
    assert "--accept-data" in done.told
    shown = json.loads(glebench("show", "gsc", "--json").out)
    assert shown["shape"] == {"steps": 820, "inputs": 32, "outputs": 12}
