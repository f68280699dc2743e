"""A whole table of results: every run of a task, a part for each protocol, selection and split."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gle_bench.contracts import Task
from gle_bench.report.statistics.equivalence import ALPHA, MOST_SEEDS
from gle_bench.report.tables.cells import Cells, Part, decimals, number_text, published_text, sample_text, superscript
from gle_bench.report.tables.costs import yes_or_no
from gle_bench.report.tables.rows import SECTIONS, Row

SPREADS: Final = {
    "population sd": "population standard deviation (ddof 0)",
    "sample sd": "sample standard deviation (ddof 1)",
    "sem": "standard error of the mean",
}
AVERAGED: Final = (
    "Averaged: by the mean of the weights at the ends of the last epoch's batches. "
    "Only ours, by the weights themselves, is compared."
)


def caption(task: Task) -> str:
    kinds = dict.fromkeys(cell.spread_kind for cell in task.published if cell.spread is not None)
    printed = f"± {' or '.join(SPREADS.get(kind, kind) for kind in kinds)} " if kinds else ""
    margins: dict[float, dict[str, None]] = {}
    for cell in task.published:
        if cell.margin is not None:
            margins.setdefault(cell.margin, {})[cell.model] = None
    texts = [f"±{margin:g} for {', '.join(models)}" for margin, models in sorted(margins.items())]
    return "\n".join(
        [
            f"Published: value {printed}(seeds); converted to ddof 1 before any test.",
            "Ours: mean ± sample standard deviation (ddof 1) (seeds done/begun). CI ±: half width of the mean's 95 % "
            "CI. Difference: ours - published, 95 % CI by Welch.",
            f"Verdict: two one-sided Welch tests at {100 * ALPHA:g} % within the margin, which was set before the runs"
            f"{': ' + '; '.join(texts) if texts else ''}.",
            "Inconclusive (n): with n seeds of ours a verdict would fall, if our mean and spread stayed as they are.",
            "Only full runs under protocol paper can be called reproduced: what bears [marks] has no verdict.",
        ]
    )


def parts(rows: Sequence[Row], numbers: Mapping[str, int]) -> Iterator[Part]:
    """The rows in cells: a part for each section and split."""
    digits = decimals([row.published for row in rows], [row.ours for row in rows])
    for section in SECTIONS:
        for split in dict.fromkeys(row.split for row in rows if row.section == section):
            shown = [row for row in rows if (row.section, row.split) == (section, split)]
            heading = f"Protocol {section.protocol}, {section.selection} evaluation, {split} split"
            remark = AVERAGED if any(row.averaged for row in shown) else ""
            yield Part(heading, list(_lines(shown, numbers, digits)), remark)


def _lines(rows: Sequence[Row], numbers: Mapping[str, int], digits: int) -> Iterator[Cells]:
    """The lines of a part; it has columns for a comparison where one of its results was published."""
    compared = any(row.published for row in rows)
    watched = dict.fromkeys(row.watched.split for row in rows if row.watched)
    averaged = any(row.averaged for row in rows)
    labels = Counter(row.label for row in rows)
    for row in rows:
        digest = row.config_hash if labels[row.label] > 1 else None  # tells rows with equal labels apart
        yield {
            "model": " ".join(
                [row.label, *([digest] if digest else []), *(superscript(numbers[n]) for n in row.notes)]
            ),
            "params": number_text(row.parameters, ","),
            "online": yes_or_no(row.online),
            "stream": yes_or_no(row.streamed),
            **({"published": _published(row)} if compared else {}),
            "ours": _ours(row, digits),
            "CI ±": _half_width(row, digits),
            **({"averaged": _averaged(row, digits)} if averaged else {}),
            **{split: _watched(row, split, digits) for split in watched},
            **({"difference": _difference(row, digits), "verdict": _verdict(row)} if compared else {}),
        }


def _published(row: Row) -> str:
    cell = row.published
    if cell is None:
        return ""
    return f"{published_text(cell)}{'' if cell.n is None else f' ({cell.n})'}"


def _ours(row: Row, digits: int) -> str:
    total = sum(row.seeds.values())
    if row.ours is None:
        return f"(0/{total})" if total else ""
    seeds = f"{row.ours.n}" if row.ours.n == total else f"{row.ours.n}/{total}"
    return f"{sample_text(row.ours, digits)} ({seeds})"


def _half_width(row: Row, digits: int) -> str:
    """Half the width of the interval of our mean, which is symmetric; both ends would not fit into a terminal."""
    return f"{(row.interval[1] - row.interval[0]) / 2:.{digits}f}" if row.interval else ""


def _averaged(row: Row, digits: int) -> str:
    return sample_text(row.averaged, digits) if row.averaged else ""


def _watched(row: Row, split: str, digits: int) -> str:
    return sample_text(row.watched.ours, digits) if row.watched and row.watched.split == split else ""


def _difference(row: Row, digits: int) -> str:
    if row.comparison is None:
        return ""
    interval = row.comparison.interval
    between = "" if interval is None else f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"
    return f"{row.comparison.difference:+.{digits}f}{between}"


def _verdict(row: Row) -> str:
    if row.comparison is None or not (row.comparison.without or row.verdict == "inconclusive"):
        return row.verdict
    if row.comparison.without:
        return f"none: {row.comparison.without}"
    return f"inconclusive ({row.comparison.decisive_n or f'> {MOST_SEEDS}'})"
