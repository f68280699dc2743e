"""A table as plain data: texts in cells, ready to be printed in any format, and numbers with all digits."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

Cells = Mapping[str, str]  # a line of a table, {column: text}

# The columns that are aligned to the left; the others hold numbers, and are aligned to the right
LEFT: Final = ("model", "of", "protocol", "verdict", "parameter", "in the paper", "in glebench")
EMPTY: Final = "Nothing was published, and nothing has been run."
DIGITS: Final = "0123456789"
SUPERSCRIPTS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹"


class Part(NamedTuple):
    """A part of a table: lines with the same columns under a heading, and a remark that explains the columns."""

    heading: str
    lines: Sequence[Cells]
    remark: str = ""


class Table(NamedTuple):
    """A table of the paper or of a task: its parts for readers, and its content for programs.

    Attributes:
        footnotes: the texts of the footnotes, numbered from 1; cells refer to them by superscript digits.
        commands: the shell commands that would run what was not run.
        content: the whole table as plain data, numbers with all digits, None where nothing is known. Its "rows" are
            the lines of a CSV file.
        columns: the names of the columns of that file.
    """

    title: str
    caption: str
    parts: Sequence[Part]
    footnotes: Sequence[str] = ()
    commands: Sequence[str] = ()
    content: Mapping[str, Any] = {}
    columns: Sequence[str] = ()


def superscript(number: int) -> str:
    """The number of a footnote in superscript digits, as cells have it."""
    return str(number).translate(str.maketrans(DIGITS, SUPERSCRIPTS))
