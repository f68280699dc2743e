"""The one table that the paper has: its numbers beside full runs, narrow enough for a screen and for a page."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gle_bench.contracts import Published
from gle_bench.report.results import ConfigurationRuns
from gle_bench.report.statistics.equivalence import ALPHA, MOST_SEEDS, published_sample
from gle_bench.report.tables.cells import Cells, Part, decimals, number_text, published_text, sample_text, superscript
from gle_bench.report.tables.rows import Row, Section
from gle_bench.words import Origin, Protocol, Selection


class Choice(NamedTuple):
    """The rows of a table that a user asks for.

    Attributes:
        everything: whether all budgets, protocols and evaluations are shown, and the costs.
        protocol, selection: None stands for all of them, or, without `everything`, for `paper` and `last`.
        models: an empty sequence stands for all.
        only: whose runs; None stands for both.
    """

    everything: bool = False
    protocol: Protocol | None = None
    selection: Selection | None = None
    models: Sequence[str] = ()
    only: Origin | None = None

    @property
    def section(self) -> Section:
        """The section of the one table."""
        return Section(self.protocol or "paper", self.selection or "last")

    def admits(self, row: Row) -> bool:
        """Whether a row agrees with all that was chosen."""
        return (
            self.protocol in (None, row.section.protocol)
            and self.selection in (None, row.section.selection)
            and (not self.models or row.model in self.models)
        )


EVERYTHING: Final = Choice(everything=True)


def shown(rows: Sequence[Row], choice: Choice) -> list[Row]:
    """The rows of the one table: published numbers, and full runs of the chosen section with their own settings."""
    return [row for row in rows if row.section == choice.section and (row.runs is None or _is_full(row.runs))]


def _is_full(runs: ConfigurationRuns) -> bool:
    return runs.first.budget == "paper" and not runs.changed


def part(rows: Sequence[Row], section: Section, numbers: Mapping[str, int]) -> Part:
    """The rows as the part of a table; `numbers` are those of its footnotes, {text: number}."""
    splits = [*dict.fromkeys(row.split for row in rows)]
    main = "test" if "test" in splits else splits[0]
    heading = f"Protocol {section.protocol}, {section.selection} evaluation, {main} split, full runs"
    return Part(heading, list(_lines(rows, main, numbers)), " ".join(_explained(rows)))


def _lines(rows: Sequence[Row], main: str, numbers: Mapping[str, int]) -> Iterator[Cells]:
    compared = any(row.published for row in rows)
    watched = [] if compared else dict.fromkeys(row.watched.split for row in rows if row.watched)
    digits = decimals([row.published for row in rows], [row.ours for row in rows])
    labels = Counter((row.label, row.split) for row in rows)
    for row in rows:
        words = [row.label if row.split == main else f"{row.label}, {row.split}"]
        if labels[row.label, row.split] > 1 and row.config_hash:
            words.append(row.config_hash)
        results = {"ours": _ours(row, digits)} | {
            split: sample_text(row.watched.ours, digits) if row.watched and row.watched.split == split else ""
            for split in watched
        }
        if compared:
            published = published_text(row.published) if row.published else ""
            results = {"published": published, **results, "difference": _difference(row, digits), "verdict": _word(row)}
        else:
            results |= {"95 % CI": _between(row.interval, digits)}
        yield {
            "model": " ".join([*words, *(superscript(numbers[note]) for note in row.notes)]),
            "params": number_text(row.parameters, ","),
            **results,
        }


def _ours(row: Row, digits: int) -> str:
    total = sum(row.seeds.values())
    done = row.ours.n if row.ours else 0
    seeds = f"({done})" if done == total else f"({done}/{total})"
    return f"{sample_text(row.ours, digits)} {seeds}" if row.ours else seeds if total else ""


def _difference(row: Row, digits: int) -> str:
    compared = row.comparison
    if compared is None:
        return ""
    return f"{compared.difference:+.{digits}f} {_between(compared.interval, digits)}".rstrip()


def _between(interval: tuple[float, float] | None, digits: int) -> str:
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""


def _word(row: Row) -> str:
    """The verdict of a row in one word, which the sentences below the table explain."""
    return "none" if row.comparison and row.comparison.without else row.verdict


# The sentences below the table ----------------------------------------------------------------------------------------


def _explained(rows: Sequence[Row]) -> Iterator[str]:
    """What stands in the columns, and what each verdict of these rows means."""
    cells = [row.published for row in rows if row.published]
    ours = "mean ± sample sd (seeds)"
    if not cells:
        yield f"Ours: {ours}, with the 95 % interval of the mean."
        return
    yield f"Published: mean{_printed_spread(cells)}{_printed_seeds(cells)}; ours: {ours}."
    if any(row.comparison for row in rows):
        known = any(row.comparison and row.comparison.interval for row in rows)
        yield f"Difference: ours minus published{', with its 95 % interval by Welch' if known else ''}."
    verdicts = {_word(row) for row in rows}
    if verdicts & {"reproduced", "inconclusive", "deviates"}:
        yield (
            f"Reproduced: two one-sided tests at {100 * ALPHA:g} % show that the difference is smaller than the margin "
            f"that was set before the runs, {_margins(rows)}."
        )
    if "deviates" in verdicts:
        yield "Deviates: they do not show it, and the interval excludes 0."
    if "inconclusive" in verdicts:
        yield "Inconclusive: the seeds show neither that the difference is smaller nor that there is one."
        yield from _deciding([row for row in rows if row.verdict == "inconclusive"])
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.comparison and row.comparison.without:
            reasons.setdefault(row.comparison.without, {})[row.label] = None
    yield from (f"None: {_reason(reason)} for {_listed([*labels])}." for reason, labels in reasons.items())


def _printed_spread(cells: Sequence[Published]) -> str:
    kinds: dict[str, None] = dict.fromkeys(cell.spread_kind for cell in cells if cell.spread is not None)
    return f" ± {' or '.join(kinds).replace('sem', 'standard error')}" if kinds else ""


def _printed_seeds(cells: Sequence[Published]) -> str:
    seeds = sorted({cell.n for cell in cells if cell.n is not None})
    return f" over {seeds[0] if len(seeds) == 1 else f'{seeds[0]} to {seeds[-1]}'} seeds" if seeds else ""


def _margins(rows: Sequence[Row]) -> str:
    margins: dict[float, dict[str, None]] = {}
    for row in rows:
        if row.published and row.published.margin is not None:
            margins.setdefault(row.published.margin, {})[row.model] = None
    usual, *others = sorted(margins, key=lambda margin: -len(margins[margin]))
    named = [f"±{margin:g} for {_listed([*margins[margin]])}" for margin in others]
    return ", ".join([*named, f"±{usual:g} for the others" if others else f"±{usual:g}"])


def _deciding(rows: Sequence[Row]) -> Iterator[str]:
    """How many seeds more would decide rows whose verdict is 'inconclusive', or what else would."""
    more = [
        f"{row.comparison.decisive_n - row.ours.n} more for {row.label}"
        for row in rows
        if row.comparison and row.ours and row.comparison.decisive_n
    ]
    if more:
        yield f"If means and spreads stay as they are, more seeds of ours decide: {_listed(more)}."
    never = [row for row in rows if row.comparison and not row.comparison.decisive_n]
    if never:
        means = "mean is" if len(never) == 1 else "means are"
        cause = f", whose published {means} too uncertain" if all(map(_published_is_vague, never)) else ""
        yield f"Not even {MOST_SEEDS:,} would decide {_listed([row.label for row in never])}{cause}."


def _published_is_vague(row: Row) -> bool:
    """Whether the published mean would be more uncertain than ours with the largest number of seeds."""
    theirs = published_sample(row.published) if row.published else None
    if theirs is None or theirs.sd is None or row.ours is None or row.ours.sd is None:
        return False
    return theirs.sd**2 / theirs.n > row.ours.sd**2 / MOST_SEEDS


def _reason(without: str) -> str:
    return {"no margin": "no margin was set", "no spread": "no spread was published"}.get(without, without)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def hints(rows: Sequence[Row], chosen: Sequence[Row], choice: Choice, more: Sequence[str]) -> Iterator[str]:
    """Whose the chosen rows are, where some are the user's; and what was left out: other `rows`, and `more`."""
    yours = [row.label for row in chosen if row.runs and not row.runs.shipped]
    if yours and any(row.runs and row.runs.shipped for row in chosen):
        yield f"Yours: {_listed(yours)}; all other runs come with glebench."
    kept = {id(row) for row in chosen}
    rest = [row for row in rows if id(row) not in kept]
    here = [row for row in rest if row.section == choice.section]
    count = f"{len(here)} row{'' if len(here) == 1 else 's'} of shorter or changed runs"
    own = sum(row.runs is not None and not row.runs.shipped for row in here)
    protocols, selections = ({row.section[k] for row in rest} - {choice.section[k]} for k in (0, 1))
    what = [
        *([f"{count} ({own} of them yours)" if own else count] if here else []),
        *(f"protocol {name}" for name in sorted(protocols)),
        *(f"{name} evaluations" for name in sorted(selections)),
        *more,
    ]
    if what:
        yield f"Left out: {_listed(what)}; --all shows them."
