"""A figure as plain data: what is drawn, and what `glebench figure --json` prints."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gle_bench.tracking.store import Skipped
from gle_bench.words import Direction

if TYPE_CHECKING:
    from torch import Tensor

Look = Literal[
    "seed",
    "mean",
    "averaged",
    "target",
    "output",
    "reference",
    "dots",
    "points",
    "exact",
    "inverse",
    "approximate",
    "adjoint",
]
Scale = Literal["linear", "log"]
Limits = tuple[float | None, float | None]

SEEDS: Final = 6  # the colour of the lines of single seeds: grey
FREE: Final[Limits] = (None, None)  # both ends of an axis follow from the lines


@dataclass(frozen=True)
class Line:
    """A line through points, or dots at the points.

    Attributes:
        x, y: the points, of equal length; None stands in `y` for a number that is not finite.
        look: what the line stands for, which decides how it is drawn.
        label: its text in the legend; without one it is not in the legend.
        color: a number that lines, levels and bars of one model share.
        spread: half the width of the band around `y`, or of the whiskers of dots and points; empty: none.
    """

    x: tuple[float, ...]
    y: tuple[float | None, ...]
    look: Look
    label: str = ""
    color: int = 0
    spread: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or len(self.spread) not in (0, len(self.y)):
            raise ValueError(f"line '{self.label}': {len(self.x)} x, {len(self.y)} y and {len(self.spread)} of spread")


@dataclass(frozen=True)
class Level:
    """A horizontal line with its label, for a published number."""

    y: float
    label: str
    color: int = 0


@dataclass(frozen=True)
class Region:
    """A shaded part of the horizontal axis, from `low` to `high`, with its text in the legend."""

    low: float
    high: float
    label: str
    color: int = 0


@dataclass(frozen=True)
class Bar:
    """A bar of a bar chart: a number, with its name below the bar.

    Attributes:
        label: the name below the bar.
        text: the number as it is printed above the bar.
        spread: half the length of its whisker; None: no whisker.
        published: whether the number was published; such bars are hatched, and our own are filled.
    """

    y: float
    label: str
    text: str
    color: int = 0
    spread: float | None = None
    published: bool = False


@dataclass(frozen=True)
class Heat:
    """A heat map: a number in each cell of a table, as a colour and as text.

    Attributes:
        columns, rows: the names of the columns, from the left, and of the rows, from the bottom.
        values: the numbers, a tuple a row; None: an empty cell.
        texts: the texts of the cells.
        color_label: what the colours stand for.
        ends: the numbers of the first and the last colour, which maps of one figure share; None: those of the cells.
        better: whether bright colours stand for high or for low numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    color_label: str
    ends: Limits = FREE
    better: Direction = "higher"


@dataclass(frozen=True)
class Panel:
    """One pair of axes with all that is drawn in it.

    Attributes:
        letter: the panel's name in the figure's layout.
        corner: what is printed in its corner; None: the letter.
        bars: bars side by side, in a panel without lines.
        x_limits, y_limits: the ends of an axis; None: an end that follows from the lines.
        regions: shaded parts of the horizontal axis.
        x_ticks: places on the horizontal axis, each with its text; empty: they follow from the lines.
        heat: a heat map, in a panel without lines.
    """

    letter: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    levels: tuple[Level, ...] = ()
    bars: tuple[Bar, ...] = ()
    x_limits: Limits = FREE
    y_limits: Limits = FREE
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    regions: tuple[Region, ...] = ()
    corner: str | None = None
    x_ticks: tuple[tuple[float, str], ...] = ()
    heat: Heat | None = None


@dataclass(frozen=True)
class Plot:
    """A whole figure, before it is drawn.

    Attributes:
        layout: the letters of the panels, a text a row; a letter that stands n times in a row makes its panel n shares
            wide, and a row that stands n times makes its panels n rows high.
        size: width and height of all panels together, in inches.
        notes: sentences below the panels, on marks, on what is missing, and on sources.
    """

    title: str
    panels: tuple[Panel, ...]
    layout: tuple[str, ...]
    size: tuple[float, float]
    notes: tuple[str, ...] = ()


class Built(NamedTuple):
    """A figure, and the records that could not be read for it."""

    plot: Plot
    skipped: Sequence[Skipped]


def line(
    x: Iterable[float], y: Iterable[float], look: Look, label: str = "", color: int = 0, spread: Iterable[float] = ()
) -> Line:
    """A line of a plot. Numbers that are not finite become gaps."""
    return Line(tuple(map(float, x)), _finite(y), look, label, color, _finite(spread))


def response(
    x: Iterable[float], exact: "Tensor", points: Iterable[float], measured: "Tensor", look: Look, label: str, color: int
) -> tuple[list[Line], list[Line]]:
    """The lines of a phase and those of a gain: a complex gain in closed form at x, and as dots what was measured."""
    dots = tuple(points)
    phase, gain = (
        [line(x, values, look, label, color), line(dots, seen, "dots", color=color)]
        for values, seen in ((exact.angle(), measured.angle()), (exact.abs(), measured.abs()))
    )
    return phase, gain


def _finite(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in values)
