"""Tests of Speech Commands' files: only those that are read count, and broken ones are named in a sentence."""

import json
import os
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from command import glebench
from data_trouble import IN_PLACE_OF_FILES, IN_PLACE_OF_FOLDERS, TROUBLE, clutter, deadline, put
from gsc_examples import PER_PART, TREE, WORDS, write_tree, write_wav
from shared import ROOT, shared_path

from gle_bench import registry
from gle_bench.contracts import Data
from gle_bench.errors import GleBenchError
from gle_bench.files.download import Remote
from gle_bench.recipes.gsc import GSCOptions
from gle_bench.registry import TASKS, load

ARCHIVE = load(TASKS["gsc"].partition(":")[0] + ".archive")
CLIPS = len(WORDS) * sum(PER_PART.values())
RECORDS = ROOT / "leaderboards" / "records"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("trees") / TREE)
    (root / "README.md").write_text("An archive has a document.")
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "gsc" / TREE)


@pytest.fixture
def official(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that was unpacked from the small archive that the test declares to be official."""
    archive = tmp_path / "gsc" / f"{TREE}.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(template, ".")
    content = archive.read_bytes()
    remote = Remote(f"http://localhost:1/{archive.name}", sha256(content).hexdigest(), len(content))
    monkeypatch.setattr(ARCHIVE, "ARCHIVE", remote)
    ARCHIVE.get(archive.parent, lambda line: None, remote, CLIPS)
    return archive.with_name(TREE)


def loaded(root: Path) -> Data:
    with deadline():
        return registry.task("gsc").load(root.parent, GSCOptions(), "paper", None)


def identity(data: Data) -> tuple[str, bool, dict[str, str]]:
    return data.fingerprint, data.official, dict(data.digests)


# What identifies a tree -----------------------------------------------------------------------------------------------


def test_what_lies_beside_the_data_does_not_count(root: Path) -> None:
    first = loaded(root)
    clutter(root)
    assert identity(loaded(root)) == identity(first)
    root.with_name(f"{TREE}.json").unlink()
    assert identity(loaded(root)) == identity(first)


def test_what_lies_beside_the_data_does_not_cost_the_mark_official(official: Path) -> None:
    first = loaded(official)
    assert first.official
    clutter(official)
    assert identity(loaded(official)) == identity(first)
    (official / "README.md").unlink()
    assert identity(loaded(official)) == identity(first)


def test_content_that_comes_back_is_official_again(official: Path) -> None:
    first = loaded(official)
    clip = min((official / "yes").iterdir())
    before = clip.read_bytes()
    for changed in (before[:-2] + b"ab", b"shorter"):
        clip.write_bytes(changed)
        assert not loaded(official).official
        assert loaded(official).fingerprint != first.fingerprint
    clip.write_bytes(before)
    assert identity(loaded(official)) == identity(first)
    extra = write_wav(official / "yes" / "extra_nohash_0.wav", [0.1] * 100)
    assert not loaded(official).official
    extra.unlink()
    assert identity(loaded(official)) == identity(first)


def test_what_is_read_counts(root: Path) -> None:
    first = loaded(root).fingerprint
    seen = {first}
    for name in ("yes/new_nohash_0.wav", "cat/new_nohash_0.wav", "_background_noise_/new.wav"):
        write_wav(root / name, [0.1] * 20_000)
        seen.add(loaded(root).fingerprint)
    assert len(seen) == 4


def test_a_list_counts_where_it_is_read(root: Path) -> None:
    first = loaded(root)
    (root / "testing_list.txt").write_text("yes/whatever.wav")
    alone = loaded(root)
    assert identity(alone) == identity(first)
    assert any("comes without the other list and is not read" in note for note in alone.notes)


def test_noise_is_what_is_not_hidden(root: Path) -> None:
    """A Macintosh copies every file with a second one that is no sound."""
    clutter(root)
    assert loaded(root).splits["train"].fetch(torch.arange(3), 1, 0).inputs.isfinite().all()


def test_the_records_of_this_projects_own_runs_still_name_these_data(tmp_path: Path) -> None:
    """The data are rebuilt from the clips that those runs had."""
    records = [json.loads(path.read_text())["data"] for path in RECORDS.glob("gsc/**/record.json")]
    assert len({record["fingerprint"] for record in records}) == 1
    root = tmp_path / "SpeechCommands" / TREE
    with tarfile.open(shared_path("data/speech_commands_v0.02_mini.tar.gz")) as archive:
        archive.extractall(root, filter="data")
    clutter(root)
    found = registry.task("gsc").load(tmp_path / "gsc", GSCOptions(), "paper", None)
    assert found.fingerprint == records[0]["fingerprint"]
    assert dict(found.digests) == records[0]["digests"]
    assert list(found.notes) == records[0]["notes"]


# What is broken -------------------------------------------------------------------------------------------------------

FILES = {
    "a clip": "yes/{clip}",
    "a clip of another word": "cat/{clip}",
    "noise": "_background_noise_/hiss.wav",
    "a list": "validation_list.txt",
}


@pytest.mark.parametrize("kind", IN_PLACE_OF_FILES)
@pytest.mark.parametrize("file", FILES)
def test_what_is_no_file_is_named(root: Path, file: str, kind: str) -> None:
    path = root / FILES[file].format(clip=min((root / "yes").iterdir()).name)
    put(kind, path)
    with pytest.raises(GleBenchError, match=f"{path}.*{TROUBLE[kind][1]}") as caught:
        loaded(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", IN_PLACE_OF_FOLDERS)
@pytest.mark.parametrize("folder", ["yes", "."])
def test_what_is_no_folder_is_named(root: Path, folder: str, kind: str) -> None:
    path = root / folder
    put(kind, path)
    with pytest.raises(GleBenchError, match=f"{path}.*{TROUBLE[kind][2]}"):
        loaded(root)


@pytest.mark.parametrize("kind", ["a link to nowhere", "a link to itself"])
def test_a_word_that_a_link_fails_to_bring_is_named(root: Path, kind: str) -> None:
    put(kind, root / "cat")
    with pytest.raises(GleBenchError, match=f"{root / 'cat'}: "):
        loaded(root)


def test_no_noise(root: Path) -> None:
    for kind in ("a file", "a folder", "a pipe"):
        put(kind, root / "_background_noise_")
        with pytest.raises(GleBenchError, match="There is no noise in"):
            loaded(root)


def test_links_that_lead_somewhere_are_followed_once(root: Path, tmp_path: Path) -> None:
    first = loaded(root)
    shutil.move(root / "yes", tmp_path / "elsewhere")
    (root / "yes").symlink_to(tmp_path / "elsewhere")
    clip = min((root / "no").iterdir())
    shutil.move(clip, tmp_path / "a clip")
    clip.symlink_to(tmp_path / "a clip")
    (root / "circle").symlink_to(root)
    (root / "yes" / "circle").symlink_to(root)
    assert identity(loaded(root)) == identity(first)


def test_a_folder_that_nobody_may_look_into(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: Path) -> object:
        if Path(path).name == "go":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(GleBenchError, match=f"Cannot read {root / 'go'}: Permission denied"):
        loaded(root)


@pytest.mark.parametrize("kind", ["a pipe", "a link to nowhere", "a folder"])
def test_the_command_ends_with_a_sentence(root: Path, kind: str) -> None:
    put(kind, min((root / "go").iterdir()))
    options = ["--data", root.parents[1], "--runs", root.parent / "runs"]
    for command in (["prepare", "gsc"], ["run", "gsc", "--model", "mlp", "--accept-data", "--dry-run", *options[2:]]):
        done = glebench(*command, *options[:2])
        assert done.code == 1, done.err
        assert f"{root / 'go'}" in done.told


def test_names_that_are_no_utf_8_are_names(root: Path) -> None:
    clip = min((root / "yes").iterdir())
    shutil.copy(clip, os.fsencode(root / "yes") + b"/m\xfcller_nohash_0.wav")
    assert loaded(root).fingerprint == loaded(root).fingerprint


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link to nowhere"])
@pytest.mark.parametrize("name", [f"{TREE}.tar.gz", f"{TREE}.tar.gz.part"])
def test_what_is_no_archive_is_named(tmp_path: Path, name: str, kind: str) -> None:
    put(kind, tmp_path / name)
    with deadline(), pytest.raises(GleBenchError, match=f"{tmp_path / name}"):
        ARCHIVE.get(tmp_path, lambda line: None, Remote(f"http://localhost:1/{TREE}.tar.gz", "0" * 64, 0), CLIPS)


def test_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / f".{TREE}.lock").mkdir()
    with deadline(), pytest.raises(GleBenchError, match=f"Cannot make {tmp_path / TREE}: "):
        ARCHIVE.get(tmp_path, lambda line: None, Remote("http://localhost:1/a", "0" * 64, 0), CLIPS)
