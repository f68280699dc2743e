"""`glebench plot`: learning curves of any runs, or a metric against settings, in a file or as text for a terminal."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from gle_bench import registry
from gle_bench.errors import UsageError
from gle_bench.report import grid as grids
from gle_bench.report.figures.plot import Plot
from gle_bench.report.grid import Grid
from gle_bench.report.results import grouped, pairs_of
from gle_bench.report.selection import ALL, Filter, Stored, select
from gle_bench.tracking.store import Skipped
from gle_bench.words import Selection

WIDEST: Final = 120  # columns of text


class Wanted(NamedTuple):
    """What a plot shall show.

    Attributes:
        x: the settings against which the metric is shown, at most two; none: the metric over training.
        metric: the name of a metric; None: the task's own.
        split: the split of the scores; None: the one that is watched while training.
        selection: the evaluation whose score counts, where settings are shown.
    """

    x: tuple[str, ...] = ()
    metric: str | None = None
    split: str | None = None
    selection: Selection = "last"


class Made(NamedTuple):
    """A plot as plain data, its text for a terminal, and the records that could not be read."""

    shown: dict[str, Any]
    text: str
    skipped: Sequence[Skipped]


def make(names: Sequence[str], runs: Path, wanted: Wanted, to: Path | None = None, which: Filter = ALL) -> Made:
    """Makes a plot of the runs of these names that fulfil the conditions, and draws it into the file `to`, if given.

    Without a file, the text shows the plot itself.

    Raises:
        UsageError: a file of another kind; settings, metrics or names that the runs do not have; more lines than can be
            told apart. GleBenchError: there are no such runs; the file cannot be written.
    """
    if to is not None:
        from gle_bench.report.figures.panels import kind_of

        kind_of(to, "--to")  # a wrong name is refused before anything is read
    selected, skipped = select(names, runs, which)
    if wanted.x:
        return Made(*_against_settings(_grid(selected, wanted), to), skipped)
    from gle_bench.report.figures.panels import save
    from gle_bench.report.terminal import plot as text

    plot = built(selected, wanted)
    if to is None:
        width = min(WIDEST, shutil.get_terminal_size().columns)
        return Made(asdict(plot), text.as_text(plot, width), skipped)
    save(plot, to)
    return Made(asdict(plot), "\n".join([str(to), *plot.notes]), skipped)


def built(selected: Sequence[Stored], wanted: Wanted) -> Plot:
    """The plot of selected runs as plain data, ready to be drawn.

    Raises:
        As `make`.
    """
    from gle_bench.report.figures import learning, response

    return (
        response.build(_grid(selected, wanted)) if wanted.x else learning.build(selected, wanted.metric, wanted.split)
    )


def _against_settings(grid: Grid, to: Path | None) -> tuple[dict[str, Any], str]:
    """A grid as plain data and as text, drawn into a file if there is one."""
    from gle_bench.report.terminal import grid as text

    if to is None:
        return grids.as_json(grid), text.as_text(grid)
    return grids.as_json(grid), "\n".join([str(to), *draw(grid, to)])


def draw(grid: Grid, to: Path) -> Sequence[str]:
    """Draws a grid over one setting or two into a file, and returns the sentences below the figure."""
    from gle_bench.report.figures import response
    from gle_bench.report.figures.panels import save

    plot = response.build(grid)
    save(plot, to)
    return plot.notes


def _grid(selected: Sequence[Stored], wanted: Wanted) -> Grid:
    if len(wanted.x) > 2:
        raise UsageError(f"--x is given {len(wanted.x)} times; a plot shows one setting or two.")
    tasks = dict.fromkeys(record.task for _, record in selected)
    if len(tasks) > 1:
        raise UsageError(f"--x shows runs of one task, not of {', '.join(tasks)}; name one of them.")
    task = registry.task(next(iter(tasks)))
    groups = grouped(task, [record for _, record in selected], pairs_of(task))
    names = dict.fromkeys(
        name
        for _, record in selected
        for splits in record.metrics.values()
        for values in splits.values()
        for name in values
    )
    metric = grids.metric(task, wanted.metric, names)
    return grids.of_runs(task, groups, wanted.x, metric, wanted.split, wanted.selection)
