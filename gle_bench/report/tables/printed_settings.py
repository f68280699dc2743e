"""The paper's own table of how its models were trained, a line of ours below each of its."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from gle_bench.config import RunConfig
from gle_bench.contracts import Pair, Task
from gle_bench.contracts.parameters import parameter_count
from gle_bench.report.tables.numbers import published_text, sample_text
from gle_bench.report.tables.rows import Row, Section

FULL: Final = Section("paper", "last")
DECIMALS: Final = 2


class PrintedSettings(NamedTuple):
    """One model as the paper has it, or as it is here: {column: text}, and the footnotes of its columns."""

    model: str
    of: Literal["paper", "ours"]
    cells: Mapping[str, str]
    notes: Mapping[str, str]


def setup_lines(task: Task, pairs: Sequence[Pair], rows: Sequence[Row]) -> list[PrintedSettings]:
    """Two lines for each model of `task.setup`; none if the paper has no such table.

    Ours are from the configuration of a full run, and from the full runs that there are.
    """
    known = {pair.model: pair for pair in pairs if pair.task == task.name}
    models = dict.fromkeys(model for setting in task.setup for model in setting.printed)
    return [line for model in models for line in _lines(task, known.get(model), model, rows)]


def _lines(task: Task, pair: Pair | None, model: str, rows: Sequence[Row]) -> Iterator[PrintedSettings]:
    printed = {setting.name: setting.printed.get(model, "") for setting in task.setup}
    notes = {setting.name: setting.notes[model] for setting in task.setup if model in setting.notes}
    measured = [row for row in rows if row.section == FULL and row.model == model and not row.marks]
    splits = dict.fromkeys((task.evaluation_split("paper"), "test"))
    columns = {split: f"{split} {task.metric.unit}".rstrip() for split in splits}
    cells = {cell.split: cell for cell in task.published if (cell.model, cell.selection) == (model, "last")}
    notes |= {columns[split]: cell.caveat for split, cell in cells.items() if cell.caveat}
    theirs = {column: published_text(cells[split]) if split in cells else "" for split, column in columns.items()}
    yield PrintedSettings(model, "paper", printed | theirs, notes)
    if pair is not None:
        config = pair.configure("paper")
        ours = {column: _ours(split, measured) for split, column in columns.items()}
        yield PrintedSettings(model, "ours", _described(task, config, printed, measured) | ours, {})


def _described(task: Task, config: RunConfig, names: Mapping[str, str], measured: Sequence[Row]) -> dict[str, str]:
    found = task.describe(config)
    known = [row.parameters for row in measured if row.parameters is not None]  # or the network is built, and counted
    counted = known[0] if known else parameter_count(task, config)
    return {name: f"{counted:,}" if name == "parameters" else found.get(name, "") for name in names}


def _ours(split: str, rows: Sequence[Row]) -> str:
    for row in rows:
        if row.split == split and row.ours:
            return sample_text(row.ours, DECIMALS)
        if row.watched and row.watched.split == split:
            return sample_text(row.watched.ours, DECIMALS)
    return "not run"
