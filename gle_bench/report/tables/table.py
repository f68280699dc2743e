"""The tables of the paper and of tasks, by name: published and measured results, their difference and a verdict."""

import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gle_bench import registry
from gle_bench.contracts import Task
from gle_bench.errors import look_up
from gle_bench.paper import RESULTS, SETTINGS_TABLE
from gle_bench.report.results import gather, pairs_of
from gle_bench.report.statistics.equivalence import ALPHA, MOST_SEEDS
from gle_bench.report.tables.cells import Cells, Part, Table
from gle_bench.report.tables.costs import footing_lines, footing_part, running_costs, running_part, yes_or_no
from gle_bench.report.tables.formats import MOST_DECIMALS, number_text, places, published_text, sample_text, superscript
from gle_bench.report.tables.rows import SECTIONS, Row, all_rows, plain
from gle_bench.report.tables.settings import printed_settings, settings_part, table1
from gle_bench.tracking.costs import Complexity, read_all
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import Skipped

SPREADS: Final = {
    "population sd": "population standard deviation (ddof 0)",
    "sample sd": "sample standard deviation (ddof 1)",
    "sem": "standard error of the mean",
}
AVERAGED: Final = (
    "Averaged: by the mean of the weights at the ends of the last epoch's batches. "
    "Only ours, by the weights themselves, is compared."
)
FEWEST_DECIMALS: Final = 2
DECIMALS_WITHOUT_SPREAD: Final = 4


def table(name: str, runs: Path) -> tuple[Table, list[Skipped]]:
    """The table with that number in the paper, or of that task, and the records that could not be read for it.

    It shows the runs in the folder `runs` and the published records.

    Raises:
        UnknownName: no such table or task; with the nearest name. GleBenchError: a network of Table 1 cannot be loaded.
    """
    tasks = {SETTINGS_TABLE: "", **RESULTS, **{task: task for task in registry.places("tasks")}}
    task_name = look_up("table", name, tasks)
    if name == SETTINGS_TABLE:
        return table1(), []
    task = registry.task(task_name)
    gathered, skipped = gather(runs)
    of_task = [(folder, record) for folder, record in gathered if record.task == task.name]
    return results_table(task, [record for _, record in of_task], read_all(of_task)), skipped


def results_table(task: Task, records: Sequence[Record], complexities: Mapping[str, Complexity] | None = None) -> Table:
    """The table of a task's results.

    It begins with the settings that the paper prints, if it prints any, and ends with what learning and running cost.
    `complexities` are the costs of running that were counted, {run_id: costs}.
    """
    pairs = pairs_of(task)
    rows = all_rows(task, records, pairs)
    settings = printed_settings(task, pairs, rows)
    footing, running = list(footing_lines(rows, pairs)), list(running_costs(rows, complexities or {}))
    notes = [note for line in settings for note in line.notes.values()] + [note for row in rows for note in row.notes]
    numbers = {note: number for number, note in enumerate(dict.fromkeys(notes), 1)}
    title, caption = _title(task), _caption(task)
    content = {
        "title": title,
        "caption": caption,
        "task": task.name,
        "metric": vars(task.metric),
        "setup": [
            {"model": line.model, "of": line.of, **line.cells, "footnotes": [numbers[n] for n in line.notes.values()]}
            for line in settings
        ],
        "rows": [plain(row, numbers) for row in rows],
        "footing": [line._asdict() for line in footing],
        "costs": [line._asdict() for line in running],
        "footnotes": list(numbers),
    }
    parts = [
        *([settings_part(settings, numbers)] if settings else []),
        *_parts(rows, numbers),
        *([footing_part(footing)] if footing else []),
        *([running_part(running)] if running else []),
    ]
    commands = list(dict.fromkeys(_command(row) for row in rows if row.command))
    columns = list(plain(Row(SECTIONS[0], "", "", None), {}))  # of an empty row, for a table without rows
    return Table(title, caption, parts, list(numbers), commands, content, columns)


def _title(task: Task) -> str:
    head, colon, _ = (sys.modules[type(task).__module__].__doc__ or "").partition(":")  # 'MNIST-1D: ten classes of ...'
    name = head if colon and "\n" not in head else task.name
    numbers = [f"Table {number} - " for number, of in RESULTS.items() if of == task.name]
    return f"{''.join(numbers)}{name}: {task.metric.name}{f' ({task.metric.unit})' if task.metric.unit else ''}"


def _caption(task: Task) -> str:
    kinds = dict.fromkeys(cell.spread_kind for cell in task.published if cell.spread is not None)
    printed = f"± {' or '.join(SPREADS.get(kind, kind) for kind in kinds)} " if kinds else ""
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


def _command(row: Row) -> str:
    """The command that would run a row, with its estimated time as a comment for the shell."""
    if row.seconds is None:
        return f"{row.command}  # how long: --dry-run measures it"
    return f"{row.command}  # about {duration(row.seconds)} by the rate of recorded runs"


def _parts(rows: Sequence[Row], numbers: Mapping[str, int]) -> Iterator[Part]:
    """The rows in cells: a part for each section and split."""
    decimals = _decimals(rows)
    for section in SECTIONS:
        for split in dict.fromkeys(row.split for row in rows if row.section == section):
            shown = [row for row in rows if (row.section, row.split) == (section, split)]
            heading = f"Protocol {section.protocol}, {section.selection} evaluation, {split} split"
            remark = AVERAGED if any(row.averaged for row in shown) else ""
            yield Part(heading, list(_lines(shown, numbers, decimals)), remark)


def _lines(rows: Sequence[Row], numbers: Mapping[str, int], decimals: int) -> Iterator[Cells]:
    """The lines of a part; it has columns for a comparison where one of its results was published."""
    compared = any(row.published for row in rows)
    watched = dict.fromkeys(row.watched.split for row in rows if row.watched)
    averaged = any(row.averaged for row in rows)
    labels = Counter(row.label for row in rows)
    for row in rows:
        digest = row.config_hash if labels[row.label] > 1 else None  # tells rows with equal labels apart
        yield {
            "model": " ".join(
                [row.label, *([digest] if digest else []), *(superscript(numbers[n]) for n in row.notes)]
            ),
            "params": number_text(row.parameters, ","),
            "online": yes_or_no(row.online),
            "stream": yes_or_no(row.streamed),
            **({"published": _published(row)} if compared else {}),
            "ours": _ours(row, decimals),
            "CI ±": _half_width(row, decimals),
            **({"averaged": _averaged(row, decimals)} if averaged else {}),
            **{split: _watched(row, split, decimals) for split in watched},
            **({"difference": _difference(row, decimals), "verdict": _verdict(row)} if compared else {}),
        }


def _published(row: Row) -> str:
    cell = row.published
    if cell is None:
        return ""
    return f"{published_text(cell)}{'' if cell.n is None else f' ({cell.n})'}"


def _ours(row: Row, decimals: int) -> str:
    total = sum(row.seeds.values())
    if row.ours is None:
        return f"(0/{total})" if total else ""
    seeds = f"{row.ours.n}" if row.ours.n == total else f"{row.ours.n}/{total}"
    return f"{sample_text(row.ours, decimals)} ({seeds})"


def _half_width(row: Row, decimals: int) -> str:
    """Half the width of the interval of our mean, which is symmetric; both ends would not fit into a terminal."""
    return f"{(row.interval[1] - row.interval[0]) / 2:.{decimals}f}" if row.interval else ""


def _averaged(row: Row, decimals: int) -> str:
    return sample_text(row.averaged, decimals) if row.averaged else ""


def _watched(row: Row, split: str, decimals: int) -> str:
    return sample_text(row.watched.ours, decimals) if row.watched and row.watched.split == split else ""


def _difference(row: Row, decimals: int) -> str:
    if row.comparison is None:
        return ""
    interval = row.comparison.interval
    between = "" if interval is None else f" [{interval[0]:.{decimals}f}, {interval[1]:.{decimals}f}]"
    return f"{row.comparison.difference:+.{decimals}f}{between}"


def _verdict(row: Row) -> str:
    if row.comparison is None or not (row.comparison.without or row.verdict == "inconclusive"):
        return row.verdict
    if row.comparison.without:
        return f"none: {row.comparison.without}"
    return f"inconclusive ({row.comparison.decisive_n or f'> {MOST_SEEDS}'})"


def _decimals(rows: Sequence[Row]) -> int:
    """The number of digits after the point of our results.

    There are as many as published results have, or else as show two digits of a typical spread; but at least two.
    """
    numbers = [number for row in rows if (cell := row.published) for number in (cell.value, cell.spread or 0.0)]
    if numbers:
        return max(FEWEST_DECIMALS, *map(places, numbers))
    spreads = sorted(row.ours.sd for row in rows if row.ours and row.ours.sd)
    if not spreads:
        return DECIMALS_WITHOUT_SPREAD
    return min(MOST_DECIMALS, max(FEWEST_DECIMALS, 1 - math.floor(math.log10(spreads[len(spreads) // 2]))))
