"""A table of the paper as Markdown that also reads well in a terminal."""

import re
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Final

from gle_bench.report.output import on_one_line
from gle_bench.report.tables.cells import EMPTY, WORDS, Sheet, superscript

TAG: Final = re.compile("<(?=[A-Za-z/!?])")  # that HTML would begin with
WIDTH: Final = 120  # columns of running text


def markdown(sheet: Sheet) -> str:
    """Title, caption, parts, footnotes, and commands for what was not run."""
    parts = [f"## {on_one_line(sheet.title)}", _wrapped(sheet.caption)]
    for part in sheet.parts:
        parts += [f"### {on_one_line(part.heading)}", _table(part.lines), _wrapped(part.remark)]
    parts += [] if sheet.parts else [EMPTY]
    parts.append("\n".join(_wrapped(f"{superscript(n)} {note}") + "  " for n, note in enumerate(sheet.footnotes, 1)))
    parts.append(
        "\n".join(["Not run:", "", *(f"    {on_one_line(each)}" for each in sheet.commands)]) if sheet.commands else ""
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrapped(text: str) -> str:
    return "\n".join(fill(TAG.sub("&lt;", line), WIDTH) for line in text.splitlines())


def _cell(text: str) -> str:
    """Text that stays within its cell and is no HTML."""
    return TAG.sub("&lt;", on_one_line(text)).replace("|", "\\|")


def _table(lines: Sequence[Mapping[str, str]]) -> str:
    """A table of Markdown, its columns padded to equal widths; numbers to the right."""
    lines = [{name: _cell(text) for name, text in line.items()} for line in lines]
    widths = {name: max(len(name), *(len(line[name]) for line in lines)) for name in lines[0]}

    def line(cells: Mapping[str, str]) -> str:
        padded = (cells[n].ljust(w) if n in WORDS else cells[n].rjust(w) for n, w in widths.items())
        return f"| {' | '.join(padded)} |"

    rule = "|".join(f":{'-' * (w + 1)}" if n in WORDS else f"{'-' * (w + 1)}:" for n, w in widths.items())
    return "\n".join([line({name: name for name in widths}), f"|{rule}|", *map(line, lines)])
