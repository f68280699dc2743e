"""The lists of `glebench list`: tasks, models, pairs, rules or runs as rows, and rows as text for a terminal."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gle_bench import registry
from gle_bench.errors import UsageError, on_one_line
from gle_bench.tracking.store import Skipped, Store

Rows = list[dict[str, Any]]


def rows(
    kind: str, runs: Path, task: str | None = None, every: bool = False
) -> tuple[Rows, list[Skipped], Callable[[Rows], str]]:
    """What is listed, one row each; the records that could not be read; and the function that makes text of the rows.

    Args:
        task: the task whose pairs are listed line by line; `every` lists those of all tasks so.

    Raises:
        UsageError: `task` or `every` is given for another kind than pairs.
    """
    if kind == "pairs":
        from gle_bench.report.terminal import pairs

        return *pairs.rows(task, runs), pairs.as_text if task is not None or every else pairs.grid
    if task is not None or every:
        raise UsageError(f"'glebench list {kind}' takes no TASK and no --all, which are for 'glebench list pairs'.")
    return *_rows(kind, runs), _rules_text if kind == "rules" else as_text


def _rows(kind: str, runs: Path) -> tuple[Rows, list[Skipped]]:
    """All tasks, models, rules or runs, and the records that could not be read.

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


def _rules_text(listed: Rows) -> str:
    return f"{as_text(listed)}\n`glebench show RULE` shows the options of a rule."


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
    return aligned([[name.upper() for name in listed[0]], *cells])


def aligned(lines: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Lines of cells as columns, those of the numbers `right` aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = set(right)
    return "\n".join(
        "  ".join(
            c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    if not isinstance(value, dict):
        return on_one_line(str(value))
    return ", ".join(f"{split} {name} {number:.4g}" for split, named in value.items() for name, number in named.items())
