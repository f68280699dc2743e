"""A metric against one setting, as a curve with intervals over seeds, or against two, as a heat map."""

from collections.abc import Iterator, Sequence
from math import floor, isfinite, log, log10
from typing import Any, Final

from gle_bench.errors import UsageError
from gle_bench.report.figures.curves import CAPITALS, axis_name
from gle_bench.report.figures.plot import FREE, Heat, Line, Panel, Plot, Scale, line
from gle_bench.report.grid import Grid, Point, is_number
from gle_bench.report.settings import value_text
from gle_bench.report.statistics.welch import Sample

SIZE: Final = (5.6, 3.6)  # inches, of a curve
CELL: Final = (0.85, 0.42)  # inches, of a cell of a heat map
AROUND: Final = (2.2, 1.0)  # inches around the cells of a heat map
LOG_FROM: Final = 8.0  # ratio of the largest to the smallest value of an axis of numbers that is logarithmic
TICKS: Final = 0.09  # the smallest distance between two values that are written below an axis, as a share of it
MOST_SERIES: Final = 9  # lines or maps in a figure, as many as there are colours
LOWEST: Final = 2.0  # inches, the height of a heat map, so that the label of its colours fits
MOST_DECIMALS: Final = 6
IN_CELLS: Final = "In each cell: the mean over seeds, its 95 % interval, and the number of seeds."


def build(grid: Grid) -> Plot:
    """The figure of a grid over one setting or two.

    Raises:
        UsageError: a grid over more settings, or of more series than there are colours.
    """
    if len(grid.axes) not in (1, 2):
        raise UsageError(f"A figure shows one setting or two, not {len(grid.axes)} ({', '.join(grid.axes)}).")
    if len(grid.series) > MOST_SERIES:
        raise UsageError(
            f"{len(grid.series)} configurations beside {', '.join(grid.axes)} are too many for one figure, which shows "
            f"{MOST_SERIES}; choose some, say by --model, --rule, --protocol or --budget."
        )
    name = CAPITALS.get(grid.metric.name, grid.metric.name)
    title = f"{grid.task}: {name} against {' and '.join(grid.axes)}"
    if len(grid.axes) == 1:
        return Plot(title, (_curves(grid),), ("a",), SIZE, (_marks(grid), *_absent(grid), *grid.notes))
    panels = tuple(_map(grid, series, chr(ord("a") + place)) for place, series in enumerate(grid.series))
    width = CELL[0] * len(grid.values(0)) + AROUND[0]
    height = max(LOWEST, CELL[1] * len(grid.values(1)) + AROUND[1])
    return Plot(
        title, panels, tuple(each.letter for each in panels), (width, height * len(panels)), (IN_CELLS, *grid.notes)
    )


def _marks(grid: Grid) -> str:
    single = any(len(point.scores) == 1 for point in grid.points)
    several = any(len(point.scores) > 1 for point in grid.points)
    text = "Points: means over seeds, with their 95 % intervals (Student's t)." if several else "Points: single seeds."
    return f"{text} A point without whiskers is a single seed." if single and several else text


def _absent(grid: Grid) -> list[str]:
    """A sentence on the points that have no score, and are not drawn."""
    missing = [
        f"{f'{point.series} at ' if len(grid.series) > 1 else ''}{value_text(point.at[0])} "
        f"({' and '.join(point.unfinished) or 'not run'})"
        for point in grid.points
        if not point.scores
    ]
    return [f"Without a score: {'; '.join(missing)}."] if missing else []


def _curves(grid: Grid) -> Panel:
    values = grid.values(0)
    numbers = all(map(is_number, values))
    places = {value_text(value): float(value) if numbers else float(k) for k, value in enumerate(values)}
    lines = [_curve(grid, series, places, color, numbers) for color, series in enumerate(grid.series)]
    ticks = tuple((places[value_text(value)], value_text(value)) for value in values)
    scale = _scale(values) if numbers else "linear"
    return Panel(
        letter="a",
        title=_title(grid, *grid.series[:1]) if len(grid.series) == 1 else _title(grid),
        x_label=grid.axes[0],
        y_label=axis_name(grid.metric, grid.split),
        lines=tuple(lines),
        x_scale=scale,
        x_ticks=_apart(ticks, scale) if numbers else ticks,
        corner="",
    )


def _title(grid: Grid, *series: str) -> str:
    return ", ".join(filter(None, [*series, f"{grid.selection} evaluation"]))


def _scale(values: Sequence[Any]) -> Scale:
    return "log" if min(values) > 0 and max(values) / min(values) >= LOG_FROM else "linear"


def _apart(ticks: Sequence[tuple[float, str]], scale: Scale) -> tuple[tuple[float, str], ...]:
    """The ticks without those that would stand too close to the one before."""
    places = [log(place) if scale == "log" else place for place, _ in ticks]
    kept: list[int] = []
    for number, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= TICKS * (places[-1] - places[0]):
            kept.append(number)
    return tuple(ticks[number] for number in kept)


def _curve(grid: Grid, series: str, places: dict[str, float], color: int, numbers: bool) -> Line:
    points = sorted(_of(grid, series), key=lambda point: places[value_text(point.at[0])])
    scored = [(point, ours) for point in points if (ours := point.sample) is not None]
    x = [places[value_text(point.at[0])] for point, _ in scored]
    halves = [_half(point, ours) for point, ours in scored]
    spread = halves if any(map(isfinite, halves)) else ()
    label = series if len(grid.series) > 1 else ""
    return line(x, [ours.mean for _, ours in scored], "points" if numbers else "dots", label, color, spread)


def _half(point: Point, ours: Sample) -> float:
    """Half the width of the interval; not a number where there is none."""
    return float("nan") if point.interval is None else point.interval[1] - ours.mean


def _map(grid: Grid, series: str, letter: str) -> Panel:
    columns, rows = grid.values(0), grid.values(1)
    cells = {tuple(map(value_text, point.at)): point for point in _of(grid, series)}
    means = [ours.mean for point in grid.points if (ours := point.sample) is not None]
    table = [[cells.get((value_text(column), value_text(row))) for column in columns] for row in rows]
    heat = Heat(
        columns=tuple(map(value_text, columns)),
        rows=tuple(map(value_text, rows)),
        values=tuple(tuple(_mean(point) for point in row) for row in table),
        texts=tuple(tuple(cell_text(point) for point in row) for row in table),
        color_label=axis_name(grid.metric, grid.split),
        ends=(min(means), max(means)) if means else FREE,
        better=grid.metric.better,
    )
    corner = letter if len(grid.series) > 1 else ""
    return Panel(letter, _title(grid, series), grid.axes[0], grid.axes[1], (), corner=corner, heat=heat)


def _mean(point: Point | None) -> float | None:
    return None if point is None or (ours := point.sample) is None else ours.mean


def cell_text(point: Point | None) -> str:
    """The mean in a cell, half its interval and the number of seeds; where none is done, what became of them."""
    if point is None:
        return ""
    ours, interval = point.sample, point.interval
    if ours is None:
        return "\n".join(point.unfinished) or "not run"
    half = 0.0 if interval is None else interval[1] - ours.mean
    if not half:
        return f"{ours.mean:.4g}\n({ours.n})"
    decimals = min(MOST_DECIMALS, max(0, 1 - floor(log10(half))))
    return f"{ours.mean:.{decimals}f}±{half:.{decimals}f}\n({ours.n})"


def _of(grid: Grid, series: str) -> Iterator[Point]:
    return (point for point in grid.points if point.series == series)
