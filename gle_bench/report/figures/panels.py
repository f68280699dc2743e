"""Drawing a figure into a file with matplotlib, without a window, without global state, and without dates."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from gle_bench.errors import UsageError
from gle_bench.files.disk import write_atomically
from gle_bench.report.figures.plot import Bar, Heat, Level, Line, Look, Panel, Plot

if TYPE_CHECKING:  # matplotlib costs a second, and only drawing needs it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#666666",
    "#7b3f9e",
    "#b2182b",
    "#8c510a",
)  # also with colour blindness
LOOKS: Final[Mapping[Look, Mapping[str, Any]]] = {
    "seed": {"linewidth": 0.6, "alpha": 0.3},
    "mean": {"linewidth": 1.8, "zorder": 4},
    "averaged": {"linewidth": 1.4, "linestyle": "-.", "zorder": 4},
    "target": {"linewidth": 0.7, "linestyle": "--", "color": "black", "zorder": 5},
    "output": {"linewidth": 1.5, "zorder": 4},
    "reference": {"linewidth": 1.2, "linestyle": (0, (1, 1.2)), "zorder": 5},
    "exact": {"linewidth": 1.5, "zorder": 3},
    "inverse": {"linewidth": 1.5, "linestyle": (0, (4, 2)), "zorder": 4},
    "approximate": {"linewidth": 1.0, "linestyle": "--", "zorder": 2},
    "adjoint": {"linewidth": 1.5, "linestyle": ":", "color": "black", "zorder": 5},
    "dots": {"linestyle": "none", "marker": "o", "markersize": 3.2, "zorder": 6},
    "points": {"linewidth": 1.2, "marker": "o", "markersize": 3.6, "zorder": 4},
}
STYLE: Final[Any] = {  # Any, because matplotlib has a type for the keys from 3.11 on
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters are written as text, not as paths
    "svg.hashsalt": "glebench",  # by which markers have the same names every time
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a name between two dollars is no formula
}
# The kinds of files, and the metadata that leave out their dates
UNDATED: Final[Mapping[str, Mapping[str, None]]] = {"pdf": {"CreationDate": None}, "png": {}, "svg": {"Date": None}}
BAR: Final = 0.75  # the width of a bar, as a share of the distance between two bars
LABELS: Final = 0.055  # the smallest distance between the labels of two levels, as a share of the axis
DARKER: Final = 0.6  # the brightness of a reference line, which lies on our mean of the same colour
SMALL: Final = 6.5  # the font size of the labels of levels and of notes, in points
TITLE: Final = 0.3  # the height of the title, in inches
LINE: Final = 0.14  # the height of a line of notes, in inches
CHARACTERS: Final = 19.0  # of notes in an inch
DOTS_AN_INCH: Final = 200
PLACES: Final = 6  # decimals to which positions in a figure are rounded; a dot is far larger


def kind_of(path: Path, option: str = "--out") -> str:
    """The kind of a file ('pdf', 'png' or 'svg'), by the end of its name.

    Raises:
        UsageError: a figure cannot be drawn into a file of that name.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in UNDATED:
        raise UsageError(f"{option} {path}: end it in .{', .'.join(UNDATED)}.")
    return kind


def save(plot: Plot, path: Path) -> None:
    """Draws a figure into a file, which is written completely or not at all; the end of its name decides its kind.

    Raises:
        UsageError: a figure cannot be drawn into a file of that name. GleBenchError: the file cannot be written.
    """
    from matplotlib import style

    kind = kind_of(path)
    with style.context(["default", STYLE]):  # while the file is written, too, when some of the style is looked up
        drawn = figure(plot)
        write_atomically(
            path, lambda file: drawn.savefig(file, format=kind, dpi=DOTS_AN_INCH, metadata={**UNDATED[kind]})
        )


def figure(plot: Plot) -> "Figure":
    """A figure for matplotlib in our own style, whatever the user's settings are."""
    from matplotlib import style

    with style.context(["default", STYLE]):
        drawn = draw(plot)
        _settle_layout(drawn)
    return drawn


def draw(plot: Plot) -> "Figure":
    """A figure for matplotlib: title, rows of panels and notes, each in a strip of its own height.

    Rows that follow each other and have panels of the same widths share a strip, in which their axes are aligned.
    """
    from gle_bench.report.figures.shown import ShownFigure

    width, height = plot.size
    notes = "\n".join(fill(note, int(width * CHARACTERS)) for note in plot.notes)
    rows = [list(alike) for _, alike in groupby(plot.layout, _shares)]  # whose axes stand exactly below each other
    shares = [height * len(alike) / len(plot.layout) for alike in rows]
    heights = [TITLE, *shares, LINE * (1 + len(notes.splitlines()))]
    figure = ShownFigure(figsize=(width, sum(heights)), dpi=DOTS_AN_INCH, layout="constrained")
    title, *strips, below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    title.text(0.5, 0.4, plot.title, fontsize=10, fontweight="bold", ha="center", va="center")
    below.text(0.01, 1.0, notes, fontsize=SMALL, color="#333333", va="top")
    panels = {panel.letter: panel for panel in plot.panels}
    for strip, alike in zip(strips, rows, strict=True):
        mosaic = [list(dict.fromkeys(letters)) for letters in alike]
        for letter, axes in strip.subplot_mosaic(mosaic, width_ratios=_shares(alike[0])).items():
            draw_panel(axes, panels[letter])
    return figure


def _shares(letters: str) -> list[int]:
    """The widths of the panels in a row of the layout."""
    return [letters.count(letter) for letter in dict.fromkeys(letters)]


def _settle_layout(figure: "Figure") -> None:
    """Rounds and fixes the positions of all axes: the last bits of the layout's solver are not reproducible."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(tuple(round(bound, PLACES) for bound in axes.get_position().bounds))


def draw_panel(axes: "Axes", panel: Panel) -> None:
    """Draws all that a panel holds into a pair of axes."""
    axes.set(xscale=panel.x_scale, yscale=panel.y_scale)  # first, because a new scale forgets the names of bars
    for each in panel.lines:
        draw_line(axes, each)
    draw_bars(axes, panel.bars)
    if panel.heat is not None:
        draw_heat(axes, panel.heat)
    for region in panel.regions:
        axes.axvspan(region.low, region.high, color=_shade(region.color), alpha=0.15, linewidth=0, label=region.label)
    axes.set_title(panel.title)
    corner = panel.letter if panel.corner is None else panel.corner
    axes.set_title(corner, loc="left", fontweight="bold", fontsize=10)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":  # whose own labels are formulas
            axis.set_major_formatter("{x:g}")
            axis.minorticks_off()
    axes.margins(x=0.06 if panel.x_ticks else 0.01)
    if panel.x_ticks:
        axes.set_xticks([place for place, _ in panel.x_ticks], [text for _, text in panel.x_ticks])
    axes.set_xlim(*panel.x_limits)
    axes.set_ylim(*panel.y_limits)
    draw_levels(axes, panel.levels)
    if panel.regions or any(each.label for each in panel.lines):
        axes.legend(loc="best")


def draw_line(axes: "Axes", drawn: Line) -> None:
    """Draws a line, and its band if it has one."""
    color = _shade(drawn.color, DARKER if drawn.look == "reference" else 1.0)
    y = _numbers(drawn.y)
    axes.plot(drawn.x, y, label=drawn.label or None, **{"color": color, **LOOKS[drawn.look]})
    if drawn.spread and drawn.look in ("dots", "points"):
        whiskers: Any = {"fmt": "none", "ecolor": color, "elinewidth": 1.0, "capsize": 2.5}
        axes.errorbar(drawn.x, y, _numbers(drawn.spread), **whiskers)
    elif drawn.spread:
        half = _numbers(drawn.spread)
        low, high = ([a + sign * b for a, b in zip(y, half, strict=True)] for sign in (-1, 1))
        axes.fill_between(drawn.x, low, high, color=color, alpha=0.15, linewidth=0)


def draw_bars(axes: "Axes", bars: Sequence[Bar]) -> None:
    """Draws bars side by side, each with its whisker, its number and its name; published bars are hatched."""
    for place, bar in enumerate(bars):
        color = _shade(bar.color)
        look = {"facecolor": "white", "edgecolor": color, "hatch": "////"} if bar.published else {"color": color}
        axes.bar(place, bar.y, width=BAR, yerr=bar.spread, ecolor="black", capsize=2, **look)
        above = (place, bar.y + (bar.spread or 0.0))
        axes.annotate(bar.text, above, (0, 2), textcoords="offset points", ha="center", fontsize=SMALL)
    if bars:
        axes.set_xticks(range(len(bars)), [bar.label for bar in bars], fontsize=SMALL)
        axes.tick_params("x", length=0)


def draw_heat(axes: "Axes", heat: Heat) -> None:
    """Draws a heat map with its colour bar; the text of a cell is dark on bright colours."""
    import numpy as np

    values = np.array([_numbers(row) for row in heat.values])
    colors = "viridis" if heat.better == "higher" else "viridis_r"
    low, high = heat.ends
    image = axes.imshow(values, cmap=colors, vmin=low, vmax=high, origin="lower", aspect="auto")
    for row, texts in enumerate(heat.texts):
        for column, text in enumerate(texts):
            red, green, blue, _ = image.cmap(image.norm(values[row, column]))
            bright = np.isnan(values[row, column]) or 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
            color = "black" if bright else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=color)
    axes.set_xticks(range(len(heat.columns)), list(heat.columns))
    axes.set_yticks(range(len(heat.rows)), list(heat.rows))
    axes.tick_params(length=0)
    bar = axes.figure.colorbar(image, ax=axes, label=heat.color_label)
    bar.outline.set_visible(False)


def draw_levels(axes: "Axes", levels: Sequence[Level]) -> None:
    """Draws dashed lines across the axes; their labels stand beyond the right end, where no two may touch."""
    bottom, top = axes.get_ylim()
    ordered = sorted(levels, key=lambda level: level.y)
    heights = apart([(level.y - bottom) / (top - bottom) for level in ordered], LABELS)
    for level, height in zip(ordered, heights, strict=True):
        color = _shade(level.color)
        axes.axhline(level.y, color=color, linewidth=0.8, linestyle=(0, (6, 2)), alpha=0.9)
        if not level.label:
            continue
        axes.annotate(
            level.label,
            xy=(1.0, level.y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=SMALL,
            color=color,
            annotation_clip=False,
            arrowprops={
                **{"arrowstyle": "-", "color": color, "linewidth": 0.5},
                **{"shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
            },
        )


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Heights in rising order, moved as little as needed to be at least `gap` apart.

    Heights that are too close form a crowd, which is spread around its middle.
    """
    crowds: list[tuple[float, int]] = []  # (middle, number of heights)
    for height in heights:
        middle, size = height, 1
        while crowds and middle - crowds[-1][0] < gap * (size + crowds[-1][1]) / 2:
            other, count = crowds.pop()
            middle, size = (middle * size + other * count) / (size + count), size + count
        crowds.append((middle, size))
    return [middle + gap * (place - (size - 1) / 2) for middle, size in crowds for place in range(size)]


def _shade(color: int, brightness: float = 1.0) -> tuple[float, ...]:
    """Red, green and blue of a colour's number."""
    from matplotlib.colors import to_rgb

    return tuple(brightness * part for part in to_rgb(COLORS[color % len(COLORS)]))


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
