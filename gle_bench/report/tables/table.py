"""Tables of the paper: published, ours, difference and verdict side by side."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gle_bench import registry
from gle_bench.contracts import Metric, Pair, Task
from gle_bench.errors import UnknownName, did_you_mean
from gle_bench.paper import RESULTS
from gle_bench.report.output import csv_cells
from gle_bench.report.results import gather_folders
from gle_bench.report.statistics.equivalence import ALPHA
from gle_bench.report.tables import costs as complexity
from gle_bench.report.tables import footing
from gle_bench.report.tables.cells import sheet
from gle_bench.report.tables.layouts import LAYOUTS
from gle_bench.report.tables.printed_settings import PrintedSettings, setup_lines
from gle_bench.report.tables.rows import SECTIONS, Row, rows
from gle_bench.tracking.costs import Complexity, read_all
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import Skipped
from gle_bench.words import TableFormat


@dataclass(frozen=True)
class Table:
    """What is printed: rows in the order of `SECTIONS`, and the paper's own table with ours beside, if there is one.

    Footnotes, numbered from 1, are the notes of both. `ground` (its equal footing) and `costs`, where
    counted, have a line a configuration.
    """

    title: str
    caption: str
    task: str
    metric: Metric
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    setup: tuple[PrintedSettings, ...] = ()
    ground: tuple[footing.FootingLine, ...] = ()
    costs: tuple[complexity.RunningCosts, ...] = ()


def from_stores(name: str, runs: Path) -> tuple[Table, list[Skipped]]:
    """The table of results of that number or task, of the user's runs and the published records, and what was skipped.

    Raises:
        UnknownName: no such table or task.
    """
    named = RESULTS | {known: known for known in registry.places("tasks")}
    if name not in named:
        raise UnknownName(did_you_mean("table", name, ["1", *named]))
    task = registry.task(named[name])
    found, skipped = gather_folders(runs)
    mine = [(folder, record) for folder, record in found if record.task == task.name]
    counted = read_all(mine)
    return build(task, [record for _, record in mine], registry.pairs(), counted), skipped


def build(
    task: Task, records: Sequence[Record], pairs: Sequence[Pair], counted: Mapping[str, Complexity] | None = None
) -> Table:
    """The table of a task; `counted` are the costs of running a network, {run_id: costs}."""
    found = rows(task, records, pairs)
    beside = setup_lines(task, pairs, found)
    notes = [note for line in beside for note in line.notes.values()] + [note for row in found for note in row.notes]
    footnotes = tuple(dict.fromkeys(notes))
    costs = tuple(_costs(found, records, counted or {}))
    known = {pair.model: pair for pair in pairs if pair.task == task.name}
    return Table(
        _title(task),
        _caption(task),
        task.name,
        task.metric,
        tuple(found),
        footnotes,
        tuple(beside),
        tuple(footing.footing_lines(found, records, known)),
        costs,
    )


def _costs(
    found: Sequence[Row], records: Sequence[Record], counted: Mapping[str, Complexity]
) -> Iterator[complexity.RunningCosts]:
    """A line for each configuration of which a seed was counted, in the order of the rows."""
    labels = {(row.config_hash, row.section.protocol): row.label for row in found if row.config_hash}
    seeds: dict[str, list[Complexity]] = {}
    for record in records:
        if record.run_id in counted:
            seeds.setdefault(record.config_hash, []).append(counted[record.run_id])
    for (digest, protocol), label in labels.items():
        if digest in seeds:
            yield complexity.line(label, protocol, seeds[digest])


def render(built: Table, format: TableFormat = "md") -> str:
    """The table as Markdown, aligned for a terminal, as LaTeX, as HTML, or as CSV, its numbers in full precision."""
    return _csv(built) if format == "csv" else LAYOUTS[format](sheet(built))


def as_json(built: Table) -> dict[str, Any]:
    """Plain data; None for what is not there."""
    return {
        "title": built.title,
        "caption": built.caption,
        "task": built.task,
        "metric": vars(built.metric),
        "setup": [
            {"model": line.model, "of": line.of, **line.cells, "footnotes": _numbers(built, line.notes.values())}
            for line in built.setup
        ],
        "rows": [_flat(built, row) for row in built.rows],
        "footing": [line._asdict() for line in built.ground],
        "costs": [costs._asdict() for costs in built.costs],
        "footnotes": list(built.footnotes),
    }


def _title(task: Task) -> str:
    head, colon, _ = (sys.modules[type(task).__module__].__doc__ or "").partition(":")  # 'MNIST-1D: ten classes of ...'
    name = head if colon and "\n" not in head else task.name
    numbers = [f"Table {number} - " for number, known in RESULTS.items() if known == task.name]
    return f"{''.join(numbers)}{name}: {task.metric.name}{f' ({task.metric.unit})' if task.metric.unit else ''}"


def _caption(task: Task) -> str:
    kinds = {cell.spread_kind: None for cell in task.published if cell.spread is not None}
    said = {
        "population sd": "population standard deviation (ddof 0)",
        "sample sd": "sample standard deviation (ddof 1)",
        "sem": "standard error of the mean",
        "none": "none",
    }
    printed = f"± {' or '.join(said[kind] for kind in kinds)} " if kinds else ""
    margins: dict[float, dict[str, None]] = {}
    for cell in task.published:
        if cell.margin is not None:
            margins.setdefault(cell.margin, {})[cell.model] = None
    texts = [f"±{margin:g} for {', '.join(models)}" for margin, models in sorted(margins.items())]
    return "\n".join(
        [
            f"Published: value {printed}(seeds); converted to ddof 1 before any test.",
            "Ours: mean ± sample standard deviation (ddof 1) (seeds done/begun). CI ±: half width of the mean's 95 % "
            "CI. Difference: ours - published, 95 % CI by Welch.",
            f"Verdict: two one-sided Welch tests at {100 * ALPHA:g} % within the margin, which was set before the runs"
            f"{': ' + '; '.join(texts) if texts else ''}.",
            "Inconclusive (n): with n seeds of ours a verdict would fall, if our mean and spread stayed as they are.",
            "Only full runs under protocol paper can be called reproduced: what bears [marks] has no verdict.",
        ]
    )


def _flat(built: Table, row: Row) -> dict[str, Any]:
    cell, ours, compared, watched = row.published, row.ours, row.comparison, row.watched
    between = compared.interval if compared else None
    return {
        "protocol": row.section.protocol,
        "selection": row.section.selection,
        "split": row.split,
        "model": row.model,
        "rule": row.rule,
        "marks": [str(mark) for mark in row.marks],
        "config_hash": row.config_hash,
        "parameters": row.parameters,
        "online": row.online,
        "streamed": row.streamed,
        "published": cell and cell.value,
        "published_spread": cell and cell.spread,
        "published_spread_kind": cell and cell.spread_kind,
        "published_n": cell and cell.n,
        "source": cell and cell.source,
        "ours": ours and ours.mean,
        "ours_sd": ours and ours.sd,
        "ours_n": ours and ours.n,
        "ours_low": row.interval and row.interval[0],
        "ours_high": row.interval and row.interval[1],
        "watched_split": watched and watched.split,
        "watched": watched and watched.ours.mean,
        "watched_sd": watched and watched.ours.sd,
        "watched_n": watched and watched.ours.n,
        "seeds": dict(row.seeds),
        "difference": compared and compared.difference,
        "difference_low": between and between[0],
        "difference_high": between and between[1],
        "margin": cell and cell.margin,
        "verdict": row.verdict or None,
        "without_verdict": (compared and compared.without) or None,
        "decisive_n": compared and compared.decisive_n,
        "command": row.command or None,
        "estimated_s": row.seconds,
        "footnotes": _numbers(built, row.notes),
    }


def _numbers(built: Table, notes: Iterable[str]) -> list[int]:
    return [built.footnotes.index(note) + 1 for note in notes]


def _csv(built: Table) -> str:
    file = io.StringIO(newline="")
    lines = [_flat(built, row) for row in built.rows]
    columns = list(_flat(built, Row(SECTIONS[0], "", "", None)))  # also of a table without rows
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        seeds = "; ".join(f"{count} {status}" for status, count in line["seeds"].items())
        marks, numbers = "; ".join(line["marks"]), "; ".join(map(str, line["footnotes"]))
        writer.writerow(csv_cells(line | {"seeds": seeds, "marks": marks, "footnotes": numbers}))
    return file.getvalue()
