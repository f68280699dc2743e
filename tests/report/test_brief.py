"""The one table that a screen or a page has room for: its rows, its words, and its width."""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from command import together
from hypothesis import given, settings
from hypothesis import strategies as st
from record_examples import example

from gle_bench.errors import UnknownName, UsageError
from gle_bench.report import results as sources
from gle_bench.report.tables import table as tables
from gle_bench.report.tables.brief import EVERYTHING, Choice
from gle_bench.report.tables.cells import Part, Table
from gle_bench.report.terminal.tables import as_text
from gle_bench.surroundings import streams
from gle_bench.tracking.record import Record, run_id
from gle_bench.tracking.store import Store
from gle_bench.words import Origin

PAPERS = ("1", "2", "3", "mackey-glass", "cifar10")
WORDS = st.text("abc-[]0123456789 ", min_size=1, max_size=12).map(lambda text: " ".join(text.split()) or "a")
TABLES = st.lists(WORDS, min_size=2, max_size=6, unique=True).flatmap(
    lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(["model", *names], WORDS)), min_size=1, max_size=4)
)


@pytest.fixture(scope="module", autouse=True)
def shipped() -> Iterator[None]:
    """The published records, which are read once."""
    every = sources.gather(Path("none"))

    def gather(runs: Path, only: Origin | None = None) -> object:
        return every if runs == Path("none") else sources.gather(runs, only)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "gather", gather)
        yield


def table(name: str, choice: Choice = Choice(), runs: Path = Path("none")) -> Table:  # noqa: B008 - it is frozen
    return tables.table(name, runs, choice)[0]


def sections(built: Table) -> set[tuple[str, str]]:
    return {(row["protocol"], row["selection"]) for row in built.content["rows"]}


# Width and height -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAPERS)
def test_one_table_fits_a_screen(name: str) -> None:
    built = table(name)
    assert len(built.parts) == 1
    lines = as_text(built, 100).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    for width in (60, 80):
        assert max(map(len, as_text(built, width).splitlines())) <= width


@settings(max_examples=30, deadline=None)
@given(TABLES, st.integers(30, 80))
def test_a_wrapped_table_has_every_word_and_no_line_beyond_the_width(lines: list[dict[str, str]], width: int) -> None:
    text = as_text(Table("a title", "", [Part("a part", lines)]), width)
    assert max(map(len, text.splitlines())) <= width
    for line in lines:
        for words in line.values():
            assert set(words.split()) <= set(text.split())


def test_colours_are_all_that_a_terminal_adds() -> None:
    built = table("2")
    plain, coloured = as_text(built, 100), as_text(built, 100, colour=True)
    assert "\x1b" not in plain
    assert re.sub("\x1b\\[[0-9]+m", "", coloured) == plain
    assert "\x1b[32mreproduced" in coloured
    assert "\x1b[33minconclusive" in coloured


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_width_and_colours_are_those_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": ""}
    monkeypatch.setattr(sys, "stdout", Terminal())
    for changed, page in (({}, (80, True)), ({"NO_COLOR": "1"}, (80, False)), ({"TERM": "dumb"}, (80, False))):
        for name, value in (usual | changed).items():
            monkeypatch.setenv(name, value)
        assert streams.page() == page
    monkeypatch.setenv("COLUMNS", "200")
    assert streams.page()[0] == 100
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert streams.page() == (100, False)


def test_table_1_has_the_papers_settings_and_ours_where_they_differ() -> None:
    built = table("1")
    (part,) = built.parts
    shown = [text for line in part.lines for text in line.values()] + [part.remark]
    for row in built.content["rows"]:
        for text in (row["paper"], row["ours"]):
            assert any(text in cell for cell in shown), row


# Rows -----------------------------------------------------------------------------------------------------------------


def test_only_full_runs_of_one_section_are_shown_unless_all_are_asked_for() -> None:
    built, whole = table("2"), table("2", EVERYTHING)
    assert sections(built) == {("paper", "last")}
    assert not any("budget" in mark for row in built.content["rows"] for mark in row["marks"])
    assert all(row in whole.content["rows"] or row["footnotes"] for row in built.content["rows"])
    assert len(sections(whole)) == 4
    assert any("budget short" in row["marks"] for row in whole.content["rows"])
    (hint,) = built.hints
    assert hint.startswith("Left out: 9 rows of shorter or changed runs, protocol clean, best evaluations and costs")


def test_a_protocol_an_evaluation_and_models_are_chosen() -> None:
    assert sections(table("2", Choice(protocol="clean"))) == {("clean", "last")}
    assert sections(table("2", Choice(protocol="clean", selection="best"))) == {("clean", "best")}
    assert sections(table("2", Choice(everything=True, protocol="clean"))) == {("clean", "last"), ("clean", "best")}
    some = table("2", Choice(models=("gru", "tcn")))
    assert {row["model"] for row in some.content["rows"]} == {"gru", "tcn"}
    with pytest.raises(UnknownName, match="Did you mean 'lstm'"):
        table("2", Choice(models=("lsmt",)))
    assert not table("2", Choice(models=("lstm",))).parts
    assert "no full run" in as_text(table("2", Choice(models=("lstm",))), 100)


def test_choices_among_the_rows_of_table_1_are_refused() -> None:
    with pytest.raises(UsageError, match="Table 1 has no runs; leave out --protocol"):
        table("1", Choice(protocol="clean"))


def test_what_was_not_run_is_told_with_its_command() -> None:
    text = " ".join(as_text(table("3"), 100).split())
    assert "Not run: gle (about " in text
    assert "`glebench run gsc --model MODEL --seeds paper --budget paper` runs one of them" in text


def record(seed: int, value: float, **changes: Any) -> Record:
    scores = {"test": {"accuracy": {"value": value, "n": 1000}}}
    named = {"model": "gle-42k", "budget": "paper", "metrics": {"last": scores, "best": scores}} | changes
    return example(seed, run_id=run_id("mnist1d", named["model"], None, "0123456789ab", seed), **named)


def put(root: Path, records: Sequence[Record]) -> None:
    for each in records:
        Store(root).folder(each.task, each.model, None, each.config_hash, each.seed).write(each)


def test_a_row_of_shipped_and_own_runs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, published = tmp_path / "runs", tmp_path / "records"
    monkeypatch.setattr(sources, "published_runs", lambda: published)
    put(published, [record(seed, 93.0 + seed) for seed in range(2)])
    put(runs, [record(2, 95.0), *(record(seed, 90.0, model="gru") for seed in range(3))])
    put(runs, [record(seed, 80.0, model="tcn", budget="short", marks=("budget short",)) for seed in range(3)])
    put(runs, [record(0, 80.0, model="mlp", marks=("training.rate=0.002",))])
    both = table("2", runs=runs)
    assert "Seeds: 2 that come with glebench, 1 of yours." in both.footnotes
    assert "Yours: gru [other version]; all other runs come with glebench." in both.hints
    assert "2 rows of shorter or changed runs (2 of them yours)" in both.hints[-1]
    seeds = {}
    for only in (None, "mine", "published-records"):
        rows = table("2", Choice(only=only), runs).content["rows"]
        seeds[only] = {row["model"]: (row["ours_n"], row["shipped"]) for row in rows if row["ours"]}
    assert seeds == {
        None: {"gle-42k": (3, 2), "gru": (3, 0)},
        "mine": {"gle-42k": (1, 0), "gru": (3, 0)},
        "published-records": {"gle-42k": (2, 2)},
    }


# Words ----------------------------------------------------------------------------------------------------------------


def test_inconclusive_is_explained_by_the_seeds_that_would_decide() -> None:
    built = table("2")
    remark = built.parts[0].remark
    rows = [row for row in built.content["rows"] if row["verdict"] == "inconclusive"]
    assert rows
    for row in rows:
        more = row["decisive_n"] and row["decisive_n"] - row["ours_n"]
        assert (f"{more} more for {row['model']}" if more else f"Not even 1,000 would decide {row['model']}") in remark


def test_verdicts_that_do_not_occur_are_not_explained() -> None:
    assert "Deviates" not in table("2").parts[0].remark
    assert "Reproduced" not in table("mackey-glass").parts[0].remark
    assert "None: no spread was published for gle, esn and lstm-100." in table("mackey-glass").parts[0].remark


def test_the_command_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    refused = {
        (
            "--all",
            "--format",
            "tex",
        ): "--format tex makes one table for a page; choose it by --protocol",
        ("--json", "--format", "md"): "--json and --format md exclude each other",
    }
    ended = together([["table", "2", *words, "--runs", tmp_path] for words in refused])
    for done, told in zip(ended, refused.values(), strict=True):
        assert done.code == 2
        assert told in done.told
