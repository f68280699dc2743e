"""What a table of the paper says, in cells, before it is laid out as Markdown, LaTeX or HTML."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gle_bench.report.statistics.equivalence import MOST_SEEDS
from gle_bench.report.statistics.welch import Interval
from gle_bench.report.tables.numbers import MOST_DECIMALS, places, published_text, sample_text
from gle_bench.report.tables.rows import SECTIONS, Row
from gle_bench.tracking.estimates import duration

if TYPE_CHECKING:
    from gle_bench.report.tables.table import Table

Cells = dict[str, str]  # {column: text}

SUPERSCRIPTS: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
WORDS: Final = (
    "model",
    "of",
    "protocol",
    "verdict",
    "parameter",
    "in the paper",
    "in glebench",
)  # columns that are set to the left
COSTS: Final = (
    "By NeuroBench: footprint in bytes, sparsity of connections (W = 0) and of activations (r = 0), and synaptic "
    "operations: dense, or effective, without those with a zero. By our own count: MACs, and updates of neurons' "
    "states, which it leaves out. Means over the seeds counted; `glebench show RUN` counts, and says what differs."
)
FOOTING: Final = (
    "MACs: multiply-accumulates of one sample, all its time steps together, updates of neurons' states not counted; to "
    "learn from it once takes three times as many, for outputs, errors and gradients (blank: solved in closed form). "
    "MiB: the process at its peak, with so many networks side by side. Seconds: of one seed, on the machine that its "
    "record names, busy or not. Whole: learns or answers only once the whole sequence is there. Norm: normalises over "
    "a batch or a layer, or drops out. Tried: other settings that we know to have been tried; blank: not counted."
)
EMPTY: Final = "Nothing was published, and nothing has been run."


@dataclass(frozen=True)
class Part:
    """Lines of one kind under a heading, all of the same columns; `remark` explains them."""

    heading: str
    lines: Sequence[Cells]
    remark: str = ""


@dataclass(frozen=True)
class Sheet:
    """All that is printed of a table. Numbers of footnotes are superscript digits in cells, from 1 on."""

    title: str
    caption: str
    parts: Sequence[Part]
    footnotes: Sequence[str]
    commands: Sequence[str]


def sheet(built: "Table") -> Sheet:
    """The paper's own table, one part a section and split, what running costs, and commands for what was not run."""
    parts = [Part("As the paper's table has it, and as it is here", _setup(built))] if built.setup else []
    decimals = _decimals(built)
    for section in SECTIONS:
        for split in dict.fromkeys(row.split for row in built.rows if row.section == section):
            mine = [row for row in built.rows if (row.section, row.split) == (section, split)]
            heading = f"Protocol {section.protocol}, {section.selection} evaluation, {split} split"
            parts.append(Part(heading, _cells(built, mine, decimals)))
    if built.ground:
        parts.append(Part("On equal footing", _footing(built), FOOTING))
    if built.costs:
        parts.append(Part("What running a network costs, operations a time step", _costs(built), COSTS))
    commands = dict.fromkeys(_command(row) for row in built.rows if row.command)
    return Sheet(built.title, built.caption, parts, built.footnotes, tuple(commands))


def _command(row: Row) -> str:
    """What would run it; how long that takes is a comment to the shell."""
    if row.seconds is None:
        return f"{row.command}  # how long: --dry-run measures it"
    return f"{row.command}  # about {duration(row.seconds)} by the rate of recorded runs"


def _footing(built: "Table") -> list[Cells]:
    """One dictionary a configuration."""
    return [
        {
            "model": line.model,
            "protocol": line.protocol,
            "seeds": str(line.seeds),
            "params": f"{line.parameters:,}",
            "MACs": _count(line.macs),
            "to learn": _count(line.learning_macs),
            "MiB": "" if line.memory is None else f"{line.memory / 2**20:,.0f}",
            "nets": str(line.networks),
            "seconds": f"{line.wall_s:,.0f}",
            "online": _yes(line.online),
            "stream": _yes(line.streamed),
            "whole": _yes(line.whole_sequence),
            "norm": _yes(line.normalised),
            "tried": _count(line.tried),
        }
        for line in built.ground
    ]


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _costs(built: "Table") -> list[Cells]:
    """One dictionary a configuration."""

    def text(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return [
        {
            "model": line.model,
            "protocol": line.protocol,
            "seeds": str(line.seeds),
            "bytes": text(line.footprint, ",.0f"),
            "W = 0": text(line.connection_sparsity, ".3f"),
            "r = 0": text(line.activation_sparsity, ".3f"),
            "dense": text(line.dense, ",.0f"),
            "eff. MACs": text(line.effective_macs, ",.0f"),
            "eff. ACs": text(line.effective_acs, ",.0f"),
            "MACs": text(line.macs, ",.0f"),
            "updates": text(line.state_updates, ",.0f"),
        }
        for line in built.costs
    ]


def _setup(built: "Table") -> list[Cells]:
    """One dictionary a line of the paper's table or of ours."""
    found = []
    for line in built.setup:
        notes = {column: f" {superscript(built.footnotes.index(note) + 1)}" for column, note in line.notes.items()}
        cells = {column: f"{text}{notes.get(column, '')}" for column, text in line.cells.items()}
        found.append({"model": line.model, "of": line.of, **cells})
    return found


def _cells(built: "Table", mine: Sequence[Row], decimals: int) -> list[Cells]:
    """One dictionary a row; without the columns of a comparison where the section has none."""
    compared = any(row.published for row in mine)
    watched = dict.fromkeys(row.watched.split for row in mine if row.watched)
    twice = {label for label, count in Counter(row.label for row in mine).items() if count > 1}
    found = []
    for row in mine:
        cells = {
            "model": _label(built, row, row.label in twice and row.config_hash is not None),
            "params": "" if row.parameters is None else f"{row.parameters:,}",
            "online": _yes(row.online),
            "stream": _yes(row.streamed),
        }
        if compared:
            cells["published"] = _published(row)
        cells |= {"ours": _ours(row, decimals), "CI ±": _half_width(row.interval, decimals)}
        cells |= {split: _watched(row, split, decimals) for split in watched}
        if compared:
            cells |= {"difference": _difference(row, decimals), "verdict": _verdict(row)}
        found.append(cells)
    return found


def _label(built: "Table", row: Row, ambiguous: bool) -> str:
    numbers = " ".join(superscript(built.footnotes.index(note) + 1) for note in row.notes)
    return f"{row.label}{f' {row.config_hash}' if ambiguous else ''}{f' {numbers}' if numbers else ''}"


def superscript(number: int) -> str:
    """A footnote's number as it stands in cells."""
    return str(number).translate(SUPERSCRIPTS)


def _yes(granted: bool | None) -> str:
    return "" if granted is None else "yes" if granted else "no"


def _published(row: Row) -> str:
    cell = row.published
    if cell is None:
        return ""
    return f"{published_text(cell)}{'' if cell.n is None else f' ({cell.n})'}"


def _ours(row: Row, decimals: int) -> str:
    total = sum(count for _, count in row.seeds)
    if row.ours is None:
        return f"(0/{total})" if total else ""
    seeds = f"{row.ours.n}" if row.ours.n == total else f"{row.ours.n}/{total}"
    return f"{sample_text(row.ours, decimals)} ({seeds})"


def _watched(row: Row, split: str, decimals: int) -> str:
    """Ours on a split that was evaluated while training, over the same seeds."""
    found = row.watched
    return sample_text(found.ours, decimals) if found and found.split == split else ""


def _half_width(interval: Interval | None, decimals: int) -> str:
    """Student's interval is symmetric, and a row has to fit into a terminal."""
    return "" if interval is None else f"{(interval[1] - interval[0]) / 2:.{decimals}f}"


def _difference(row: Row, decimals: int) -> str:
    if row.comparison is None:
        return ""
    interval = row.comparison.interval
    between = "" if interval is None else f" [{interval[0]:.{decimals}f}, {interval[1]:.{decimals}f}]"
    return f"{row.comparison.difference:+.{decimals}f}{between}"


def _verdict(row: Row) -> str:
    if row.comparison is not None and row.comparison.without:
        return f"none: {row.comparison.without}"
    if row.verdict != "inconclusive":
        return row.verdict
    assert row.comparison is not None
    enough = row.comparison.decisive_n
    return f"inconclusive ({enough or f'> {MOST_SEEDS}'})"


def _decimals(built: "Table") -> int:
    """Digits after the point of our numbers: what was published has, but at least two, or those of our spreads."""
    cells = [row.published for row in built.rows if row.published]
    if cells:
        return max(2, *(places(number) for cell in cells for number in (cell.value, cell.spread or 0.0)))
    spreads = sorted(row.ours.sd for row in built.rows if row.ours and row.ours.sd)
    if not spreads:
        return 4
    return min(MOST_DECIMALS, max(2, 1 - math.floor(math.log10(spreads[len(spreads) // 2]))))
