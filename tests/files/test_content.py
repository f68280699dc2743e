"""Tests of the digest of a folder, which covers the files that are read, and no others."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gle_bench.errors import GleBenchError
from gle_bench.files.content import Content, identify
from gle_bench.files.tree import entries, find_folder, is_folder, stamp

READ = {"a/b.txt": b"b", "a/c.txt": b"c", "list.txt": b"a/b.txt"}
SOURCE = "of an archive"


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content(folder: Path, note: Path, source: str | None = None, names: tuple[str, ...] = tuple(READ)) -> Content:
    return identify(folder, {name: stamp(folder / name) for name in names}, note, source)


def whole(files: dict[str, bytes]) -> str:
    """The digest of a whole folder, as all versions have computed it."""
    lines = (f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "note.json"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return written(tmp_path / "tree", READ)


def test_content_is_that_of_names_and_bytes(tree: Path, note: Path, tmp_path: Path) -> None:
    first = content(tree, note)
    assert first == Content(whole(READ), None)
    assert content(tree, note) == first
    shutil.copytree(tree, tmp_path / "copy")
    assert content(tmp_path / "copy", note) == content(tmp_path / "copy", tmp_path / "other.json") == first
    (tree / "a/b.txt").write_bytes(b"d")
    assert content(tree, note).digest == whole(READ | {"a/b.txt": b"d"})
    (tree / "a/b.txt").rename(tree / "a/d.txt")
    names = ("a/d.txt", "a/c.txt", "list.txt")
    assert content(tree, note, None, names).digest not in (first.digest, whole(READ | {"a/b.txt": b"d"}))


def test_a_change_is_noticed_that_leaves_size_and_time_as_they_were(tree: Path, note: Path) -> None:
    first, before = content(tree, note), (tree / "a/b.txt").stat()
    (tree / "a/b.txt").write_bytes(b"X")
    os.utime(tree / "a/b.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert content(tree, note) != first


def test_what_is_unchanged_is_not_read_again(tree: Path, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = content(tree, note)
    monkeypatch.setattr("gle_bench.files.content._hashes", None)
    assert content(tree, note) == first


CHANGES: dict[str, Callable[[Path], object]] = {
    "another file": lambda tree: (tree / "a/.DS_Store").write_bytes(b"Bud1"),
    "another folder": lambda tree: written(tree / "__MACOSX/a", {"._b.txt": b"b"}),
    "a file that changes": lambda tree: (tree / "a/b.txt").write_bytes(b"changed"),
    "a file that goes": lambda tree: (tree / "README").unlink(),
    "a document that changes": lambda tree: (tree / "README").write_bytes(b"changed"),
    "a pipe": lambda tree: os.mkfifo(tree / "pipe"),
    "a link to nowhere": lambda tree: (tree / "link").symlink_to("nowhere"),
    "a circle": lambda tree: (tree / "circle").symlink_to("."),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("source", [SOURCE, None])
def test_content_that_comes_back_is_what_it_was(tree: Path, note: Path, change: str, source: str | None) -> None:
    """The digest is the earlier one, whatever was read in between."""
    files = READ | {"README": b"read me"}
    written(tree, files)
    first = content(tree, note, source)
    assert first == Content(whole(files if source else READ), source)
    CHANGES[change](tree)
    between = content(tree, note)
    assert (between == first) == (change != "a file that changes")
    shutil.rmtree(tree)
    assert content(written(tree, files), note) == first


@given(st.dictionaries(st.text("ab.~/_é", min_size=1).map(lambda name: f"beside/{name.strip('/')}x"), st.binary()))
def test_only_what_is_read_counts(tmp_path_factory: pytest.TempPathFactory, beside: dict[str, bytes]) -> None:
    base = tmp_path_factory.mktemp("beside")
    first = content(written(base / "tree", READ), base / "note.json")
    for name, found in beside.items():
        try:
            written(base / "tree", {name: found})
        except OSError:  # 'a/' below a file 'a', or '..'
            continue
    assert content(base / "tree", base / "note.json") == content(base / "tree", base / "other.json") == first


@pytest.mark.parametrize("source", [SOURCE, None])
def test_what_was_noted_when_all_files_counted_is_known_on(tree: Path, note: Path, source: str | None) -> None:
    files = READ | {"README": b"read me", "a/.DS_Store": b"Bud1"}
    written(tree, files)
    note.write_text(json.dumps({"digest": whole(files), "listing": "of times", "source": source}))
    assert content(tree, note) == Content(whole(files), source)
    (tree / "a/.DS_Store").unlink()
    assert content(tree, note) == Content(whole(files), source)


def test_what_has_changed_since_is_not_taken_for_what_was_noted(tree: Path, note: Path) -> None:
    note.write_text(json.dumps({"digest": whole(READ | {"a/b.txt": b"other"}), "listing": "", "source": SOURCE}))
    assert content(tree, note) == Content(whole(READ), None)


NOTES = ["", '["nothing"]', "\udcff", "[" * 50_000, '{"stamps": 1, "read": 2, "known": {"a": [1]}}', "9" * 5_000]


@pytest.mark.parametrize("text", NOTES)
def test_a_note_that_is_no_note_is_made_anew(tree: Path, note: Path, text: str) -> None:
    note.write_text(text, errors="surrogateescape")
    assert content(tree, note) == content(tree, note) == Content(whole(READ), None)
    assert json.loads(note.read_text())["read"] == whole(READ)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda note: note.symlink_to(note)])
def test_a_note_that_is_no_file_is_not_waited_for(tree: Path, note: Path, make: Callable[[Path], object]) -> None:
    make(note)
    assert content(tree, note) == Content(whole(READ), None)


# Folders that others have laid out ------------------------------------------------------------------------------------


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to nowhere": (nowhere, "No such file or directory, where a link leads to nowhere"),
    "a link to itself": (circle, "Too many levels of symbolic links"),
    "a pipe": (os.mkfifo, "is a pipe or a device, and should be a file"),
    "a folder": (Path.mkdir, "is a folder, and should be a file"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_file_is_named_and_not_opened(tmp_path: Path, kind: str) -> None:
    make, reason = BROKEN[kind]
    make(tmp_path / "x.wav")
    (entry,) = entries(tmp_path)
    for file in (tmp_path / "x.wav", entry):
        with pytest.raises(GleBenchError, match=rf"x\.wav.*{reason}.* or choose another --data\.$"):
            stamp(file)


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_folder_is_named(tmp_path: Path, kind: str) -> None:
    make, _ = BROKEN[kind]
    make(tmp_path / "x")
    (entry,) = entries(tmp_path)
    if kind in ("a link to nowhere", "a link to itself"):
        with pytest.raises(GleBenchError, match=r"Cannot read .*x: .*link"):
            is_folder(entry)
    else:
        assert is_folder(entry) == (kind == "a folder")
    if kind != "a folder":
        with pytest.raises(GleBenchError, match=f"{tmp_path / 'x'}"):
            entries(tmp_path / "x")
        with pytest.raises(GleBenchError, match=f"{tmp_path / 'x'}"):
            find_folder([tmp_path / "x"])
    (tmp_path / "good").mkdir()
    (tmp_path / "link").symlink_to("good")
    assert find_folder([tmp_path / "not there", tmp_path / "x", tmp_path / "link"]) is not None


def test_nothing_at_all_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find_folder([tmp_path / "a", tmp_path / "a" / "b", tmp_path / "file" / "below"]) is None


def test_a_folder_that_nobody_may_look_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(GleBenchError, match=r"Cannot read .*: Permission denied"):
        entries(tmp_path)
    monkeypatch.setattr(Path, "stat", refused)
    for look in (lambda: stamp(tmp_path / "x"), lambda: find_folder([tmp_path / "x"])):
        with pytest.raises(GleBenchError, match=r"Cannot read .*: Permission denied"):
            look()
