"""A table as plain data: texts in cells, ready to be printed in any format, and numbers with all digits.

Below it are the texts of numbers, as cells have them, and the wrapping of texts.
"""

import math
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gle_bench.contracts import Published
from gle_bench.report.statistics.welch import Sample

if TYPE_CHECKING:
    import pandas as pd

Cells = Mapping[str, str]  # a line of a table, {column: text}

# The columns that are aligned to the left; the others hold numbers, and are aligned to the right
LEFT: Final = ("model", "of", "protocol", "verdict", "parameter", "in the paper", "in glebench")
EMPTY: Final = "Nothing was published, and nothing has been run."
DIGITS: Final = "0123456789"
SUPERSCRIPTS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹"


class Part(NamedTuple):
    """A part of a table: lines with the same columns under a heading, and a remark that explains the columns.

    Attributes:
        left: the columns that are aligned to the left.
    """

    heading: str
    lines: Sequence[Cells]
    remark: str = ""
    left: Collection[str] = LEFT


class Table(NamedTuple):
    """A table of the paper or of a task: its parts for readers, and its content for programs.

    Attributes:
        footnotes: the texts of the footnotes, numbered from 1; cells refer to them by superscript digits.
        commands: the shell commands that would run what was not run.
        content: the whole table as plain data, numbers with all digits, None where nothing is known. Its "rows" are
            the lines of a CSV file.
        columns: the names of the columns of that file.
        empty: what is said where there is no part.
        hints: sentences for a terminal about what was left out, and the options that show it.
    """

    title: str
    caption: str
    parts: Sequence[Part]
    footnotes: Sequence[str] = ()
    commands: Sequence[str] = ()
    content: Mapping[str, Any] = {}
    columns: Sequence[str] = ()
    empty: str = EMPTY
    hints: Sequence[str] = ()

    def to_pandas(self) -> "pd.DataFrame":
        """The lines of the table with all digits; a missing value where nothing is known."""
        import pandas as pd

        return pd.DataFrame(list(self.content.get("rows", ())))

    def __str__(self) -> str:
        from gle_bench.report.terminal.tables import as_text

        return as_text(self, 100)

    def _repr_html_(self) -> str:
        from gle_bench.report.tables.formats import html

        return html(self)


def superscript(number: int) -> str:
    """The number of a footnote in superscript digits, as cells have it."""
    return str(number).translate(str.maketrans(DIGITS, SUPERSCRIPTS))


# Numbers as texts ----------------------------------------------------------------------------------------------------

MOST_DECIMALS: Final = 8
FEWEST_DECIMALS: Final = 2
DECIMALS_WITHOUT_SPREAD: Final = 4


def places(value: float) -> int:
    """The number of digits after the point that a number needs, at least one: 1 for 94.0, as the paper prints it."""
    _, _, fraction = f"{value:.{MOST_DECIMALS}f}".rstrip("0").partition(".")
    return max(1, len(fraction))


def published_text(cell: Published) -> str:
    """A published value with its spread, as '94.0±1.1'; the value alone where the spread is unknown."""
    digits = max(places(value) for value in (cell.value, cell.spread or 0.0))
    return f"{cell.value:.{digits}f}{'' if cell.spread is None else f'±{cell.spread:.{digits}f}'}"


def sample_text(ours: Sample, decimals: int) -> str:
    """A measured mean with its sample standard deviation, as '93.52±0.53'; a single value stands alone."""
    return f"{ours.mean:.{decimals}f}{'' if ours.sd is None else f'±{ours.sd:.{decimals}f}'}"


def decimals(published: Iterable[Published | None], ours: Iterable[Sample | None]) -> int:
    """The number of digits after the point of our results.

    There are as many as published results have, or else as show two digits of a typical spread; but at least two.
    """
    numbers = [number for cell in published if cell for number in (cell.value, cell.spread or 0.0)]
    if numbers:
        return max(FEWEST_DECIMALS, *map(places, numbers))
    spreads = sorted(each.sd for each in ours if each and each.sd)
    if not spreads:
        return DECIMALS_WITHOUT_SPREAD
    return min(MOST_DECIMALS, max(FEWEST_DECIMALS, 1 - math.floor(math.log10(spreads[len(spreads) // 2]))))


def number_text(value: float | None, form: str) -> str:
    """A number in the given format; empty for None."""
    return "" if value is None else format(value, form)


# Texts that are wrapped ----------------------------------------------------------------------------------------------

TOGETHER: Final = re.compile(f"`[^`]*`|\\[[^]]*\\]| (?=[{SUPERSCRIPTS}])")  # command, interval, number of a footnote
KEPT: Final = "\0"  # a blank at which no line ends


@cache
def wrapped(text: str, width: int) -> Sequence[str]:
    """The lines of a text of at most `width` columns, broken neither within commands nor within intervals."""
    return [line.replace(KEPT, " ") for line in textwrap.wrap(_bound(text), width, break_on_hyphens=False)]


def _bound(text: str) -> str:
    return TOGETHER.sub(lambda words: words[0].replace(" ", KEPT), text)


def least_width(texts: Iterable[str]) -> int:
    """The columns that the longest word of all texts needs."""
    return max(len(word) for text in texts for word in _bound(text).split(" "))


def narrowed(columns: Mapping[str, Sequence[str]], room: int) -> dict[str, int]:
    """The widths of columns of texts, {column: width}, with at most `room` together where their words are short enough.

    They are narrowed where that adds the fewest lines.
    """
    widths = {name: max(map(len, texts)) for name, texts in columns.items()}
    least = {name: least_width(texts) for name, texts in columns.items()}

    def cost(name: str) -> tuple[int, int]:
        now, narrower = (sum(len(wrapped(text, widths[name] - k)) for text in columns[name]) for k in (0, 1))
        return narrower - now, least[name] - widths[name]

    while sum(widths.values()) > room and (wide := [name for name in widths if widths[name] > least[name]]):
        widths[min(wide, key=cost)] -= 1
    return widths
