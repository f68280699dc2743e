"""A figure as plain data, before anything is drawn: what a drawing shows, and what `glebench figure --json` prints."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from gle_bench.tracking.store import Skipped

Look = Literal["seed", "mean", "target", "output", "reference", "dots"]
Limits = tuple[float | None, float | None]

SEEDS: Final = 6  # the colour of single runs behind their mean: grey
FREE: Final[Limits] = (None, None)


@dataclass(frozen=True)
class Line:
    """Points that are joined, or dots.

    Attributes:
        x, y: of equal length; None in `y` where there is no finite number.
        look: what it stands for, which decides how it is drawn.
        label: for the legend; empty: not in it.
        color: a number that lines and levels of one method share.
        spread: half width of the band around `y`; empty: no band.
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
    """A horizontal line with its label, such as a published number."""

    y: float
    label: str
    color: int = 0


@dataclass(frozen=True)
class Bar:
    """A number as a bar over its name.

    Attributes:
        label: beneath it; text: its number in words, at its end.
        spread: half length of its whisker; None: no whisker.
        published: hatched, beside ours.
    """

    y: float
    label: str
    text: str
    color: int = 0
    spread: float | None = None
    published: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        letter: its place in the figure's layout, and in its corner.
        bars: side by side, in a panel without lines.
        x_limits, y_limits: None: as the lines have it.
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


@dataclass(frozen=True)
class Plot:
    """A whole figure.

    Attributes:
        layout: rows of letters; in its row, a panel is as wide as its letter is often there.
        size: of the panels, in inches: width and height.
        notes: sentences beneath: marks, what is missing, sources.
    """

    title: str
    panels: tuple[Panel, ...]
    layout: tuple[str, ...]
    size: tuple[float, float]
    notes: tuple[str, ...] = ()


class Built(NamedTuple):
    """A figure, and the records that were passed over on the way."""

    plot: Plot
    skipped: Sequence[Skipped]


def line(
    x: Iterable[float], y: Iterable[float], look: Look, label: str = "", color: int = 0, spread: Iterable[float] = ()
) -> Line:
    """A line of numbers as they come, finite or not."""
    return Line(tuple(map(float, x)), _finite(y), look, label, color, _finite(spread))


def _finite(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in values)
