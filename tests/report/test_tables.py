"""Tables mix nothing: budgets, protocols, selections, settings and data each have rows of their own."""

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command import glebench
from record_examples import example
from shared import ROOT

from gle_bench import registry
from gle_bench.chosen import resolve, run_hash
from gle_bench.contracts import Published
from gle_bench.errors import UnknownName
from gle_bench.report import results as sources
from gle_bench.report.tables.formats import comma_separated, markdown
from gle_bench.report.tables.rows import Row, all_rows
from gle_bench.report.tables.settings import printed_settings
from gle_bench.report.tables.table import results_table, table
from gle_bench.tracking.record import DataUsed, Record, run_id
from gle_bench.tracking.store import RunFolder, Store
from gle_bench.words import Budget, Protocol

TASK = registry.task("mnist1d")
PAIRS = sources.pairs_of(TASK)
FINGERPRINT = "f" * 64
AVERAGING = resolve("mnist1d", "gle-42k", None, "paper", "paper", ["average=epoch"]).config
GOOD = [93.6, 94.1, 92.9, 93.3, 94.4, 93.0, 93.9, 92.8, 93.5, 93.7]


def record(
    seed: int,
    value: float | None,
    model: str = "gle-42k",
    budget: Budget = "paper",
    protocol: Protocol = "paper",
    marks: Sequence[str] = (),
    digest: str | None = None,
    best: float | None = None,
    task: str = "mnist1d",
    **changes: Any,
) -> Record:
    """A record as `execute` writes it: with today's hash unless `digest` says otherwise."""
    config = registry.pair(task, model).configure(budget).model_copy(update={"protocol": protocol})
    digest = digest or run_hash(config, FINGERPRINT)
    splits = ("test",) if protocol == "paper" else ("validation", "test")

    def measured(found: float) -> dict[str, Any]:
        return {split: {"accuracy": {"value": found - 10 * (split == "validation"), "n": 1000}} for split in splits}

    metrics = {} if value is None else {"last": measured(value), "best": measured(value + 1 if best is None else best)}
    fields = {
        "run_id": run_id(task, model, None, digest, seed),
        "task": task,
        "model": model,
        "rule": config.rule,
        "protocol": protocol,
        "budget": budget,
        "config_hash": digest,
        "marks": (*([] if budget == "paper" else [f"budget {budget}"]), *marks),
        "metrics": metrics,
        "data": DataUsed(fingerprint=FINGERPRINT, official=True, digests={}),
        "footing": {"online": True, "streamed": True},
        "parameters": 42040,
        "status": "done" if value is not None else "diverged",
    }
    return example(seed, **(fields | changes))


def runs(values: Sequence[float | None] = GOOD, **changes: Any) -> list[Record]:
    return [record(seed, value, **changes) for seed, value in enumerate(values)]


def rows(records: Sequence[Record], model: str = "gle-42k", **wanted: str) -> list[Row]:
    """A model's rows in one section."""
    section = (wanted.get("protocol", "paper"), wanted.get("selection", "last"))
    return [r for r in all_rows(TASK, records, PAIRS) if r.model == model and r.section == section]


def only(found: list[Row]) -> Row:
    assert len(found) == 1
    return found[0]


def test_without_records_every_published_cell_says_how_to_run_it() -> None:
    found = all_rows(TASK, [], PAIRS)
    assert [row.published for row in found if row.section.selection == "last"] == [
        cell for cell in TASK.published if cell.selection == "last"
    ]
    assert len(found) == len(TASK.published)
    assert {row.verdict for row in found} == {"not run"}
    gru = only(rows([], "gru"))
    assert gru.command == "glebench run mnist1d --model gru --seeds paper --budget paper"
    assert (gru.parameters, gru.online, gru.streamed) == (8974, False, True)
    assert gru.command in markdown(results_table(TASK, []))


def test_commands_of_rows_that_were_not_run_name_what_exists() -> None:
    for row in all_rows(TASK, [], PAIRS):
        words = row.command.split()
        assert words[:2] == ["glebench", "run"]
        assert registry.pair(words[2], words[4]).model == row.model


def test_full_runs_bear_a_verdict_for_each_selection() -> None:
    last, best = only(rows(runs())), only(rows(runs(), selection="best"))
    assert (last.verdict, last.ours and last.ours.n) == ("reproduced", 10)
    assert last.published is not None
    assert last.published.value == 93.5
    assert best.published is not None
    assert best.published.value == 94.44
    assert best.ours is not None
    assert last.ours is not None
    assert best.ours.mean == pytest.approx(last.ours.mean + 1)
    assert not last.command


def test_other_verdicts() -> None:
    assert only(rows(runs([v - 4 for v in GOOD]))).verdict == "deviates"
    few = only(rows(runs([92.0, 94.0, 95.0])))
    assert few.verdict == "inconclusive"
    two = only(rows(runs([92.0, 94.0])))
    assert two.comparison is not None
    assert (two.verdict, two.comparison.without) == ("", "< 3 seeds")


def test_budgets_never_mix() -> None:
    mixed = [*runs(), *runs([80.0] * 5, budget="short"), *runs([20.0], budget="smoke")]
    full, *reduced = rows(mixed)
    assert full.ours is not None
    assert (full.ours.n, full.verdict) == (10, "reproduced")
    assert {row.label: row.ours and row.ours.mean for row in reduced} == {
        "gle-42k [budget short]": 80.0,
        "gle-42k [budget smoke]": 20.0,
    }
    assert not any(row.verdict or row.comparison for row in reduced)


def test_reduced_runs_leave_the_published_cell_not_run() -> None:
    cell, reduced = rows(runs(budget="short"))
    assert (cell.verdict, cell.ours) == ("not run", None)
    assert (reduced.verdict, reduced.published) == ("", None)


@pytest.mark.parametrize(
    ("marks", "label"),
    [
        (["training.epochs=3"], "gle-42k [changed]"),
        (["other data than the official"], "gle-42k [other data]"),
        (["training.epochs=3", "network.beta=2.0"], "gle-42k [changed]"),
    ],
)
def test_changed_settings_and_other_data_stand_apart_without_a_verdict(marks: list[str], label: str) -> None:
    digest = None if label.endswith("data]") else "a" * 12
    cell, changed = rows(runs(marks=marks, digest=digest))
    assert cell.verdict == "not run"
    assert (changed.label, changed.verdict, changed.published) == (label, "", None)
    text = markdown(results_table(TASK, runs(marks=marks, digest=digest)))
    assert all(mark in text for mark in marks if "=" in mark)


def test_averages_stand_in_a_column_of_their_own_and_raw_results_are_compared() -> None:
    averages = [
        record(
            seed,
            value,
            digest=run_hash(AVERAGING, FINGERPRINT),
            metrics={
                "last": {
                    "test": {"accuracy": {"value": value, "n": 1000}, "accuracy_averaged": {"value": 95.0, "n": 1000}}
                }
            },
        )
        for seed, value in enumerate(GOOD)
    ]
    row = only(rows(averages))
    assert (row.label, row.verdict) == ("gle-42k", "reproduced")
    assert row.ours == only(rows(runs())).ours
    assert row.averaged is not None
    assert (row.averaged.mean, row.averaged.n) == (95.0, 10)
    both = results_table(TASK, [*averages, *runs([50.0], model="gle-15k")])
    part = next(part for part in both.parts if part.heading == "Protocol paper, last evaluation, test split")
    cells = {line["model"].split()[0]: line["averaged"] for line in part.lines}
    assert cells["gle-42k"] == "95.00±0.00"
    assert cells["gle-15k"] == ""
    assert part.remark.startswith("Averaged: ")
    (plain,) = (
        line
        for line in both.content["rows"]
        if line["model"] == "gle-42k" and line["ours"] and line["selection"] == "last"
    )
    assert (plain["averaged"], plain["averaged_n"]) == (95.0, 10)
    assert "averaged" not in markdown(results_table(TASK, runs())).lower()


def test_another_rule_is_named() -> None:
    cell, other = rows(runs(marks=["rule=backprop"], rule="backprop", digest="b" * 12))
    assert cell.verdict == "not run"
    assert other.label == "gle-42k+backprop [changed]"


def test_records_of_another_version_are_not_taken_for_ours() -> None:
    full, old = rows([*runs(), *runs([99.0] * 10, digest="0" * 12)])
    assert (full.verdict, full.marks) == ("reproduced", ())
    assert (old.label, old.verdict, old.published) == ("gle-42k [other version]", "", None)


def test_several_old_versions_are_told_apart_by_their_hash() -> None:
    text = markdown(results_table(TASK, [*runs(digest="0" * 12), *runs(digest="1" * 12)]))
    assert "gle-42k [other version] 000000000000" in text
    assert "gle-42k [other version] 111111111111" in text


def test_protocol_clean_has_a_section_of_its_own_and_no_verdict() -> None:
    both = [*runs(), *runs([50.0] * 10, protocol="clean")]
    assert only(rows(both)).verdict == "reproduced"
    clean = only(rows(both, protocol="clean"))
    assert clean.ours is not None
    assert (clean.ours.mean, clean.split, clean.published, clean.verdict) == (50.0, "test", None, "")
    sections = markdown(results_table(TASK, both)).split("### ")
    assert [part.partition("\n")[0].partition(" evaluation")[0] for part in sections[1:]] == [
        "Protocol paper, last",
        "Protocol paper, best",
        "Protocol clean, last",
        "Protocol clean, best",
        "On equal footing",
    ]
    assert "verdict" not in sections[3].partition("\n\n")[2].partition("\n\n")[0]


def test_diverged_and_unfinished_seeds_are_counted_and_left_out() -> None:
    nine = [*runs([*GOOD[:9], None]), record(10, 0.0, status="running"), record(11, 1.0, status="failed")]
    row = only(rows(nine))
    assert row.ours is not None
    assert row.ours.n == 9
    assert dict(row.seeds) == {"diverged": 1, "done": 9, "failed": 1, "running": 1}
    note = "Of 12 seeds, 1 diverged and 1 failed and 1 running: the values are over the other 9."
    text = markdown(results_table(TASK, nine))
    assert note in row.notes
    assert note in text
    assert "(9/12)" in text


def test_a_run_that_only_diverged_has_no_value_but_was_run() -> None:
    row = only(rows(runs([None, None])))
    assert (row.ours, row.verdict, row.command) == (None, "", "")
    assert "Of 2 seeds, 2 diverged: there is no value." in row.notes


def test_a_value_that_is_no_number_is_no_value() -> None:
    row = only(rows(runs([*GOOD, float("nan")])))
    assert row.ours is not None
    assert row.ours.n == 10
    assert "1 without a value" in row.notes[-1]


def test_models_without_a_published_cell_are_listed() -> None:
    row = only(rows(runs([90.0], model="gle"), "gle"))
    assert (row.published, row.verdict, row.marks) == (None, "", ())
    stranger = example(model="stranger", config_hash="c" * 12, budget="paper")
    assert only(rows([stranger], "stranger")).label == "stranger [other version]"


def test_a_cell_without_a_margin_has_its_caveat_and_no_verdict() -> None:
    row = only(rows(runs([65.0, 64.0, 66.0], model="mlp"), "mlp"))
    assert row.published is not None
    assert row.published.margin is None
    assert (row.verdict, row.published.caveat in row.notes) == ("", True)
    text = markdown(results_table(TASK, runs([65.0, 64.0, 66.0], model="mlp")))
    assert "none: no margin" in text


def test_footnotes_are_numbered_once() -> None:
    built = results_table(TASK, runs())
    assert len(set(built.footnotes)) == len(built.footnotes)
    assert set(built.footnotes) == {note for row in all_rows(TASK, runs(), PAIRS) for note in row.notes}
    for row in built.content["rows"]:
        assert all(1 <= number <= len(built.footnotes) for number in row["footnotes"])


EVERYTHING = [
    *runs(),
    *runs([80.0] * 3, budget="short"),
    *runs([None, 90.0, 91.0], model="gle-15k"),
    *runs([92.0, 94.5, 96.0], model="gru"),
    *runs([50.0] * 2, protocol="clean"),
    *runs([65.0] * 10, model="mlp"),
]


@pytest.mark.parametrize("records", [[], EVERYTHING], ids=["none", "many"])
def test_markdown_is_aligned_and_fits_a_terminal(records: list[Record]) -> None:
    text = markdown(results_table(TASK, records))
    assert max(map(len, text.splitlines())) <= 140
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == (5 if records else 2)
    for block in blocks:
        bars = [[found.start() for found in re.finditer(r"\|", line)] for line in block]
        assert all(places == bars[0] for places in bars)
    assert text.startswith("## Table 2 - MNIST-1D: accuracy (%)\n")
    assert "population standard deviation (ddof 0)" in text


class Unpublished(type(TASK)):  # type: ignore[misc]
    """A task on which nothing was published."""

    published = ()


def test_csv_and_json_hold_every_row() -> None:
    built = results_table(TASK, EVERYTHING)
    plain = json.loads(json.dumps(built.content, allow_nan=False))
    lines = list(csv.DictReader(io.StringIO(comma_separated(built))))
    assert len(plain["rows"]) == len(lines) == len(all_rows(TASK, EVERYTHING, PAIRS))
    for line, row in zip(lines, plain["rows"], strict=True):
        assert line["model"] == row["model"]
        assert line["verdict"] == (row["verdict"] or "")
        assert line["ours"] == ("" if row["ours"] is None else repr(row["ours"]))
    assert next(csv.reader(io.StringIO(comma_separated(results_table(Unpublished(), []))))) == list(lines[0])


def test_numbers_are_printed_as_published() -> None:
    text = markdown(results_table(TASK, EVERYTHING))
    assert "94.0±1.1 (10)" in text
    assert "90.89±0.63 (10)" in text
    assert "93.52±0.53 (10) | 0.38" in text


GSC = registry.task("gsc")
GSC_PAIRS = sources.pairs_of(GSC)


def heard(seed: int, validation: float, test: float, model: str = "gru", budget: Budget = "paper") -> Record:
    """A record of Google Speech Commands, which under both protocols is watched on a split of its own."""
    values = {"validation": validation, "test": test}
    scores = {split: {"accuracy": {"value": value, "n": 4000}} for split, value in values.items()}
    metrics = {"last": scores, "best": scores}
    return record(seed, 0.0, model, budget, task="gsc", metrics=metrics, parameters=498_012)


def test_table_3_sets_the_papers_lines_beside_ours() -> None:
    records = [heard(seed, 93.0 + seed / 10, 94.8 + seed / 10) for seed in range(3)]
    printed = printed_settings(GSC, GSC_PAIRS, all_rows(GSC, records, GSC_PAIRS))
    lines = {(line.model, line.of): line.cells for line in printed}
    assert list(lines) == [(m, of) for m in ("gle", "mlp", "tcn", "gru", "lstm") for of in ("paper", "ours")]
    same = {(m, name) for m, of in lines for name, text in lines[m, "paper"].items() if text == lines[m, "ours"][name]}
    settings = [name for name in lines["gle", "paper"] if "%" not in name]
    assert settings == ["samples", "features", "window", "stride", "batch", "epochs", "parameters"]
    differing = {(m, name) for m, _ in lines for name in settings} - same
    assert differing == {("mlp", "features"), ("gru", "features"), ("lstm", "features"), ("lstm", "window")}
    noted = {(line.model, name) for line in printed for name in line.notes if line.of == "paper"}
    assert differing <= noted  # no disagreement without its footnote
    assert lines["gru", "ours"]["validation %"] == "93.10±0.10"
    assert lines["gru", "ours"]["test %"] == "94.90±0.10"
    assert lines["gle", "paper"]["test %"] == "91.44±0.23"
    assert lines["gle", "ours"]["test %"] == "not run"


def test_a_full_run_has_its_test_accuracy_beside_a_published_validation_accuracy() -> None:
    found = all_rows(GSC, [heard(seed, 91.0 + seed / 10, 90.0, "gle") for seed in range(3)], GSC_PAIRS)
    mine = [r for r in found if r.model == "gle" and r.section == ("paper", "best")]
    assert [(r.split, r.published is not None, r.ours and r.ours.mean) for r in mine] == [
        ("validation", True, pytest.approx(91.1)),
        ("test", False, 90.0),
    ]


def test_validation_and_test_stand_in_columns_of_their_own() -> None:
    short = [heard(seed, 80.0, 85.0, "lstm", "short") for seed in range(2)]
    records = [*(heard(seed, 93.0, 94.0 + seed) for seed in range(3)), *short]
    row = next(r for r in all_rows(GSC, records, GSC_PAIRS) if r.model == "gru" and r.section == ("paper", "last"))
    assert row.ours is not None
    assert row.watched is not None
    assert (row.split, row.ours.mean, row.watched.split, row.watched.ours.mean) == ("test", 95.0, "validation", 93.0)
    built = results_table(GSC, records)
    text = markdown(built)
    columns = [line.split() for line in text.splitlines() if line.startswith("| model") and "verdict" in line]
    assert ["validation" in line and "published" in line for line in columns] == [True, False, False]
    headings = [line for line in text.splitlines() if line.startswith("### Protocol")]
    assert headings[:2] == [
        "### Protocol paper, last evaluation, test split",
        "### Protocol paper, last evaluation, validation split",
    ]
    plain = next(r for r in built.content["rows"] if r["model"] == "gru")
    assert (plain["watched_split"], plain["watched"], plain["watched_n"]) == ("validation", 93.0, 3)
    assert max(map(len, text.splitlines())) <= 150  # the further column takes it beyond Table 2's 140
    assert text.startswith("## Table 3 - Google Speech Commands: accuracy (%)")


class OtherTask(type(TASK)):  # type: ignore[misc]
    """A task with a metric of small values and spreads of another kind."""

    published = (Published("gle-42k", 0.0123, "a table", 0.0004, "sem", 5, margin=0.001),)


def test_decimals_follow_what_was_published() -> None:
    small = [record(seed, value, digest="d" * 12) for seed, value in enumerate([0.0121, 0.0125, 0.0122])]
    text = markdown(results_table(OtherTask(), small))
    assert "0.0123±0.0004 (5)" in text
    assert "0.0123±0.0002 (3)" in text
    assert "standard error of the mean" in text


def test_tables_go_by_number_or_task(tmp_path: Path) -> None:
    by_number, _ = table("2", tmp_path)
    assert by_number == table("mnist1d", tmp_path)[0]
    with pytest.raises(UnknownName, match="Did you mean 'mnist1d'"):
        table("mnist", tmp_path)


def test_both_stores_are_read_and_the_users_own_runs_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, published = tmp_path / "runs", tmp_path / "records"
    monkeypatch.setattr(sources, "published_runs", lambda: published)

    def write(root: Path, one: Record) -> RunFolder:
        folder = Store(root).folder(one.task, one.model, None, one.config_hash, one.seed)
        folder.write(one)
        return folder

    write(ours, record(0, 93.0))
    write(published, record(0, 50.0))
    write(published, record(1, 94.0))
    broken = write(published, record(2, 94.0)).path / "record.json"
    broken.write_text("{")
    found, skipped = sources.gather(ours)
    assert {r.seed: r.metrics["last"]["test"]["accuracy"].value for _, r in found} == {0: 93.0, 1: 94.0}
    assert [one.path for one in skipped] == [broken]
    row = next(r for r in table("2", ours)[0].content["rows"] if r["model"] == "gle-42k" and r["ours"])
    assert row["ours_n"] == 2


def test_a_damaged_store_still_yields_its_table_and_names_what_it_passed_over(tmp_path: Path) -> None:
    whole = record(0, 93.5, digest="a" * 12).model_dump_json().encode()

    def put(seed: int, name: str, content: bytes) -> None:
        folder = Store(tmp_path).folder("mnist1d", "gle-42k", None, "a" * 12, seed).path
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)

    put(0, "record.json", whole)
    reasons = {
        1: (whole[: len(whole) // 2], "EOF"),
        2: (b'{"epoch": 3}', "Field required"),
        3: (whole.replace(b'"schema_version":1', b'"schema_version":0'), "an older glebench"),
        4: (b"", "EOF"),
    }
    for seed, (content, _) in reasons.items():
        put(seed, "record.json", content)
    put(5, ".record.json.x1.part", whole[:100])  # its writer was killed before it could be renamed
    for format in ("md", "csv", "tex", "html"):
        done = glebench("table", "2", "--format", format, "--runs", tmp_path)
        assert done.code == 0
        assert "93.50" in done.out or ",93.5," in done.out
        told = [line.removeprefix("Passed over ").partition(": ") for line in done.err.splitlines()]
        assert [Path(path).parent.name for path, _, _ in told] == [f"seed-{seed}" for seed in reasons]
        assert all(reason in said for (_, _, said), (_, reason) in zip(told, reasons.values(), strict=True))


def test_published_records_lie_in_the_leaderboards() -> None:
    assert sources.published_runs() == ROOT / "leaderboards" / "records"
