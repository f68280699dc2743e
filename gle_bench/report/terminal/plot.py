"""A figure's lines in plain characters, for a terminal without pictures."""

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Final

from gle_bench.errors import on_one_line
from gle_bench.report.figures.learning import BAND
from gle_bench.report.figures.plot import Panel, Plot
from gle_bench.report.terminal.curve import chart

WIDTH: Final = 100  # columns
HEIGHT: Final = 16  # lines of a panel
IN_FILES: Final = "Lines: means over seeds; a file (--to FILE.pdf) also has their 95 % intervals."


def as_text(plot: Plot, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The panels of a figure below each other, each with a legend, and then the notes. Bands are not drawn."""
    blocks = [_panel(panel, width, height) for panel in plot.panels]
    return "\n\n".join(["\n".join([plot.title, *blocks[:1]]), *blocks[1:], "\n".join(_notes(plot.notes))])


def _panel(panel: Panel, width: int, height: int) -> str:
    points = [[*zip(line.x, line.y, strict=True)] for line in panel.lines]
    drawn = chart(points, width, height, panel.y_limits, x_axis=True)
    several = len(panel.lines) > 1
    legend = [
        f"  {f'{ascii_lowercase[number % 26]}  ' if several else ''}{on_one_line(line.label)}"
        for number, line in enumerate(panel.lines)
    ]
    head = ", ".join(filter(None, [panel.y_label, panel.title]))
    return "\n".join([f"{head}; below: {panel.x_label}", *drawn, *legend])


def _notes(notes: Sequence[str]) -> list[str]:
    """The notes; in the place of that on bands, the sentence where they are."""
    return [IN_FILES if note == BAND else on_one_line(note) for note in notes]
