"""Tests that files of several runs change together, wherever the process is killed, and of foreign journals."""

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gle_bench.errors import GleBenchError
from gle_bench.files import together
from gle_bench.files.together import JOURNAL, finish_renames, write_together

NAMES = ("best.ckpt", "last.ckpt")


class Killed(BaseException):
    """The error that stands for the end of the process."""


def write_all(root: Path, content: str, seeds: int = 3) -> None:
    def filling(path: Path) -> Any:
        return lambda file: file.write(f"{path.parent.name} {path.name} {content}".encode())

    paths = [root / f"seed-{seed}" / name for seed in range(1, seeds + 1) for name in NAMES]
    write_together({path: filling(path) for path in paths})


def contents(root: Path) -> set[str]:
    return {path.read_text().split()[-1] for path in root.glob("seed-*/*.ckpt")}


@pytest.mark.parametrize("seeds", [2, 3])
def test_wherever_it_is_cut_off_all_files_are_of_one_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    """A kill at the n-th rename or removal, for every n, and then `finish_renames`, as when the runs are resumed."""
    for number in count(1):
        root = tmp_path / str(number)
        write_all(root, "old", seeds)
        left = number

        def die_at_the_nth(original: Any) -> Any:
            def operation(self: Path, *arguments: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return original(self, *arguments, **named)

            return operation

        with monkeypatch.context() as patched:
            for name in ("replace", "unlink"):
                patched.setattr(Path, name, die_at_the_nth(getattr(Path, name)))
            try:
                write_all(root, "new", seeds)
                ended = True
            except Killed:
                ended = False
        for folder in sorted(root.glob("seed-*")):
            finish_renames(folder)
        assert len(contents(root)) == 1
        assert not list(root.glob(f"*/{JOURNAL}"))
        if ended:
            assert contents(root) == {"new"}
            assert number > 2 * seeds
            return


def test_a_rename_that_the_disk_refuses_is_done_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path, "old")
    renamed, replace = [], Path.replace

    def refuse(self: Path, target: Any) -> Path:
        renamed.append(target)
        if len(renamed) == 4:
            raise OSError(30, os.strerror(30))
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        with pytest.raises(GleBenchError, match=r"Cannot write .*Read-only file system"):
            write_all(tmp_path, "new")
    assert contents(tmp_path) == {"old", "new"}
    for folder in tmp_path.glob("seed-*"):
        finish_renames(folder)
    assert contents(tmp_path) == {"new"}
    assert not list(tmp_path.glob("*/.*.part"))


def test_one_folder_needs_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "write_text", lambda *_: pytest.fail("a journal"))
    write_all(tmp_path, "new", seeds=1)
    assert contents(tmp_path) == {"new"}


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20) | st.sampled_from(["seed-1", "..", "/etc", ".x.part", "a/b"]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    )
)
def test_no_journal_moves_anything_but_from_a_run_into_its_own_place(
    tmp_path_factory: pytest.TempPathFactory, journal: Any
) -> None:
    root = tmp_path_factory.mktemp("store")
    outside = root / "precious"
    outside.write_text("precious")
    folder = root / "runs" / "seed-1"
    folder.mkdir(parents=True)
    (folder / JOURNAL).write_text(json.dumps(journal))
    finish_renames(folder)
    assert outside.read_text() == "precious"
    assert not (folder / JOURNAL).exists()


@pytest.mark.parametrize(
    "entry", [["..", "precious", "seed-1"], ["seed-1", "../precious", "x"], ["seed-1", "x", "../y"]]
)
def test_a_hostile_journal_is_passed_over(tmp_path: Path, entry: list[str]) -> None:
    (tmp_path / "precious").write_text("precious")
    folder = tmp_path / "seed-1"
    folder.mkdir()
    (folder / "x").write_text("x")
    (folder / JOURNAL).write_text(json.dumps([entry]))
    finish_renames(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "seed-1"]
    assert [path.name for path in folder.iterdir()] == ["x"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 60_000, b'[["seed-1"'])
def test_a_damaged_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL).write_bytes(content)
    finish_renames(tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == content
