"""The tables of the paper and of tasks, by name: published and measured results, their difference and a verdict."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gle_bench import registry
from gle_bench.contracts import Pair, Task
from gle_bench.errors import UsageError, look_up
from gle_bench.paper import RESULTS, SETTINGS_TABLE
from gle_bench.report.results import gather, pairs_of, shipped_runs
from gle_bench.report.tables import brief, whole
from gle_bench.report.tables.brief import EVERYTHING, Choice
from gle_bench.report.tables.cells import Part, Table
from gle_bench.report.tables.costs import footing_lines, footing_part, running_costs, running_part
from gle_bench.report.tables.rows import SECTIONS, Row, all_rows
from gle_bench.report.tables.settings import printed_settings, settings_part
from gle_bench.report.tables.table1 import table1
from gle_bench.tracking.costs import Complexity, read_all
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import Skipped


def table(name: str, runs: Path, choice: Choice = EVERYTHING) -> tuple[Table, list[Skipped]]:
    """The table with that number in the paper, or of that task, and the records that could not be read for it.

    It shows the runs in the folder `runs` and the published records, as far as they are chosen.

    Raises:
        UnknownName: no such table, task or model; with the nearest name. UsageError: a choice among the rows of
            Table 1. GleBenchError: a network of Table 1 cannot be loaded.
    """
    tasks = {SETTINGS_TABLE: "", **RESULTS, **{task: task for task in registry.places("tasks")}}
    task_name = look_up("table", name, tasks)
    if name == SETTINGS_TABLE:
        if choice._replace(everything=False) != Choice():
            raise UsageError("Table 1 has no runs; leave out --protocol, --selection, --only and --model.")
        return table1(choice.everything), []
    task = registry.task(task_name)
    gathered, skipped = gather(runs, choice.only)
    of_task = [(folder, record) for folder, record in gathered if record.task == task.name]
    records, shipped = [record for _, record in of_task], shipped_runs(of_task)
    costs = read_all(of_task) if choice.everything else {}
    return results_table(task, records, costs, choice, shipped), skipped


def results_table(
    task: Task,
    records: Sequence[Record],
    complexities: Mapping[str, Complexity] | None = None,
    choice: Choice = EVERYTHING,
    shipped: Collection[str] = (),
) -> Table:
    """The table of a task's results: all of them, or the one table of a chosen section.

    Args:
        complexities: the costs of running that were counted, {run_id: costs}.
        shipped: the ids of the runs that come with glebench.

    Raises:
        UnknownName: there is no such model; with the nearest name.
    """
    pairs = pairs_of(task)
    every = all_rows(task, records, pairs, shipped)
    for model in choice.models:
        look_up("model", model, {**pairs, **{row.model: None for row in every}})
    rows = [row for row in every if choice.admits(row)]
    return _whole(task, pairs, rows, complexities or {}) if choice.everything else _brief(task, rows, choice)


def _brief(task: Task, rows: Sequence[Row], choice: Choice) -> Table:
    """The one table of a section: published numbers and full runs."""
    chosen = brief.shown(rows, choice)
    numbers = _numbers(note for row in chosen for note in row.notes)
    parts = [brief.part(chosen, choice.section, numbers)] if chosen else []
    more = [*(["the paper's settings beside ours"] if task.setup else []), *(["costs"] if chosen else [])]
    protocol, selection = choice.section
    return _table(task, "", parts, chosen, numbers)._replace(
        empty=f"Nothing was published under protocol {protocol}, {selection} evaluation, and no full run is there.",
        hints=list(brief.hints(rows, chosen, choice, more)),
    )


def _whole(task: Task, pairs: Mapping[str, Pair], rows: Sequence[Row], complexities: Mapping[str, Complexity]) -> Table:
    """All rows, between the settings that the paper prints, if it prints any, and what learning and running cost."""
    settings = printed_settings(task, pairs, rows)
    footing, running = list(footing_lines(rows, pairs)), list(running_costs(rows, complexities))
    notes = [note for line in settings for note in line.notes.values()] + [note for row in rows for note in row.notes]
    numbers = _numbers(notes)
    setup = [
        {"model": line.model, "of": line.of, **line.cells, "footnotes": [numbers[n] for n in line.notes.values()]}
        for line in settings
    ]
    parts = [
        *([settings_part(settings, numbers)] if settings else []),
        *whole.parts(rows, numbers),
        *([footing_part(footing)] if footing else []),
        *([running_part(running)] if running else []),
    ]
    extra = {
        "setup": setup,
        "footing": [line._asdict() for line in footing],
        "costs": [line._asdict() for line in running],
    }
    return _table(task, whole.caption(task), parts, rows, numbers, extra)


def _numbers(notes: Iterable[str]) -> dict[str, int]:
    """The numbers of footnotes, {text: number}."""
    return {note: number for number, note in enumerate(dict.fromkeys(notes), 1)}


def _table(
    task: Task,
    caption: str,
    parts: Sequence[Part],
    rows: Sequence[Row],
    numbers: Mapping[str, int],
    extra: Mapping[str, Any] | None = None,
) -> Table:
    """The table of these parts; its content has the rows, and what is `extra`."""
    title = _title(task)
    content = {
        **{"title": title, "caption": caption, "task": task.name, "metric": vars(task.metric)},
        **{"setup": [], "rows": [plain(row, numbers) for row in rows], "footing": [], "costs": []},
        **(extra or {}),
        "footnotes": list(numbers),
    }
    commands = list(dict.fromkeys(_command(row) for row in rows if row.command))
    columns = list(plain(Row(SECTIONS[0], "", "", None), {}))  # of an empty row, for a table without rows
    return Table(title, caption, parts, list(numbers), commands, content, columns)


def _title(task: Task) -> str:
    head, colon, _ = (sys.modules[type(task).__module__].__doc__ or "").partition(":")  # 'MNIST-1D: ten classes of ...'
    name = head if colon and "\n" not in head else task.name
    numbers = [f"Table {number} - " for number, of in RESULTS.items() if of == task.name]
    return f"{''.join(numbers)}{name}: {task.metric.name}{f' ({task.metric.unit})' if task.metric.unit else ''}"


def _command(row: Row) -> str:
    """The command that would run a row, with its estimated time as a comment for the shell."""
    if row.seconds is None:
        return f"{row.command}  # how long: --dry-run measures it"
    return f"{row.command}  # about {duration(row.seconds)} by the rate of recorded runs"


def plain(row: Row, numbers: Mapping[str, int]) -> dict[str, Any]:
    """A row as plain data, with all digits; `numbers` are those of the table's footnotes, {text: number}."""
    cell, ours, interval, compared, watched = row.published, row.ours, row.interval, row.comparison, row.watched
    between, averages = compared.interval if compared else None, row.averaged
    return {
        "protocol": row.section.protocol,
        "selection": row.section.selection,
        "split": row.split,
        "model": row.model,
        "rule": row.rule,
        "rule_derived": row.rule and registry.is_derived(row.rule),
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
        "ours_low": interval and interval[0],
        "ours_high": interval and interval[1],
        "averaged": averages and averages.mean,
        "averaged_sd": averages and averages.sd,
        "averaged_n": averages and averages.n,
        "watched_split": watched and watched.split,
        "watched": watched and watched.ours.mean,
        "watched_sd": watched and watched.ours.sd,
        "watched_n": watched and watched.ours.n,
        "seeds": row.seeds,
        "shipped": row.runs and row.runs.shipped,
        "difference": compared and compared.difference,
        "difference_low": between and between[0],
        "difference_high": between and between[1],
        "margin": cell and cell.margin,
        "verdict": row.verdict or None,
        "without_verdict": (compared and compared.without) or None,
        "decisive_n": compared and compared.decisive_n,
        "command": row.command or None,
        "estimated_s": row.seconds,
        "footnotes": [numbers[note] for note in row.notes],
    }
