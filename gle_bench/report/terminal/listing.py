"""The lists of `glebench list`: tasks, models, pairs or rules as rows, and rows as text for a terminal."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from gle_bench import registry
from gle_bench.errors import UsageError, look_up, on_one_line
from gle_bench.report.selection import ALL, Filter
from gle_bench.surroundings import streams
from gle_bench.tracking.store import Skipped

Rows = list[dict[str, Any]]
GAP: Final = "  "  # between columns
NARROWEST: Final = 24  # columns of text that the last cell of a line gets, however narrow the terminal
NAMES_WIDTH: Final = 80  # columns of the names of everything where there is no terminal
UNBROKEN: Final = 10_000  # columns, wider than any line: in a pipe a row stays one line, for grep


def rows(
    kind: str | None,
    runs: Path,
    task: str | None = None,
    every: bool = False,
    wanted: Filter = ALL,
    status: str | None = None,
    as_csv: bool = False,
) -> tuple[Rows, list[Skipped], Callable[[Rows], str]]:
    """What is listed, one row each; the records that could not be read; and the function that makes text of the rows.

    Args:
        kind: what is listed; None: the names of all kinds.
        task: the task whose models or runs are listed, or whose pairs are listed line by line; `every` lists the pairs
            of all tasks line by line.
        wanted, status: conditions on runs.
        as_csv: whether the text of runs is CSV.

    Raises:
        UsageError: an option that is not for this kind.
        UnknownName: there is no such task.
    """
    if kind == "runs" and not every:
        from gle_bench.report.terminal import runs as recorded

        conditions = wanted._replace(task=task)
        listed, skipped = recorded.listed(runs, conditions, status)
        if not listed and not as_csv and (conditions, status) != (ALL, None):
            return [], skipped, lambda _: "No run fulfils these conditions."
        text = (lambda _: recorded.as_csv(listed)) if as_csv else (lambda rows: as_text(recorded.for_terminal(rows)))
        return [each.row for each in listed], skipped, text
    if wanted != ALL or status is not None or as_csv:
        raise UsageError("Conditions on runs and --csv are for 'glebench list runs' alone.")
    if task is not None:
        look_up("task", task, registry.places("tasks"))
    if kind == "pairs":
        from gle_bench.report.terminal import pairs

        return *pairs.rows(task, runs), pairs.as_text if task is not None or every else pairs.grid
    if every:
        raise UsageError("--all is for 'glebench list pairs' alone; the other lists are complete.")
    if kind == "models":
        return _models(task), [], as_text
    if task is not None:
        raise UsageError(
            f"'glebench list {kind}' takes no TASK, which is for 'list models', 'list pairs' and 'list runs'."
        )
    if kind is None:
        return *_names(runs), _names_text
    return _rows(kind), [], _rules_text if kind == "rules" else as_text


def _rows(kind: str) -> Rows:
    """All tasks or rules. The summaries of tasks are read from the files of their modules, which are not imported."""
    if kind == "rules":
        return [_rule(name) for name in registry.places("rules")]
    return [{"name": name, "summary": registry.summary(place)} for name, place in registry.places(kind).items()]


def _models(task: str | None) -> Rows:
    """A row for each model of a task, or for each model of every task."""
    return [
        {"task": pair.task, "model": pair.model, "seeds": len(pair.seeds), "summary": pair.summary}
        for pair in registry.pairs()
        if task in (None, pair.task)
    ]


def _names(runs: Path) -> tuple[Rows, list[Skipped]]:
    """A row for each kind of list with its names: those of tasks, models and rules, and the ids of runs."""
    from gle_bench.report.terminal import runs as recorded

    listed, skipped = recorded.listed(runs)
    names = {
        "tasks": [*registry.places("tasks")],
        "models": list(dict.fromkeys(pair.model for pair in registry.pairs())),
        "rules": [*registry.places("rules")],
        "runs": [each.row["run"] for each in listed],
    }
    return [{"kind": kind, "names": of_kind} for kind, of_kind in names.items()], skipped


def _names_text(listed: Rows) -> str:
    """The names of each kind in a paragraph, of runs the number alone, and what lists more."""
    cells = []
    for row in listed:
        names, count = row["names"], f"{len(row['names'])}"
        cells.append((row["kind"], count, ", ".join(names) if row["kind"] != "runs" else "`glebench list runs`"))
    more = "`glebench list KIND` describes each; `list pairs` shows which task has which model."
    return f"{aligned(cells, right=[1], within=streams.columns(NAMES_WIDTH))}\n{more}"


def _rule(name: str) -> dict[str, Any]:
    return {"name": name, "derived": registry.is_derived(name), "summary": registry.rule_summary(name)}


def _rules_text(listed: Rows) -> str:
    return f"{as_text(listed)}\n`glebench show RULE` shows the options of a rule."


def as_text(listed: Rows) -> str:
    """The rows as a table, its columns as wide as they need to be; a sentence where there are none."""
    if not listed:
        return "Nothing to list yet."
    cells = [[_cell(name, value) for name, value in row.items()] for row in listed]
    return aligned([[name.upper() for name in listed[0]], *cells], within=streams.columns(UNBROKEN))


def aligned(lines: Sequence[Sequence[str]], right: Iterable[int] = (), within: int = UNBROKEN) -> str:
    """Lines of cells as columns, those of the numbers `right` aligned to the right.

    Where a line is wider than `within` columns, its last cell goes on below itself.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = set(right)
    left = sum(width + len(GAP) for width in widths[:-1])
    room = max(within - left, NARROWEST)
    made = []
    for line in lines:
        cells = [c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        first, *others = textwrap.wrap(cells[-1], room, break_long_words=False, break_on_hyphens=False) or [""]
        made += [GAP.join([*cells[:-1], first]).rstrip(), *(" " * left + other for other in others)]
    return "\n".join(made)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    if not isinstance(value, dict):
        return on_one_line(str(value))
    return ", ".join(f"{split} {name} {number:.4g}" for split, named in value.items() for name, number in named.items())
