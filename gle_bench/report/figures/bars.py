"""A panel of final values as bars: of each model what was published, and beside it what was measured."""

from collections.abc import Iterator, Mapping
from typing import Final

from gle_bench.contracts import Task
from gle_bench.report.figures.curves import DECIMALS, axis_name
from gle_bench.report.figures.groups import Found, Group
from gle_bench.report.figures.plot import Bar, Panel
from gle_bench.report.statistics.welch import Sample, sample
from gle_bench.report.tables.numbers import published_text, sample_text

SPLIT: Final = "test"
HATCHED: Final = "Hatched: published, with the published spread; filled: ours, with one sample standard deviation."


def bars_panel(letter: str, task: Task, found: Found, colors: Mapping[str, int]) -> Panel:
    """Bars of the models that have a colour: published ones, then ours, which tell how many seeds they are of."""
    bars = tuple(bar for model, color in colors.items() for bar in _bars(task, found, model, color))
    return Panel(letter, "after training", "", axis_name(task.metric, SPLIT), (), bars=bars, y_limits=(0.0, None))


def _bars(task: Task, found: Found, model: str, color: int) -> Iterator[Bar]:
    for cell in task.published:
        if (cell.model, cell.split, cell.selection) == (model, SPLIT, "last"):
            label = f"{model}\npublished{f' ({cell.n})' if cell.n else ''}"
            yield Bar(cell.value, label, published_text(cell), color, cell.spread, published=True)
    group = found.groups.get(model)
    ours = _final(task, group) if group else None
    if group and ours:
        label = "\n".join([model, f"ours ({ours.n})", *group.words])
        yield Bar(ours.mean, label, sample_text(ours, DECIMALS), color, ours.sd)


def _final(task: Task, group: Group) -> Sample | None:
    """Over the seeds that have a value."""
    scores = [record.metrics["last"].get(SPLIT, {}) for record, _ in group.done.values() if "last" in record.metrics]
    measured = [score[task.metric.name] for score in scores if task.metric.name in score]
    values = [each.value for each in measured if each.usable]
    return sample(values) if values else None
