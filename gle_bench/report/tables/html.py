"""A table of the paper as HTML: one section that can be put into any page."""

from collections.abc import Iterator
from html import escape as escape_html

from gle_bench.errors import printable
from gle_bench.report.tables.cells import EMPTY, WORDS, Cells, Part, Sheet


def escape(text: str) -> str:
    """Text as HTML shows it."""
    return escape_html(printable(text))


def html(sheet: Sheet) -> str:
    """Heading, caption, a table for each part, footnotes, and commands for what was not run."""
    lines = ["<section>", f"<h2>{escape(sheet.title)}</h2>"]
    lines += [f"<p>{escape(line)}</p>" for line in sheet.caption.splitlines()]
    lines += [line for part in sheet.parts for line in _part(part)] or [f"<p>{EMPTY}</p>"]
    if sheet.footnotes:
        lines += ["<ol>", *(f"<li>{escape(note)}</li>" for note in sheet.footnotes), "</ol>"]
    if sheet.commands:
        lines += ["<p>Not run:</p>", f"<pre>{escape(chr(10).join(sheet.commands))}</pre>"]
    return "\n".join([*lines, "</section>", ""])


def _part(part: Part) -> Iterator[str]:
    yield "<table>"
    yield f"<caption>{escape(part.heading)}</caption>"
    yield f"<thead>{_row({name: name for name in part.lines[0]}, 'th')}</thead>"
    yield "<tbody>"
    yield from (_row(line, "td") for line in part.lines)
    yield "</tbody>"
    yield "</table>"
    if part.remark:
        yield f"<p>{escape(part.remark)}</p>"


def _row(cells: Cells, tag: str) -> str:
    sides = ((text, "left" if name in WORDS else "right") for name, text in cells.items())
    return (
        "<tr>" + "".join(f'<{tag} style="text-align: {side}">{escape(text)}</{tag}>' for text, side in sides) + "</tr>"
    )
