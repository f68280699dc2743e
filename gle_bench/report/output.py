"""What is printed, as plain text: a terminal, JSON or a spreadsheet reads nothing else into it.

Records, and what plugins and others' files say, may hold any character.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from gle_bench.errors import printable

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a cell for a formula
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def on_one_line(text: str) -> str:
    """`printable` text in which the end of a line is a blank."""
    return printable(" ".join(text.split("\n"))).replace("\t", " ")


def json_text(content: Any) -> str:
    """Plain data as JSON, which has no numbers for what is not finite: they are texts, as in records."""
    return json.dumps(plain(content), indent=2, allow_nan=False)


def plain(content: Any) -> Any:
    """The same data with "NaN", "Infinity" and "-Infinity" in the place of numbers that are not finite."""
    if isinstance(content, Mapping):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    return content


def csv_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a CSV file: a text that a spreadsheet would calculate begins with an apostrophe."""
    return {name: _csv_cell(value) for name, value in row.items()}


def _csv_cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA) and NUMBER.fullmatch(value) is None:
        return f"'{value}"
    return value
