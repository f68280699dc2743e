"""Learning curves of any runs: a metric over training, a line for each configuration, with intervals over seeds."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import inf
from typing import Final

import numpy as np

from gle_bench import registry
from gle_bench.contracts import Task
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.report.figures.curves import Curves, DrawnRuns, axis_name, curves, limits
from gle_bench.report.figures.plot import FREE, Line, Panel, Plot, line
from gle_bench.report.grid import labels
from gle_bench.report.grid import metric as metric_of
from gle_bench.report.results import ConfigurationRuns, grouped, pairs_of
from gle_bench.report.selection import Stored
from gle_bench.report.statistics import welch
from gle_bench.report.statistics.equivalence import ALPHA
from gle_bench.report.statistics.welch import Sample
from gle_bench.report.tables.cells import sample_text
from gle_bench.tracking.history import Row

SIZE: Final = (6.2, 3.4)  # inches, of a panel
MOST_LINES: Final = 9  # in a panel, as many as there are colours
MOST_PANELS: Final = 6
DECIMALS: Final = 2
NOT_METRICS: Final = ("update", "epoch", "split", "round", "rate", "wall_s")  # columns of a history beside its metrics
BAND: Final = "Lines: means over seeds, with their 95 % intervals (Student's t)."
LABELS: Final = "In labels: the last evaluation, as mean±sample sd (number of seeds)."


def build(selected: Sequence[Stored], metric: str | None = None, split: str | None = None) -> Plot:
    """The learning curves of these runs, a panel for each task and split.

    Of a configuration, the seeds that are done are drawn; where none is, those that have a history. `metric` is the
    task's own for None, and `split` the one that is watched while training.

    Raises:
        UsageError: more lines or panels than can be told apart. UnknownName: a metric that no history has.
            GleBenchError: there is nothing to draw.
    """
    by_panel: dict[tuple[str, str], list[Stored]] = {}
    for folder, record in selected:
        watched = split or registry.task(record.task).evaluation_split(record.protocol)
        by_panel.setdefault((record.task, watched), []).append((folder, record))
    if len(by_panel) > MOST_PANELS:
        raise UsageError(f"{len(by_panel)} tasks and splits are too many for one figure; choose some of the runs.")
    panels, notes = [], dict[str, None]()
    for place, ((task, watched), stored) in enumerate(sorted(by_panel.items())):
        letter = chr(ord("a") + place)
        panel, said = _panel(letter if len(by_panel) > 1 else "", letter, registry.task(task), watched, stored, metric)
        panels += [panel] if panel is not None else []
        notes |= dict.fromkeys(said)
    if not panels:
        raise GleBenchError(" ".join(notes) or "The runs have no history to draw.")
    title = "Learning curves" if len(panels) > 1 else f"Learning curves of {selected[0][1].task}"
    layout = tuple(panel.letter for panel in panels)
    bands = [BAND] if any(line.spread for panel in panels for line in panel.lines) else []
    return Plot(title, tuple(panels), layout, (SIZE[0], SIZE[1] * len(panels)), (*bands, LABELS, *notes))


def _panel(
    corner: str, letter: str, task: Task, split: str, stored: Sequence[Stored], name: str | None
) -> tuple[Panel | None, list[str]]:
    """The panel of one task and split, and the notes on it; no panel where there is no history."""
    metric = task.metric if name is None else metric_of(task, name, _columns(stored))
    groups = grouped(task, [record for _, record in stored], pairs_of(task))
    groups.sort(key=lambda group: (group.first.model, group.first.run_id))
    notes = list[str]()
    own = [group for group in groups if not group.changed]
    if len(groups) > MOST_LINES and own:
        several = f"{len(groups) - len(own)} configurations with changed settings"
        notes.append(f"Left out: {several}; draw them by the beginnings of their runs' ids, or against --x.")
        groups = own
    if len(groups) > MOST_LINES:
        raise UsageError(
            f"{task.name} has {len(groups)} configurations here, too many for one panel, which shows {MOST_LINES}; "
            "choose some by --model, --rule, --protocol or --budget, or by the beginnings of runs' ids."
        )
    lines, measured = list[Line](), list[Curves]()
    for label, group in zip(labels(groups), groups, strict=True):
        drawn, said = curves(metric, split, _runs(label, group, stored))
        notes += said + _left_out(label, group, drawn)
        if drawn is not None:
            lines.append(mean_with_interval(drawn, label, len(lines)))
            measured.append(drawn)
    if not lines:
        return None, notes
    shared = {f"{word} {getattr(record, word)}" for word in ("protocol", "budget") for _, record in stored}
    title = ", ".join(sorted(shared, key=lambda word: word[:1] == "b")) if len(shared) == 2 else ""
    heights = limits(metric, measured, ()) if metric.better == "lower" else FREE
    panel = Panel(letter, title, "epoch", axis_name(metric, split), tuple(lines), y_limits=heights, corner=corner)
    return panel, notes


def _columns(stored: Sequence[Stored]) -> dict[str, None]:
    """The names of the metrics in the histories of runs; a history that cannot be read is told where it is drawn."""
    rows: list[Row] = []
    for folder, _ in stored:
        with suppress(GleBenchError):
            rows += folder.read_history()[-1:]
    columns = (name for row in rows for name, value in row.items() if isinstance(value, int | float))
    return dict.fromkeys(name for name in columns if name not in NOT_METRICS)


def _runs(label: str, group: ConfigurationRuns, stored: Iterable[Stored]) -> DrawnRuns:
    """The runs of a configuration that are drawn: those that are done or, where none is, all of them."""
    folders = {record.run_id: folder for folder, record in stored}
    records = group.done or group.records
    return DrawnRuns(label, group, {record.seed: (record, folders[record.run_id]) for record in records}, ())


def _left_out(label: str, group: ConfigurationRuns, drawn: Curves | None) -> list[str]:
    if group.done and group.unfinished:
        return [f"{label}: of {len(group.records)} seeds, {' and '.join(group.unfinished)}: not drawn."]
    if not group.done and drawn is not None:
        return [f"{label}: {' and '.join(group.unfinished)}; drawn up to the last evaluation that all of them have."]
    return []


def mean_with_interval(drawn: Curves, label: str, color: int) -> Line:
    """The mean over seeds as a line, with its 95 % interval as a band; the last evaluation stands in the label."""
    seeds, last = len(drawn.seeds), drawn.values[:, -1]
    final = Sample(float(last.mean()), float(last.std(ddof=1)) if seeds > 1 else None, seeds)
    text = f"{label}: {sample_text(final, DECIMALS)} ({seeds})"
    if seeds < 2:
        return line(drawn.epochs, drawn.mean, "mean", text, color)
    unit = welch.mean(Sample(0.0, 1.0, seeds)).interval(ALPHA)[1]  # half the interval for a standard deviation of 1
    half = unit * np.minimum(drawn.values.std(0, ddof=1), inf)
    return line(drawn.epochs, drawn.mean, "mean", text, color, half)
