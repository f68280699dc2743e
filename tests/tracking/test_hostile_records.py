"""Tests of hostile stores: reading commands give results, pass over what is no record, or say one sentence."""

import csv
import io
import json
import os
import random
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import glebench
from figure_runs import chaos
from record_examples import example
from sparing import first
from toy_runs import configured, run

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.errors import GleBenchError, on_one_line, printable
from gle_bench.report import plots
from gle_bench.report import results as sources
from gle_bench.report.figures import figures as catalogue
from gle_bench.report.figures.curves import Request
from gle_bench.report.output import json_text
from gle_bench.report.tables import table as tables
from gle_bench.report.tables.brief import EVERYTHING, Choice
from gle_bench.report.tables.formats import FORMATS, csv_cell
from gle_bench.report.terminal import compare, compared, ending, listing, show, summary
from gle_bench.report.terminal.tables import as_text
from gle_bench.suites import catalogue as suites
from gle_bench.suites import command
from gle_bench.tracking.record import UnreadableRecord, parse
from gle_bench.tracking.store import RunFolder, Store

PUBLISHED = sources.published_runs()
HOSTILE: list[Any] = [
    None, True, -1, 0, 2**31, 2**70, 10**300, -0.5, 1e308, -1e308, "NaN", "Infinity", "-Infinity", "",
    "=cmd|' /C calc'!A0", "\x1b[2Jgone", "a|b\nc", "[/bold] $\\frac$ <script>", "../..",
    "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00", [], {}, [[]], {"a": {}}, [1, "x"],
]  # fmt: skip


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of plain data, without the many versions of packages."""
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in parts:
        if key == "packages":
            continue
        yield (*path, key)
        yield from leaves(part, (*path, key))


def mutated(fields: Any, draw: random.Random) -> Any:
    """The fields of a record, one or two of which are changed or removed."""
    copy = json.loads(json.dumps(fields))
    for _ in range(draw.choice([1, 1, 2])):
        *above, key = draw.choice(list(leaves(copy)))
        inner = copy
        for each in above:
            inner = inner[each]
        if draw.random() < 0.15:
            del inner[key]
        else:
            inner[key] = draw.choice(HOSTILE)
    return copy


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with copies of some published runs, and no published store beside it."""
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "published")
    monkeypatch.setattr(command, "published_runs", lambda: tmp_path / "published")
    for method in ("mnist1d/mlp-0", "mnist1d/gru-0"):
        folders = [folder for folder in sorted((PUBLISHED / method).glob("*/seed-*")) if is_of_the_paper(folder)]
        for folder in folders[:3]:
            shutil.copytree(folder, tmp_path / "runs" / folder.relative_to(PUBLISHED))
    for seed in range(3):
        chaos(tmp_path / "runs", seed, 10.0 + seed)
    for name, read in reads(tmp_path / "runs").items():
        assert read() is None or name == "figure 10", "all of them have something to read"
    return tmp_path / "runs"


def is_of_the_paper(folder: Path) -> bool:
    record = RunFolder(folder).read()
    return record is not None and record.protocol == "paper"


def reads(runs: Path, draw: bool = False) -> dict[str, Callable[[], object]]:
    """A call of every reading command, by its name."""

    def table(task: str) -> None:
        built, _ = tables.table(task, runs)
        json_text(built.content)
        for layout in FORMATS.values():
            printable(layout(built))
        for choice in (EVERYTHING, Choice()):
            as_text(tables.table(task, runs, choice)[0], 100)

    def comparison(task: str) -> None:
        ranked, _ = compare.compare(task, (), runs, "paper", "last")
        json_text(compared.as_json(ranked))
        compared.as_text(ranked, pairs=True)

    def listed() -> None:
        for as_csv in (False, True):
            rows, _, text = listing.rows("runs", runs, as_csv=as_csv)
            json_text(rows)
            text(rows)

    def plotted() -> None:
        json_text(plots.make(["mnist1d"], runs, plots.Wanted(("rate",))).shown)

    def described() -> None:
        for _, record in Store(runs).records()[0]:
            description = show.describe(record.run_id, runs)
            json_text(description)
            show.as_text(description)

    def surveyed() -> None:
        found, _ = command.survey(suites.suite("table2"), command.Options(runs))
        json_text(command.as_json(found, "missing"))
        command.as_text(found, "missing")

    chosen = resolve("mnist1d", "gle", None, "paper", "short", ())

    def told() -> None:
        for _, record in Store(runs).records()[0]:
            summary.lines([record, record], registry.task("mnist1d"))
            ending.lines(chosen, [record, record], Store(runs), ending.Next("glebench", (), "", None))

    return {
        "table 2": lambda: table("2"),
        "table mackey-glass": lambda: table("mackey-glass"),
        "compare": lambda: comparison("mnist1d"),
        "list": listed,
        "show": described,
        "plot": plotted,
        "suite": surveyed,
        "run": told,
        "figure 10": lambda: json_text(catalogue.make("10", Request(runs), runs / "figure.png", draw=draw).shown),
    }


def assert_readable(runs: Path) -> None:
    """Checks that every reading command gives its result or one sentence."""
    for read in reads(runs).values():
        try:
            read()
        except GleBenchError as error:
            assert re.fullmatch(r"[^\n]+\.", str(error))  # noqa: PT017


def test_no_mutated_record_breaks_a_command(runs: Path) -> None:
    files = sorted(runs.glob("*/*/*/*/record.json"))
    contents = [file.read_bytes() for file in files]
    draw = random.Random(14)
    for _ in range(25):
        for file, content in zip(files, contents, strict=True):
            fields = json.loads(content)
            file.write_text(json.dumps(mutated(fields, draw) if draw.random() < 0.6 else fields))
        assert_readable(runs)


def test_no_mutated_array_or_history_breaks_figure_10(runs: Path) -> None:
    folders = [RunFolder(path) for path in sorted(runs.glob("mackey-glass/gle/*/*"))]
    kept = {folder: (folder.read_history(), folder.read_predictions(), folder.read_traces()) for folder in folders}
    draw = random.Random(15)
    changes: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda values: values[:, :5],
        lambda values: values[0],
        lambda values: np.concatenate([values, values]),
        lambda values: values.astype(np.int64),
        lambda values: values.astype(">f4"),
        lambda values: values.astype(np.complex64),
        lambda values: values * np.nan,
        lambda values: np.full_like(values, np.inf),
        lambda values: values[:, :, :0],
    ]
    for number in range(12):
        for folder, (history, predictions, traces) in kept.items():
            rows = [dict(row) for row in history]
            if number % 2:
                row = draw.choice(rows)
                row[draw.choice(list(row))] = draw.choice([None, "x", -1, 10**200, 1e308, float("nan"), float("inf")])
            folder.write_history(rows)
            for arrays, write in ((predictions, folder.write_predictions), (traces, folder.add_traces)):
                if arrays:
                    name = draw.choice(list(arrays))
                    write(**arrays | ({name: draw.choice(changes)(arrays[name])} if draw.random() < 0.7 else {}))
        figure = reads(runs, draw=number % 5 == 0)["figure 10"]
        try:
            figure()
        except GleBenchError as error:
            assert re.fullmatch(r"[^\n]+\.", str(error))  # noqa: PT017


@pytest.mark.parametrize(
    "changes",
    [
        {"cost": {"wall_s": 1.0, "steps": 1, "networks": 0}},
        {"cost": {"wall_s": -1.0, "steps": 1}},
        {"cost": {"wall_s": "Infinity", "steps": 1}},
        {"cost": {"wall_s": 1.0, "steps": -1}},
        {"parameters": -1},
        {"seed": -1},
        {"seed": 2**32},
        {"best_round": -1},
        {"metrics": {}},
        {"metrics": {"last": {}}},
        {"metrics": {"last": {"test": {}}}},
        {"metrics": {"last": {"test": {"accuracy": {"value": 1.0, "n": 0}}}}},
        {"task": "../mnist1d"},
        {"model": "\x1b[2J"},
        {"model": "=cmd"},
        {"rule": ""},
        {"config_hash": "a\nb"},
        {"config": {}},
        {"config": {"options": [], "network": {}, "training": {}}},
        {"config": {"options": {}, "network": {}, "training": {"a": eval("[" * 60 + "]" * 60)}}},
        {"lineage": [{"started": "2026-01-01T00:00:00", "host": "a", "pid": 1}]},
        {"lineage": [{"started": "0001-01-01T00:00:00+14:00", "host": "a", "pid": 1}]},
        {"lineage": [{"started": "2026-01-01T00:00:00Z", "host": "a", "pid": -1}]},
        {"data": {"fingerprint": "f", "official": True, "digests": {}, "sizes": {"test": -1}}},
    ],
    ids=str,
)
def test_what_was_never_written_is_no_record(changes: dict[str, Any]) -> None:
    fields = json.loads(example().model_dump_json())
    parse(json.dumps(fields).encode())
    with pytest.raises(UnreadableRecord, match=r"\A[^\n]+\Z"):
        parse(json.dumps(fields | changes).encode())


def test_every_published_record_is_read() -> None:
    found, skipped = Store(PUBLISHED).records()
    assert skipped == []
    assert len(found) > 700


def test_only_what_is_seen_reaches_a_terminal() -> None:
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x202E, 0x2028, 0x2066, 0xFEFF):
        letter = chr(code)
        if letter not in "\t\n":
            assert printable(f"a{letter}b") == f"a{letter.encode('unicode_escape').decode()}b"
        assert on_one_line(f"a{letter}b").isprintable()
    assert printable("GLE ± λ ü 日本\n\ttext") == "GLE ± λ ü 日本\n\ttext"


@pytest.mark.parametrize("mark", ["\x1b]0;title\x07\x1b[2J", "\r\x1b[31m", "\u202eevil"])
def test_no_command_prints_what_commands_a_terminal(tmp_path: Path, mark: str) -> None:
    folder = Store(tmp_path).folder("mnist1d", "gle-15k", None, "0123456789ab", 0)
    notes = example().data.model_copy(update={"notes": (mark,)})
    changed = {"model": "gle-15k", "marks": (mark, f"x={mark}"), "error": mark, "data": notes}
    metrics = {"last": {"test": {"accuracy": {"value": float("nan"), "n": 3}, mark: {"value": 1.0, "n": 1}}}}
    folder.write(example(**changed, metrics=metrics))
    for words in (["list", "runs"], ["show", folder.path], ["table", "2"], ["table", "2", "--format", "html"]):
        finished = glebench(*words, "--runs", tmp_path)
        assert finished.code == 0, finished.err
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", finished.out + finished.err)


def test_json_has_no_numbers_that_are_none(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("mnist1d", "gle-15k", None, "0123456789ab", 0)
    values = {"accuracy": float("nan"), "loss": float("inf"), "other": float("-inf")}
    metrics = {"last": {"test": {name: {"value": value, "n": 3} for name, value in values.items()}}}
    folder.write(example(model="gle-15k", metrics=metrics))
    for words in (["list", "runs"], ["show", folder.path], ["table", "mnist1d"]):
        finished = glebench(*words, "--json", "--runs", tmp_path)
        json.loads(finished.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        if words[0] == "list":
            (listed,) = json.loads(finished.out)
            assert listed["last"]["test"] == {"accuracy": "NaN", "loss": "Infinity", "other": "-Infinity"}


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-x", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert [csv_cell(value) for value in (-1.5, "-1.5e3", "text", None)] == [-1.5, "-1.5e3", "text", None]


def test_marks_stay_text_in_every_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "published")
    mark = "=1|2\n<script>alert(1)</script> \\input{x} [/b]"
    Store(tmp_path).folder("mnist1d", "gle-15k", None, "0123456789ab", 0).write(
        example(model="gle-15k", marks=(mark,), rule="gle")
    )
    built, _ = tables.table("mnist1d", tmp_path)
    lines = {line for line in FORMATS["md"](built).splitlines() if "alert" in line}
    assert lines
    for line in lines:
        assert "<script" not in line
        assert len(re.findall(r"(?<!\\)\|", line)) in (0, 10)
    assert "<script" not in FORMATS["html"](built)
    assert r"\input" not in FORMATS["tex"](built)
    (row,) = [row for row in csv.DictReader(io.StringIO(FORMATS["csv"](built))) if "alert" in row["marks"]]
    assert row["marks"].startswith("'=1|2")


SPECIAL = ("record.json", "history.csv", "predictions.npz", "traces.npz", "last.ckpt", "best.ckpt", "heartbeat.json",
           "neurobench.json", "log.txt")  # fmt: skip


@pytest.mark.parametrize("kind", first(["pipe", "zero", "folder", "loop", "dangling"]))
def test_no_special_file_hangs_a_command(tmp_path: Path, kind: str) -> None:
    made = {
        "pipe": os.mkfifo,
        "zero": lambda path: path.symlink_to("/dev/zero"),
        "folder": lambda path: path.mkdir(),
        "loop": lambda path: path.symlink_to(path.name),
        "dangling": lambda path: path.symlink_to("nowhere"),
    }[kind]
    source = sorted((PUBLISHED / "mackey-glass" / "gle").glob("*/seed-*"))[:2]
    began = time.monotonic()
    for name in SPECIAL:
        runs = tmp_path / name.partition(".")[0]
        folders = [runs / folder.relative_to(PUBLISHED) for folder in source]
        for folder, published in zip(folders, source, strict=True):
            shutil.copytree(published, folder)
        (folders[0] / name).unlink(missing_ok=True)
        made(folders[0] / name)
        (folders[0] / ".lock").touch()
        for words in (["list", "runs"], ["show", folders[0]], ["figure", "10", "--json"]):
            finished = glebench(*words, "--runs", runs)
            assert finished.code in (0, 1, 2), finished.err
            assert "Traceback" not in finished.err
    assert time.monotonic() - began < 120


@pytest.mark.parametrize("name", first(SPECIAL, 2))
def test_no_pipe_hangs_a_run(tmp_path: Path, name: str) -> None:
    words = ("run", "toy-classes", "--model", "toy-mlp", "--budget", "smoke", "--seeds", 1, "--wandb", "off")
    words = (*words, "--runs", tmp_path / "runs", "--data", tmp_path)
    assert glebench(*words).code == 0
    (folder,) = (tmp_path / "runs").glob("*/*/*/seed-1")
    record = RunFolder(folder).read()
    assert record is not None
    RunFolder(folder).write(record.model_copy(update={"status": "interrupted"}))
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    finished = glebench(*words)
    assert finished.code in (0, 1)
    assert "Traceback" not in finished.err


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o077, 0o002, 0o022])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        run(configured("toy-classes", "toy-gle", budget="smoke", protocol="clean"), [1, 2], tmp_path / "runs")
        run(configured("toy-classes", "toy-mlp", budget="smoke"), [1], tmp_path / "runs")
    paths = list((tmp_path / "runs").rglob("*"))
    assert {"record.json", "history.csv", "predictions.npz", "last.ckpt", "best.ckpt"} <= {path.name for path in paths}
    for path in paths:
        expected = (0o777 if path.is_dir() else 0o666) & ~mask
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
