"""Tests of `glebench list`: what it lists, and how its columns fit a terminal."""

from pathlib import Path

import pytest

from gle_bench import registry
from gle_bench.errors import UnknownName, UsageError
from gle_bench.report.terminal.listing import aligned, rows


def test_without_a_kind_all_names_are_listed(tmp_path: Path) -> None:
    listed, skipped, as_text = rows(None, tmp_path)
    names = {row["kind"]: row["names"] for row in listed}
    assert not skipped
    assert set(names["tasks"]) == registry.places("tasks").keys()
    assert set(names["models"]) == {pair.model for pair in registry.pairs()}
    assert set(names["rules"]) == registry.places("rules").keys()
    text = as_text(listed)
    assert max(map(len, text.splitlines())) <= 83
    assert {*names["tasks"], *names["models"], *names["rules"]} <= set(text.replace(",", " ").split())


def test_the_models_of_a_task_are_those_of_its_pairs(tmp_path: Path) -> None:
    of_task = [pair.model for pair in registry.pairs() if pair.task == "gsc"]
    assert [row["model"] for row in rows("models", tmp_path, "gsc")[0]] == of_task
    assert len(rows("models", tmp_path)[0]) == len(registry.pairs())


@pytest.mark.parametrize("kind", ["tasks", "rules", None])
def test_other_lists_take_no_task(tmp_path: Path, kind: str | None) -> None:
    with pytest.raises(UsageError, match="takes no TASK"):
        rows(kind, tmp_path, "gsc")
    with pytest.raises(UsageError, match="--all is for"):
        rows(kind, tmp_path, every=True)


def test_a_task_that_there_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'gsc'"):
        rows("models", tmp_path, "gcs")


@pytest.mark.parametrize("within", [30, 60, 80])
def test_the_last_column_goes_on_below_itself(within: int) -> None:
    lines = [["NAME", "N", "SUMMARY"], ["short", "1", "word " * 40], ["x", "22", ""]]
    text = aligned(lines, right=[1], within=within).splitlines()
    assert max(map(len, text)) <= max(within, 11 + 24)
    assert " ".join(text).split().count("word") == 40
    assert all(line.startswith(" " * 11) for line in text[2:-1])
    assert text[-1] == "x      22"


def test_in_a_pipe_a_row_is_one_line() -> None:
    assert len(aligned([["a", "word " * 1000]]).splitlines()) == 1
