"""history.csv: one row an evaluation, numbers in full precision, read by pandas as it is."""

import csv
import io
import re
from collections.abc import Iterable
from typing import SupportsIndex

from gle_bench.data.foreign import csv_rows, whole_number

Cell = float | int | str | None
Row = dict[str, Cell]

LEADING = ("update", "epoch", "split")
INTEGER = re.compile(r"[+-]?[0-9]+")
FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|[+-]?inf")


def columns(rows: Iterable[Row]) -> list[str]:
    """Every column of any row: update, epoch, split, then the others as they first appear."""
    seen = dict.fromkeys(name for row in rows for name in row)
    return [*LEADING, *(name for name in seen if name not in LEADING)]


def to_csv(rows: list[Row]) -> str:
    """The rows as text; an empty field where a row has no such column, or None."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    header = columns(rows)
    writer.writerow(map(_spell, header))
    writer.writerows([_spell(row.get(name)) for name in header] for row in rows)
    return file.getvalue()


def from_csv(text: str) -> list[Row]:
    """What `to_csv` spelled, each row with every column. A text that looks like a number comes back as one.

    Raises:
        Malformed: if it is no table.
    """
    header, *rows = csv_rows(text)
    return [{name: _parse(field) for name, field in zip(header, row, strict=True)} for row in rows]


def _spell(value: Cell) -> str:
    """A field: floats by `repr`, which gives the same bits back."""
    if value is None or isinstance(value, str):
        return (value or "").replace("\r", "\n")  # which Python's csv leaves unquoted, and then takes for a row's end
    return str(int(value)) if isinstance(value, SupportsIndex) else repr(float(value))


def _parse(field: str) -> Cell:
    """A number if it is spelled like one; None if it is empty."""
    if INTEGER.fullmatch(field):
        return whole_number(field)
    return float(field) if FLOAT.fullmatch(field) else field or None
