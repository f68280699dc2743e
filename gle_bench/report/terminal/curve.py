"""Lines over an axis in plain characters, for a terminal: the end of a run, and `glebench plot`.

Written here because the libraries for it (plotext, uniplot) are larger than these functions, keep one figure for the
whole process or need a terminal's own characters, while what is printed may go to a file as well.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from string import ascii_lowercase
from typing import Final

Points = Sequence[tuple[float, float | None]]  # (x, y) in rising order of x; None stands for a gap

FINE: Final = ".-'"  # a lone line in the lower, the middle or the upper third of a character
BEYOND: Final = "^", "v"  # what lies above or below the axis
ROUNDING: Final = 1e-9  # share of the axis by which a mean may lie beyond its ends by rounding
LEAST: Final = 4  # columns of the smallest field that is drawn


def curve(values: Sequence[float], width: int = 60, height: int = 8) -> list[str]:
    """A line through values at equal distances, as `height` lines of text of at most `width` columns.

    Numbers that are not finite are gaps. Without a finite number there are no lines.
    """
    return chart([[*enumerate(values)]], width, height)


def chart(
    lines: Sequence[Points],
    width: int = 60,
    height: int = 8,
    limits: tuple[float | None, float | None] = (None, None),
    x_axis: bool = False,
) -> list[str]:
    """Lines through points over one axis, as `height` lines of text of at most `width` columns.

    A lone line is drawn with three characters that tell thirds of a row apart, several with the letters a, b, c, ...
    Where several points fall into one column, their mean is drawn. A point beyond the limits is drawn as ^ or v.

    Args:
        limits: the ends of the vertical axis; None: an end that follows from the points.
        x_axis: whether two lines more tell the ends of the horizontal axis.
    """
    finite = [[(x, _finite(y)) for x, y in points] for points in lines]
    ys = [y for points in finite for _, y in points if y is not None]
    if not ys or height < 1:
        return []
    low, high = (min(ys) if limits[0] is None else limits[0]), (max(ys) if limits[1] is None else limits[1])
    names = [f"{value:.4g}" for value in (high, low)]
    margin = max(map(len, names))
    columns = max(LEAST, width - margin - 2)
    xs = [x for points in finite for x, y in points if y is not None]
    field = [[" "] * columns for _ in range(height)]
    for number, points in enumerate(finite):
        letter = None if len(finite) == 1 else ascii_lowercase[number % 26]
        for column, y in _heights(points, min(xs), max(xs), columns):
            row, character = _place(y, low, high, height)
            field[row][column] = character if letter is None or character in BEYOND else letter
    names = [*names[:1], *[""] * (height - 2), *names[1:]][:height]
    drawn = [f"{name:>{margin}} |{''.join(row)}".rstrip() for name, row in zip(names, field, strict=True)]
    return drawn + (_x_axis(min(xs), max(xs), margin, columns) if x_axis else [])


def span(low: float, middle: float, high: float, ends: tuple[float, float], width: int = 30) -> str:
    """An interval and its middle on an axis with these ends, as '  |---*---| '; without a width, the middle alone."""
    size = ends[1] - ends[0]
    places = [round((width - 1) * (value - ends[0]) / size) if size else width // 2 for value in (low, middle, high)]
    first, centre, last = (min(width - 1, max(0, place)) for place in places)
    text = [" "] * width
    if high > low:
        text[first : last + 1] = "|" + "-" * (last - first - 1) + "|" if last > first else "|"
    text[centre] = "*"
    return "".join(text)


def _finite(y: float | None) -> float | None:
    return y if y is not None and math.isfinite(y) else None


def _heights(points: Points, first: float, last: float, columns: int) -> Iterator[tuple[int, float]]:
    """The height of a line in each column that it passes, (column, y); between two points it is straight."""
    size = last - first
    placed: dict[int, list[float]] = {}

    def column(x: float) -> int:
        return round((columns - 1) * ((x - first) / size)) if size else 0

    for x, y in points:
        if y is not None:
            placed.setdefault(column(x), []).append(y)
    for (x, y), (after, its_y) in pairwise(points):
        if y is not None and its_y is not None:
            one, other = column(x), column(after)
            for between in range(one + 1, other):
                share = (between - one) / (other - one)
                placed.setdefault(between, []).append((1 - share) * y + share * its_y)
    yield from ((place, sum(y / len(ys) for y in ys)) for place, ys in sorted(placed.items()))


def _place(y: float, low: float, high: float, height: int) -> tuple[int, str]:
    """The row of a height, from the top, and its character."""
    size = high - low
    if not size > 0 or not math.isfinite(size):
        return height // 2, FINE[1]
    third = round((3 * height - 1) * ((y - low) / size)) if math.isfinite(y) else 0
    if y > high + ROUNDING * size:
        return 0, BEYOND[0]
    if y < low - ROUNDING * size:
        return height - 1, BEYOND[1]
    third = min(3 * height - 1, max(0, third))
    return height - 1 - third // 3, FINE[third % 3]


def _x_axis(first: float, last: float, margin: int, columns: int) -> list[str]:
    """The horizontal axis, and its ends below it."""
    left, right = f"{first:.4g}", f"{last:.4g}"
    gap = max(1, columns - len(left) - len(right))
    return [f"{'':{margin}} +{'-' * columns}", f"{'':{margin}}  {left}{' ' * gap}{right}"]
