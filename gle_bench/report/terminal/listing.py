"""The lists of `glebench list`: tasks, models, rules or runs as rows, and rows as a table for a terminal."""

from pathlib import Path
from typing import Any

from gle_bench import registry
from gle_bench.errors import on_one_line
from gle_bench.tracking.store import Skipped, Store

Rows = list[dict[str, Any]]


def rows(kind: str, runs: Path) -> tuple[Rows, list[Skipped]]:
    """All tasks, models, rules or runs, one row each, and the records that could not be read.

    The summaries of tasks are read from the files of their modules, which are not imported.
    """
    if kind == "runs":
        return _runs(runs)
    if kind == "models":
        return [
            {"task": pair.task, "model": pair.model, "seeds": len(pair.seeds), "summary": pair.summary}
            for pair in registry.pairs()
        ], []
    if kind == "rules":
        return [_rule(name) for name in registry.places("rules")], []
    return [{"name": name, "summary": registry.summary(place)} for name, place in registry.places(kind).items()], []


def _rule(name: str) -> dict[str, Any]:
    return {"name": name, "derived": registry.is_derived(name), "summary": registry.rule_summary(name)}


def _runs(runs: Path) -> tuple[Rows, list[Skipped]]:
    from gle_bench.tracking.lock import is_live

    records, skipped = Store(runs).records()
    listed = []
    for folder, record in records:
        killed = record.status == "running" and not is_live(folder.path)
        results = {
            split: {k: m.value for k, m in values.items()} for split, values in record.metrics.get("last", {}).items()
        }
        listed.append(
            {
                "run": record.run_id,
                "status": "killed" if killed else record.status,
                "protocol": record.protocol,
                "budget": record.budget,
                "last": results,
                "wall_s": round(record.cost.wall_s, 1),
            }
        )
    return listed, skipped


def as_text(listed: Rows) -> str:
    """The rows as a table, its columns as wide as they need to be; a sentence where there are none."""
    if not listed:
        return "Nothing to list yet."
    cells = [[_cell(name, value) for name, value in row.items()] for row in listed]
    header = [name.upper() for name in listed[0]]
    widths = [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [header, *cells]
    )


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    if not isinstance(value, dict):
        return on_one_line(str(value))
    return ", ".join(f"{split} {name} {number:.4g}" for split, named in value.items() for name, number in named.items())
