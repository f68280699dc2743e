"""Blocks of text for a terminal: fields, tables, lists and headings, laid out by rich."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from gle_bench.surroundings import streams

WIDTH: Final = 120  # columns at most
# The columns of whole numbers, which are aligned to the right
RIGHT: Final = ("parameters", "steps", "samples", "n", "update", "epoch", "a sample", "a time step")
Blocks = Iterable[RenderableType]


def text_of(blocks: Blocks) -> str:
    """The blocks below each other, as text of at most 120 columns, or of a narrower terminal's."""
    file = io.StringIO()
    width = min(WIDTH, streams.columns(WIDTH))
    # No colours: the same in a terminal, a pipe and a test. Brackets and colons are no markup.
    console = Console(
        file=file, width=width, color_system=None, highlight=False, markup=False, emoji=False, force_terminal=False
    )
    console.print(Group(*blocks))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


def heading(text: str) -> str:
    """The heading of a block, below an empty line."""
    return f"\n{text}"


def fields(values: Mapping[str, str]) -> Padding:
    """Names and their values in two columns."""
    grid = Table.grid(padding=(0, 2))
    for name, text in values.items():
        grid.add_row(name, text)
    return indented(grid)


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """A table with a header; columns of whole numbers are aligned to the right."""
    made = Table(box=SIMPLE_HEAD, pad_edge=True, show_edge=False)
    for name in header:
        made.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold")
    for line in lines:
        made.add_row(*line)
    return made


def bullets(sentences: Iterable[str]) -> list[Padding]:
    """Sentences as the entries of a list."""
    return [indented(f"- {sentence}") for sentence in sentences]


def indented(block: RenderableType) -> Padding:
    """A block moved to the right by two columns."""
    return Padding(block, (0, 0, 0, 2))


def number(value: Any) -> str:
    """A number as text, with five digits where it is not whole; empty for None."""
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
