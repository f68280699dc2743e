"""The command `glebench sweep`: the suite that is asked for, and its tables and figures once its runs are there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gle_bench import registry
from gle_bench.errors import UsageError
from gle_bench.report import grid as grids_of
from gle_bench.report.grid import Grid
from gle_bench.report.plots import draw
from gle_bench.report.terminal import grid as text
from gle_bench.suites.command import LOGS
from gle_bench.suites.file import from_file
from gle_bench.suites.matrix import Entry, Suite
from gle_bench.suites.states import Standing
from gle_bench.suites.sweep import GridEntry, grids
from gle_bench.suites.sweep import suite as swept_suite
from gle_bench.suites.values import swept
from gle_bench.surroundings.home import expanded
from gle_bench.words import Budget, Protocol, Selection


class Asked(NamedTuple):
    """What a user asks a sweep to run; a sweep that a file describes has None or nothing everywhere.

    Attributes:
        seeds: as `--seeds` takes them.
        settings: texts 'key=v1,v2'.
    """

    model: str | None
    rule: str | None
    seeds: str | None
    budget: Budget | None
    protocol: Protocol | None
    settings: tuple[str, ...]


def suite_of(what: str, asked: Asked, default: Budget) -> Suite:
    """The suite of a sweep: the one in a TOML file, or the grid of a model's settings on a task.

    Raises:
        UsageError: options beside a file; a file without a sweep; a setting or a value that is refused.
    """
    if what.endswith(".toml"):
        given = next((name for name, value in asked._asdict().items() if value), None)
        if given is not None:
            option = "--set" if given == "settings" else f"--{given}"
            raise UsageError(f"{option} beside {what}: the file says what is run; write it there.")
        suite = from_file(expanded(what))
        if not any(isinstance(entry, GridEntry) for entry in suite.entries):
            raise UsageError(f"{what} has no sweep; give a [[run]] lists of values, as sweep.rate = [1e-3, 2e-3].")
        return suite
    model = asked.model or "gle"
    seeds = asked.seeds or str(registry.pair(what, model).seeds[0])
    entry = Entry(
        task=what,
        model=model,
        rule=asked.rule,
        protocol=asked.protocol or "paper",
        budget=asked.budget or default,
        seeds=seeds,
    )
    return swept_suite(entry, [swept(setting) for setting in asked.settings])


def figures(name: str, grids: Sequence[Grid], runs: Path, to: Path | None) -> dict[int, Path]:
    """The files of the figures, {place of a grid: path}, those of grids over one setting or two that have a score.

    They are `to`, numbered where there are several, or lie in the suite's folder below that of all runs.
    """
    drawable = [place for place, each in enumerate(grids) if len(each.axes) in (1, 2) and each.best is not None]
    first = to or runs / LOGS / name / "figure.png"
    names = [first if number == 0 else first.with_stem(f"{first.stem}-{number + 1}") for number in range(len(drawable))]
    return dict(zip(drawable, names, strict=True))


class Results(NamedTuple):
    """The tables and figures of a sweep, as plain data and as text."""

    content: dict[str, Any]
    text: str


def results(name: str, standings: Sequence[Standing], selection: Selection, runs: Path, to: Path | None) -> Results:
    """Draws the figures of a sweep, and returns them with its tables.

    Raises:
        UsageError: a figure of too many lines. GleBenchError: a figure cannot be written.
    """
    measured = grids(standings, selection)
    files = figures(name, measured, runs, to)
    blocks = []
    for place, grid in enumerate(measured):
        head = f"{grid.task}: {grid.metric.name} by {' and '.join(grid.axes) or 'configuration'}"
        head += f", {grid.series[0]}" if len(grid.series) == 1 else ""
        lines = [head, text.as_text(grid)]
        if place in files:
            draw(grid, files[place])
            lines.append(f"Figure: {files[place]}")
        elif len(grid.axes) > 2:
            lines.append(f"No figure: it shows one setting or two, and {len(grid.axes)} were swept.")
        blocks.append("\n".join(lines))
    content = {
        "grids": [grids_of.as_json(grid) for grid in measured],
        "figures": [str(path) for path in files.values()],
    }
    return Results(content, "\n\n".join(blocks))
