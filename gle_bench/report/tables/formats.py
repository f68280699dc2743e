"""The formats in which a table is printed (Markdown, LaTeX, HTML and CSV), and numbers as texts."""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from html import escape
from textwrap import fill
from typing import Any, Final

from gle_bench.errors import on_one_line, printable
from gle_bench.report.tables.cells import Cells, Part, Table, superscript
from gle_bench.report.tables.latex import latex
from gle_bench.words import TableFormat

# Markdown -------------------------------------------------------------------------------------------------------------

TAG: Final = re.compile("<(?=[A-Za-z/!?])")  # the beginning of an HTML tag
WIDTH: Final = 120  # columns of running text


def markdown(table: Table) -> str:
    """A table as Markdown that also reads well in a terminal."""
    parts = [f"## {on_one_line(table.title)}", _wrapped(table.caption)]
    for part in table.parts:
        parts += [f"### {on_one_line(part.heading)}", _markdown_part(part), _wrapped(part.remark)]
    parts += [] if table.parts else [table.empty]
    parts.append("\n".join(_wrapped(f"{superscript(n)} {note}") + "  " for n, note in enumerate(table.footnotes, 1)))
    if table.commands:
        parts.append("\n".join(["Not run:", "", *(f"    {on_one_line(command)}" for command in table.commands)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrapped(text: str) -> str:
    return "\n".join(fill(TAG.sub("&lt;", line), WIDTH) for line in text.splitlines())


def _markdown_part(part: Part) -> str:
    """The lines of a part as a table of Markdown, its columns padded to equal widths.

    Bars and tags in a cell are escaped, so that they neither end the cell nor become HTML.
    """
    lines = [{n: TAG.sub("&lt;", on_one_line(c)).replace("|", "\\|") for n, c in line.items()} for line in part.lines]
    widths = {name: max(len(name), *(len(line[name]) for line in lines)) for name in lines[0]}

    def padded(cells: Cells) -> str:
        return (
            f"| {' | '.join(cells[n].ljust(w) if n in part.left else cells[n].rjust(w) for n, w in widths.items())} |"
        )

    rule = "|".join(f":{'-' * (w + 1)}" if n in part.left else f"{'-' * (w + 1)}:" for n, w in widths.items())
    return "\n".join([padded({name: name for name in widths}), f"|{rule}|", *map(padded, lines)])


# HTML -----------------------------------------------------------------------------------------------------------------


def html(table: Table) -> str:
    """A table as a section of HTML, which can be put into any page."""
    lines = ["<section>", f"<h2>{html_text(table.title)}</h2>"]
    lines += [f"<p>{html_text(line)}</p>" for line in table.caption.splitlines()]
    lines += [line for part in table.parts for line in _html_part(part)] or [f"<p>{html_text(table.empty)}</p>"]
    if table.footnotes:
        lines += ["<ol>", *(f"<li>{html_text(note)}</li>" for note in table.footnotes), "</ol>"]
    if table.commands:
        lines += ["<p>Not run:</p>", f"<pre>{html_text(chr(10).join(table.commands))}</pre>"]
    return "\n".join([*lines, "</section>", ""])


def html_text(text: str) -> str:
    """Text as HTML shows it."""
    return escape(printable(text))


def _html_part(part: Part) -> Iterator[str]:
    yield from ("<table>", f"<caption>{html_text(part.heading)}</caption>")
    yield f"<thead>{_html_row({name: name for name in part.lines[0]}, 'th', part.left)}</thead>"
    yield from ("<tbody>", *(_html_row(line, "td", part.left) for line in part.lines), "</tbody>", "</table>")
    if part.remark:
        yield f"<p>{html_text(part.remark)}</p>"


def _html_row(cells: Cells, tag: str, left: Collection[str]) -> str:
    sides = [(html_text(text), "left" if name in left else "right") for name, text in cells.items()]
    return "<tr>" + "".join(f'<{tag} style="text-align: {side}">{text}</{tag}>' for text, side in sides) + "</tr>"


# CSV ------------------------------------------------------------------------------------------------------------------

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet takes for a formula
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def comma_separated(table: Table) -> str:
    """The rows of a table's content as CSV, numbers with all digits; without caption and texts of footnotes."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, table.columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in table.content.get("rows", ()))
    return file.getvalue()


def csv_cell(value: Any) -> Any:
    """A value as it is written into a CSV file; an apostrophe goes before a text that a spreadsheet would calculate."""
    if isinstance(value, Mapping):
        value = "; ".join(f"{count} {name}" for name, count in value.items())
    elif isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, str) and value.startswith(FORMULA) and NUMBER.fullmatch(value) is None:
        return f"'{value}"
    return value


FORMATS: Final[Mapping[TableFormat, Callable[[Table], str]]] = {
    **{"md": markdown, "tex": latex},
    **{"html": html, "csv": comma_separated},
}
