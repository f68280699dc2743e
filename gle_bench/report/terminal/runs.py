"""The list of recorded runs, `glebench list runs`: as data with a field for everything, as CSV, and for a terminal."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from gle_bench.errors import clipped
from gle_bench.report.output import plain
from gle_bench.report.selection import ALL, Filter
from gle_bench.report.settings import changed_settings, leaves, setting_words
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Skipped, Store

Rows = list[dict[str, Any]]

IN_TERMINAL: Final = ("run", "status", "protocol", "budget", "last", "wall_s")
LONGEST: Final = 80  # characters of a run's settings in a terminal


class Listed(NamedTuple):
    """A recorded run as a row of plain data, and its record."""

    row: dict[str, Any]
    record: Record


def listed(runs: Path, wanted: Filter = ALL, status: str | None = None) -> tuple[list[Listed], list[Skipped]]:
    """The recorded runs that fulfil the conditions, and the records that could not be read.

    In a row, a run whose process was killed has the status 'killed'. `settings` are those that differ from the model's
    own, by their path. `last` and `best` are {split: {metric: value}}.
    """
    records, skipped = Store(runs).records()
    kept = [Listed(row(folder, record), record) for folder, record in records if wanted.keeps(record)]
    return [each for each in kept if status in (None, each.row["status"])], skipped


def row(folder: RunFolder, record: Record) -> dict[str, Any]:
    """A run as a row of the list."""
    from gle_bench.tracking.lock import is_live

    killed = record.status == "running" and not is_live(folder.path)
    results = {
        selection: {split: {name: m.value for name, m in values.items()} for split, values in splits.items()}
        for selection, splits in record.metrics.items()
    }
    return {
        "run": record.run_id,
        "status": "killed" if killed else record.status,
        **record.model_dump(mode="json", include={"task", "model", "rule", "protocol", "budget", "seed"}),
        "settings": changed_settings(record),
        "last": results.get("last", {}),
        "best": results.get("best", {}),
        "parameters": record.parameters,
        "wall_s": round(record.cost.wall_s, 1),
        "official_data": record.data.official,
        "error": record.error,
        "folder": str(folder.path),
    }


def flat(runs: Sequence[Listed]) -> Rows:
    """The runs as rows with one value in each field.

    Each setting that differs from the model's own in one of the runs has a column, with its value in every run; so has
    every metric, as 'last.test.accuracy'.
    """
    changed = dict.fromkeys(path for row, _ in runs for path in row["settings"])
    rows = []
    for row, record in runs:
        settings = {path: leaves(record.config).get(path) for path in changed}
        named = {name: value for name, value in row.items() if name not in ("settings", "last", "best")}
        rows.append({**named, **settings, **leaves({name: row[name] for name in ("last", "best")})})
    return rows


def as_csv(runs: Sequence[Listed]) -> str:
    """The runs as CSV, which pandas reads."""
    rows = flat(runs)
    columns = dict.fromkeys(name for row in rows for name in row)
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_field(row.get(name)) for name in columns] for row in rows)
    return file.getvalue().rstrip("\n")


def for_terminal(rows: Sequence[dict[str, Any]]) -> Rows:
    """The columns that fit into a terminal; that of settings only if one of the runs has changed ones."""
    changed = any(row["settings"] for row in rows)
    return [
        {name: row[name] for name in IN_TERMINAL}
        | ({"settings": clipped(setting_words(row["settings"]), LONGEST)} if changed else {})
        for row in rows
    ]


def _field(value: Any) -> Any:
    return "" if value is None else value if isinstance(value, str | int | float) else json.dumps(plain(value))
