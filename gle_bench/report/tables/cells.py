"""A table of the paper as plain data: its cells are texts, ready to be laid out in any format."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

Cells = Mapping[str, str]  # one line of a part, {column: text}

LEFT: Final = (  # the columns that are set to the left; all others hold numbers, and are set to the right
    *("model", "of", "protocol", "verdict"),
    *("parameter", "in the paper", "in glebench"),
)
EMPTY: Final = "Nothing was published, and nothing has been run."


class Part(NamedTuple):
    """Lines of one kind under a heading; all of them have the same columns. `remark` explains the columns."""

    heading: str
    lines: Sequence[Cells]
    remark: str = ""


class Table(NamedTuple):
    """A table of the paper: its cells for readers, and its content for programs.

    Attributes:
        footnotes: numbered from 1; in cells, the number of a footnote is written in superscript digits.
        commands: what would run what was not run, one shell command a line.
        content: all of the table as plain data, numbers in full, None where nothing is known; its "rows" are the lines
            of a CSV file.
        columns: the names of the columns of these rows.
    """

    title: str
    caption: str
    parts: Sequence[Part]
    footnotes: Sequence[str] = ()
    commands: Sequence[str] = ()
    content: Mapping[str, Any] = {}
    columns: Sequence[str] = ()
