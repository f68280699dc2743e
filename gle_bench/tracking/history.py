"""The history of a run, history.csv: one row per evaluation, numbers in full precision, readable by pandas."""

import csv
import io
import re
from collections.abc import Iterable
from typing import SupportsIndex

from gle_bench.files.foreign import csv_rows, whole_number

Cell = float | int | str | None
Row = dict[str, Cell]

LEADING = ("update", "epoch", "split")
INTEGER = re.compile(r"[+-]?[0-9]+")
FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|[+-]?inf")


def columns(rows: Iterable[Row]) -> list[str]:
    """The columns of all rows: update, epoch, split, then the others in order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [*LEADING, *(name for name in names if name not in LEADING)]


def to_csv(rows: list[Row]) -> str:
    """The rows as CSV text. A field is empty if its row lacks the column or holds None."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    header = columns(rows)
    writer.writerow(map(_spell, header))
    writer.writerows([_spell(row.get(name)) for name in header] for row in rows)
    return file.getvalue()


def from_csv(text: str) -> list[Row]:
    """The rows of a CSV text that `to_csv` wrote, each with every column. Text that looks like a number becomes one.

    Raises:
        Malformed: the text is no table.
    """
    header, *rows = csv_rows(text)
    return [{name: _parse(field) for name, field in zip(header, row, strict=True)} for row in rows]


def _spell(value: Cell) -> str:
    """A value as text. Floats are written by `repr`, so that reading gives the same bits."""
    if value is None or isinstance(value, str):
        return (value or "").replace("\r", "\n")  # Python's csv writes \r unquoted, and reads it as the end of a row
    return str(int(value)) if isinstance(value, SupportsIndex) else repr(float(value))


def _parse(field: str) -> Cell:
    """The value of a field: a number if it is spelled like one, None if it is empty, else its text."""
    if INTEGER.fullmatch(field):
        return whole_number(field)
    return float(field) if FLOAT.fullmatch(field) else field or None
