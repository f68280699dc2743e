"""The paper's Table 1, the settings of its networks, as it is printed and as it is here."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from gle_bench.report.tables.cells import Cells, Part, Table, superscript
from gle_bench.report.tables.settings import ComparedSetting, compared_settings

TITLE: Final = "Table 1 - Neurons, networks and training of the GLE networks"
CAPTION: Final = (
    "Paper: as printed in Table 1, arXiv:2403.16933. Ours: from the configuration of a full run under protocol paper.\n"
    "Time constants are those of the populations of each hidden layer; what stands below a LagNet is fixed."
)
HERE: Final = "  in glebench"  # the head of a line with our settings that differ from the paper's


def table1(everything: bool = True) -> Table:
    """The paper's Table 1 with our settings beside it: one table, or `everything`, a part for each network.

    The one table has no footnotes, which would not fit on a screen with it.

    Raises:
        GleBenchError: one of its networks cannot be loaded.
    """
    lines = list(compared_settings())
    footnotes = list(dict.fromkeys(line.note for line in lines if line.note))
    numbers = {note: number for number, note in enumerate(footnotes, 1)}
    rows = [
        {"task": line.column.task, "model": line.column.model, "parameter": line.parameter}
        | {"paper": line.paper, "ours": line.ours, "footnotes": [numbers[line.note]] if line.note else []}
        for line in lines
    ]
    content = {"title": TITLE, "caption": CAPTION, "rows": rows, "footnotes": footnotes}
    if everything:
        return Table(TITLE, CAPTION, list(_parts(lines, numbers)), footnotes, (), content, list(rows[0]))
    hints = ["--all has each network by itself, and the reasons for what differs."]
    return Table(TITLE, "", [_joined(lines)], (), (), content, list(rows[0]), hints=hints)


def _parts(lines: Sequence[ComparedSetting], numbers: Mapping[str, int]) -> Iterator[Part]:
    """A part for each network, with our settings in a column of their own."""
    for column, settings in groupby(lines, key=lambda line: line.column):
        cells = []
        for line in settings:
            name = f"{line.parameter} {superscript(numbers[line.note])}" if line.note else line.parameter
            cells.append({"parameter": name, "in the paper": line.paper, "in glebench": line.ours})
        yield Part(f"{column.heading}: {column.model} on {column.task}", cells)


def _joined(lines: Sequence[ComparedSetting]) -> Part:
    """All networks side by side as in the paper; below a line with settings that differ here, a line with ours.

    What all networks have in common is told below.
    """
    cells: list[Cells] = []
    common = []
    by_parameter: dict[str, list[ComparedSetting]] = {}
    for line in lines:
        by_parameter.setdefault(line.parameter, []).append(line)
    for parameter, settings in by_parameter.items():
        if len({text for line in settings for text in (line.paper, line.ours)}) == 1:
            common.append(f"{parameter} {settings[0].paper}")
            continue
        cells.append({"parameter": parameter, **{line.column.heading: line.paper for line in settings}})
        ours = {line.column.heading: "" if line.ours == line.paper else line.ours for line in settings}
        if any(ours.values()):
            cells.append({"parameter": HERE, **ours})
    heading = "As printed in the paper (arXiv:2403.16933); below it, what differs in a full run of glebench"
    return Part(heading, cells, f"The same in all: {'; '.join(common)}.", left=tuple(cells[0]))
