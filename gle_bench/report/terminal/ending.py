"""The end of `glebench run`: the learning curve, the published number and its verdict, the records, what to do next."""

import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from gle_bench.chosen import Chosen
from gle_bench.contracts import Metric, Published, Task
from gle_bench.contracts.results import averaged
from gle_bench.errors import GleBenchError
from gle_bench.paper import RESULTS
from gle_bench.report.results import ConfigurationRuns
from gle_bench.report.statistics import equivalence
from gle_bench.report.statistics.equivalence import FEWEST_SEEDS, MOST_SEEDS
from gle_bench.report.tables.cells import published_text, wrapped
from gle_bench.report.terminal.curve import curve
from gle_bench.surroundings import streams
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Store

CURVE_WIDTH: Final = 60  # columns
CURVE_HEIGHT: Final = 6  # lines
WIDEST: Final = 100  # columns of sentences where there is no terminal


class Next(NamedTuple):
    """What the commands that are printed after a run need to know.

    Attributes:
        program: the program's name, as the user called it.
        runs: the words that name the folder of runs, where it is not the default one.
        full: the command of the full run with all options that were given, as one line for a shell.
        full_seconds: the estimated time of the full run; None: not known.
    """

    program: str
    runs: tuple[str, ...]
    full: str
    full_seconds: float | None


def lines(chosen: Chosen, records: Sequence[Record], store: Store, following: Next) -> list[str]:
    """What stands below the results of a run; nothing where no seed ended well."""
    runs, task = ConfigurationRuns(tuple(records), records[0].marks), chosen.task
    if not runs.done:
        return []
    record = runs.done[0]
    published = next((cell for cell in task.published if cell.model == record.model), None)
    folder = store.folder_of(record, chosen.named_rule)
    where = folder.path if len(records) == 1 else folder.path.parent
    return [
        *_learning_curve(task, record, folder),
        *([] if published is None else _indented(_beside_published(runs, published, task.metric))),
        f"  Recorded in {where}",
        "Next:",
        *_commands(task, runs, following),
    ]


def _learning_curve(task: Task, record: Record, folder: RunFolder) -> list[str]:
    """The metric over training on the split that is watched, from the first evaluation to the last."""
    split, name = task.evaluation_split(record.protocol), task.metric.name
    try:
        rows = [row for row in folder.read_history() if row.get("split") == split]
    except GleBenchError:  # the history was changed after the run: the record is valid, but has no curve
        return []
    shown = averaged(name) if any(isinstance(row.get(averaged(name)), float) for row in rows) else name
    values = [value if isinstance(value := row.get(shown), int | float) else float("nan") for row in rows]
    drawn = curve(values, CURVE_WIDTH, CURVE_HEIGHT) if len(values) > 2 else []
    if not drawn:
        return []
    what = "averaged weights, " if shown != name else ""
    title = f"{split} {name} ({task.metric.unit}) over {len(values)} evaluations, {what}seed {record.seed}"
    return [f"  {title}", *(f"    {line}" for line in drawn)]


def _beside_published(runs: ConfigurationRuns, cell: Published, metric: Metric) -> str:
    """The published number, and the verdict of the comparison or the reason why there is none."""
    seeds = "" if cell.n is None else f", {cell.n} seeds"
    number = f"Published: {published_text(cell)} {metric.unit} ({cell.selection} evaluation{seeds})."
    differing = ["protocol clean"] if runs.first.protocol == "clean" else []
    differing += [str(mark) for mark in runs.marks if not mark.changed]
    differing += ["changed settings"] if any(mark.changed for mark in runs.marks) else []
    if differing:
        return f"{number} No verdict, because this run differs from the paper's: {', '.join(differing)}."
    values = [*runs.values(cell.selection, cell.split, metric.name).values()]
    return f"{number} {_verdict(equivalence.compare(cell, values), cell, metric.unit)}" if values else number


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in wrapped(text, streams.columns(WIDEST) - 2)]


def _verdict(compared: equivalence.Comparison, cell: Published, unit: str) -> str:
    apart = f"Ours is {compared.difference:+.2f} {unit} from it"
    if compared.interval is not None:
        low, high = compared.interval
        apart += f", 95 % interval {low:+.2f} to {high:+.2f}"
    if compared.verdict is None:
        reason = f"it takes {FEWEST_SEEDS} seeds" if "seeds" in compared.without else compared.without
        return f"{apart}; no verdict: {reason}."
    margin = f"the margin of ± {cell.margin:g} {unit}, which was fixed before our runs"
    more = f"about {compared.decisive_n} seeds" if compared.decisive_n else f"more than {MOST_SEEDS:,} seeds"
    meaning = {
        "reproduced": f"reproduced, as the difference is shown to lie within {margin}",
        "deviates": "deviates, as the interval leaves out 0",
        "inconclusive": f"inconclusive, as the difference may be 0 and may exceed {margin}; {more} would decide",
    }
    return f"{apart}: {meaning[compared.verdict]}."


def _commands(task: Task, runs: ConfigurationRuns, following: Next) -> list[str]:
    """The next commands, each with what it is for."""
    name, number = runs.done[0].run_id, {task: number for number, task in RESULTS.items()}
    protocol = [] if runs.first.protocol == "paper" else ["--protocol", runs.first.protocol]
    table = ["table", number.get(task.name, task.name), *protocol]
    commands = {
        "this run": ["show", name],
        "its learning curve": ["plot", name],
        **({"your results": [*table, "--all", "--only", "mine"]} if runs.marks else {"the table": table}),
    }
    widest = max(map(len, commands))
    out = [
        f"  {what:{widest}}  {shlex.join([following.program, *words, *following.runs])}"
        for what, words in commands.items()
    ]
    if task.published and runs.first.budget != "paper":
        time = "" if following.full_seconds is None else f", about {duration(following.full_seconds)} on this machine"
        out.append(f"  the full run, which budget {runs.first.budget} does not replace{time}:\n    {following.full}")
    return out
