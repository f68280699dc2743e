"""A table as text for a terminal (`glebench table`), wrapped to its width."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from gle_bench.contracts.command import RunCommand
from gle_bench.errors import on_one_line
from gle_bench.report.tables.cells import Cells, Part, Table, least_width, narrowed, superscript, wrapped
from gle_bench.tracking.estimates import duration

GAP: Final = "  "  # between two columns
COLOURS: Final = {  # of cells with these words, as codes of a terminal
    **{"reproduced": "32", "deviates": "31", "inconclusive": "33", "not run": "2", "none": "2"},
}
BOLD: Final = "1"


def as_text(table: Table, width: int, colour: bool = False) -> str:
    """A table as text of at most `width` columns; `colour` paints headings and verdicts."""
    title = _painted(_filled(table.title, width), BOLD, colour)
    below_title = table.parts[0] if table.parts and not table.caption else None
    if below_title:
        title = f"{title}\n{_filled(f'{below_title.heading}.', width)}"
    blocks = [title, _filled(table.caption, width)]
    for part in table.parts:
        heading = [] if part is below_title else [_painted(_filled(part.heading, width), BOLD, colour)]
        blocks += [*heading, *_grids(part, width, colour), _filled(part.remark, width)]
    blocks += [] if table.parts else [_filled(table.empty, width)]
    blocks.append("\n".join(_filled(f"{superscript(n)} {note}", width) for n, note in enumerate(table.footnotes, 1)))
    blocks.append("\n".join(_filled(line, width) for line in (*_not_run(table), *table.hints)))
    return "\n\n".join(block for block in blocks if block)


def _filled(text: str, width: int) -> str:
    """Each line of a text, wrapped."""
    return "\n".join(row for line in text.split("\n") for row in wrapped(on_one_line(line), width))


def _painted(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def _grids(part: Part, width: int, colour: bool) -> Iterator[str]:
    """The lines of a part as columns; those for which there is no room follow below, beside the first column again."""
    lines = [{name: on_one_line(text) for name, text in line.items()} for line in part.lines]
    columns = {name: (name, *(line[name] for line in lines)) for name in lines[0]}
    first, *others = columns
    while others:
        taken = [first, others.pop(0)]
        while others and _least([columns[name] for name in (*taken, others[0])]) <= width:
            taken.append(others.pop(0))
        yield _grid({name: columns[name] for name in taken}, part, width, colour)


def _least(columns: Sequence[Sequence[str]]) -> int:
    """The width of columns beside each other, each as narrow as its words allow."""
    return sum(map(least_width, columns)) + len(GAP) * (len(columns) - 1)


def _grid(columns: Mapping[str, Sequence[str]], part: Part, width: int, colour: bool) -> str:
    """Columns below their names and a rule."""
    gaps = len(GAP) * (len(columns) - 1)
    widths = narrowed(columns, width - gaps)
    header, *lines = (dict(zip(columns, texts, strict=True)) for texts in zip(*columns.values(), strict=True))
    names = (_painted(row, BOLD, colour) for row in _rows(header, widths, part, False))
    rule = "─" * (sum(widths.values()) + gaps)
    return "\n".join([*names, rule, *(row for line in lines for row in _rows(line, widths, part, colour))])


def _rows(line: Cells, widths: Mapping[str, int], part: Part, colour: bool) -> Iterator[str]:
    """A line of a table as rows of text, as many as its highest cell takes."""
    for texts in zip_longest(*(wrapped(line[name], width) for name, width in widths.items()), fillvalue=""):
        cells = []
        for text, (name, width) in zip(texts, widths.items(), strict=True):
            blanks, shown = " " * (width - len(text)), _painted(text, COLOURS.get(text, ""), colour)
            cells.append(shown + blanks if name in part.left else blanks + shown)
        yield GAP.join(cells).rstrip()


def _not_run(table: Table) -> Iterator[str]:
    """The sentence on rows that were not run, with the command that would run each, and how long that would take."""
    times = {row["model"]: row["estimated_s"] for row in table.content.get("rows", ()) if row.get("command")}
    if times:
        task = table.content["task"]
        named = [model if s is None else f"{model} (about {duration(s)})" for model, s in times.items()]
        yield f"Not run: {', '.join(named)}. `{RunCommand(task, 'MODEL')}` runs one of them; --dry-run says how long."
