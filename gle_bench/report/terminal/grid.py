"""The table of a grid of settings for a terminal: a line for each configuration, with its interval drawn beside it."""

from collections.abc import Sequence
from typing import Final

from gle_bench.errors import on_one_line
from gle_bench.report.grid import INTERVAL, Grid, Point
from gle_bench.report.settings import value_text
from gle_bench.report.terminal.curve import span
from gle_bench.report.terminal.listing import aligned

WIDTH: Final = 30  # columns of the drawn intervals


def as_text(grid: Grid) -> str:
    """The table of a grid, the best of its points, and its notes."""
    several = len(grid.series) > 1
    unit = f" ({grid.metric.unit})" if grid.metric.unit else ""
    ends = _ends(grid.points)
    header = [*(["CONFIGURATION"] if several else []), *(axis.upper() for axis in grid.axes)]
    numbers = len(header)
    lines = [[*header, "SEEDS", f"{grid.metric.name.upper()}{unit}", "SD", "95 % INTERVAL", "", ""]]
    order = {series: place for place, series in enumerate(grid.series)}
    ranks = [{value_text(value): place for place, value in enumerate(grid.values(k))} for k in range(len(grid.axes))]
    points = sorted(
        grid.points,
        key=lambda p: (order[p.series], *(rank[value_text(v)] for rank, v in zip(ranks, p.at, strict=True))),
    )
    for point in points:
        named = [*([point.series] if several else []), *map(value_text, point.at)]
        lines.append([*map(on_one_line, named), *_cells(point, ends)])
    table = aligned(lines, right=(numbers, numbers + 1, numbers + 2))
    return "\n".join([table, *_closing(grid)])


def _cells(point: Point, ends: tuple[float, float]) -> list[str]:
    ours, interval, left = point.sample, point.interval, ", ".join(point.unfinished)
    if ours is None:
        return ["0", "-", "", "", "", left or "not run"]
    low, high = interval or (ours.mean, ours.mean)
    between = "" if interval is None else f"[{low:.4g}, {high:.4g}]"
    spread = "" if ours.sd is None else f"{ours.sd:.2g}"
    return [str(ours.n), f"{ours.mean:.4g}", spread, between, span(low, ours.mean, high, ends, WIDTH), left]


def _ends(points: Sequence[Point]) -> tuple[float, float]:
    """The ends of the axis on which intervals are drawn: those of all means and intervals."""
    scored = [(point.interval or (ours.mean, ours.mean)) for point in points if (ours := point.sample) is not None]
    return (min(low for low, _ in scored), max(high for _, high in scored)) if scored else (0.0, 0.0)


def _closing(grid: Grid) -> list[str]:
    """Sentences below the table: the best point, what intervals are, and the notes."""
    best = grid.best
    sentences = []
    if best is not None and (ours := best.sample) is not None and len(grid.points) > 1:
        where = ", ".join(f"{axis}={value_text(value)}" for axis, value in zip(grid.axes, best.at, strict=True))
        which = f"{best.series}, {where}" if len(grid.series) > 1 else where
        tie = "" if best.interval is None else "; means whose intervals overlap may differ by chance"
        value = f"{ours.mean:.4g}{f' {grid.metric.unit}' if grid.metric.unit else ''}"
        sentences.append(
            f"Best mean: {value} at {on_one_line(which)} ({grid.selection} evaluation, {grid.split} split){tie}."
        )
    if any(len(point.scores) > 1 for point in grid.points):
        sentences.append(INTERVAL)
    elif grid.points:
        sentences.append("One seed each: a difference may be one of seeds; --seeds takes several, as 1-5.")
    return [*sentences, *grid.notes]
