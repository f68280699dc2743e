"""The rows of a table of results: each published number beside what was measured."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.contracts import Pair, Published, Task, footing
from gle_bench.contracts.command import RunCommand
from gle_bench.contracts.parameters import parameter_count
from gle_bench.contracts.results import averaged
from gle_bench.report.results import ConfigurationRuns, grouped, words_of
from gle_bench.report.statistics.equivalence import Comparison, compare, mean_interval
from gle_bench.report.statistics.welch import Interval, Sample, sample
from gle_bench.tracking.estimates import full_seconds
from gle_bench.tracking.provenance import changed_since
from gle_bench.tracking.record import OTHER_CODE, OTHER_VERSION, Mark, Record
from gle_bench.words import PROTOCOLS, SELECTIONS, Protocol, Selection


class Section(NamedTuple):
    """The protocol and the selection of a part of a table; results of two sections never stand in one column."""

    protocol: Protocol
    selection: Selection


SECTIONS: Final = tuple(Section(protocol, selection) for protocol in PROTOCOLS for selection in SELECTIONS)


class Watched(NamedTuple):
    """Our results on the split that was evaluated while training."""

    split: str
    ours: Sample


@dataclass(frozen=True)
class Row:
    """A row of a table of results: a published number, the runs of one configuration, or both.

    Attributes:
        split: the split on which the results were measured.
        runs: the runs of the row; None where nothing was run.
        online, streamed: whether the method learns online, and whether it takes its inputs as a stream; None where
            that is not known.
        ours: our results over the seeds that are done; None if no seed is.
        watched: our results on the split evaluated while training; None where that is `split`.
        averaged: our results with averaged weights, over the seeds that have them; None if no seed has.
        command: the command that would run what was not run; else empty.
        seconds: how long that command would take; None where no recorded run tells.
        notes: the texts of the row's footnotes.
    """

    section: Section
    split: str
    model: str
    rule: str | None
    runs: ConfigurationRuns | None = None
    parameters: int | None = None
    online: bool | None = None
    streamed: bool | None = None
    published: Published | None = None
    ours: Sample | None = None
    watched: Watched | None = None
    averaged: Sample | None = None
    comparison: Comparison | None = None
    command: str = ""
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The reasons why the row cannot be compared with a published number."""
        return self.runs.marks if self.runs else ()

    @property
    def config_hash(self) -> str | None:
        """The hash of the configuration that was run; None where nothing was run."""
        return self.runs.first.config_hash if self.runs else None

    @property
    def seeds(self) -> dict[str, int]:
        """The number of runs of each status, {status: number}."""
        return dict(sorted(Counter(record.status for record in self.runs.records).items())) if self.runs else {}

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of our mean; None where it is not known."""
        return mean_interval(self.ours) if self.ours else None

    @property
    def label(self) -> str:
        """The text for the row: model, rule if it is not the model's own, and marks; changed settings are one word."""
        named = self.rule if any(mark.kind == "rule" for mark in self.marks) else None
        rule = f"+{registry.rule_title(named)}" if named else ""
        marks = f" [{', '.join(words_of(self.marks))}]" if self.marks else ""
        return f"{self.model}{rule}{marks}"

    @property
    def verdict(self) -> str:
        """The verdict of the row, or 'not run'; empty where there is none."""
        if self.published is not None and self.runs is None:
            return "not run"
        return self.comparison.verdict or "" if self.comparison else ""


def all_rows(
    task: Task, records: Sequence[Record], pairs: Mapping[str, Pair], shipped: Collection[str] = ()
) -> list[Row]:
    """All rows of a task's table, section by section; the published models come first in each.

    `pairs` are those of the task, by model; `shipped` are the ids of the runs that come with glebench.
    """
    groups = grouped(task, records, pairs, shipped)
    others = sorted({group.first.model for group in groups} - set(pairs))
    models = dict.fromkeys([*(cell.model for cell in task.published), *pairs, *others])
    maker = _RowMaker(task, pairs)
    return [row for section in SECTIONS for model in models for row in maker.rows(section, model, groups)]


class _RowMaker:
    """The maker of a task's rows. It remembers the numbers of parameters for which it had to build networks."""

    def __init__(self, task: Task, pairs: Mapping[str, Pair]) -> None:
        self._task, self._pairs = task, pairs
        self._sizes: dict[str, int] = {}

    def rows(self, section: Section, model: str, groups: Sequence[ConfigurationRuns]) -> Iterator[Row]:
        """A model's rows in one section: each published number with each full run, then the runs with marks."""
        of_model = [group for group in groups if group.first.model == model]
        here = [group for group in of_model if group.first.protocol == section.protocol]
        full = [group for group in here if not group.marks and group.first.budget == "paper"]
        cells = [c for c in self._task.published if section == ("paper", c.selection) and c.model == model]
        for cell in cells:
            yield from (self._measured(section, group, cell.split, cell) for group in full)
            if not full:
                yield self._not_run(section, cell, [record for group in of_model for record in group.records])
        for group in here:
            shown = {cell.split for cell in cells} if group in full else set()
            split = group.split(self._task, section.selection)
            if split not in shown:
                row = self._measured(section, group, split)
                if row.ours is not None or (section.selection == "last" and not shown):
                    yield row

    def _not_run(self, section: Section, cell: Published, records: Sequence[Record]) -> Row:
        """The row of a published number without a full run; `records` are all other runs of its model."""
        pair = self._pairs.get(cell.model)
        notes = (cell.caveat,) if cell.caveat else ()
        if pair is None:
            return Row(section, cell.split, cell.model, None, published=cell, notes=notes)
        config = pair.configure("paper")
        granted = footing(registry.rule(config.rule), config.network)
        if cell.model not in self._sizes:
            self._sizes[cell.model] = parameter_count(self._task, config)
        return Row(
            section,
            cell.split,
            cell.model,
            config.rule,
            parameters=self._sizes[cell.model],
            online=granted.online,
            streamed=granted.streamed,
            published=cell,
            command=str(RunCommand(self._task.name, cell.model)),
            seconds=full_seconds(self._task, pair, records),
            notes=notes,
        )

    def _measured(self, section: Section, group: ConfigurationRuns, split: str, cell: Published | None = None) -> Row:
        """The row of runs on one split, compared with the published number if there is one."""
        first, metric, evaluated = group.first, self._task.metric.name, self._task.evaluation_split(section.protocol)
        values, averages = (self._values(section, group, split, name) for name in (metric, averaged(metric)))
        watched = self._values(section, group, evaluated, metric) if evaluated != split else []
        return Row(
            section,
            split,
            first.model,
            first.rule,
            group,
            first.parameters,
            first.footing.get("online"),
            first.footing.get("streamed"),
            cell,
            sample(values) if values else None,
            Watched(evaluated, sample(watched)) if watched else None,
            sample(averages) if averages else None,
            compare(cell, values) if cell and values else None,
            notes=(*([cell.caveat] if cell and cell.caveat else []), *_notes(group, len(values))),
        )

    def _values(self, section: Section, group: ConfigurationRuns, split: str, metric: str) -> list[float]:
        return [*group.values(section.selection, split, metric).values()]


def _notes(group: ConfigurationRuns, used: int) -> Iterator[str]:
    """The footnotes of a row whose results are the values of `used` seeds."""
    total, first = len(group.records), group.first
    if group.changed:
        yield f"Changed settings: {group.changed}."
    yield from first.data.notes
    if OTHER_VERSION in group.marks:
        yield "Run with another version or configuration of the model or the task than this glebench has."
    if OTHER_CODE in group.marks:
        modules = {m for r in group.records for m in changed_since(r.plugins, r.task, r.model, r.rule)}
        yield f"Run by other code of a plugin than is installed now: {', '.join(sorted(modules))}."
    if 0 < group.shipped < total:
        yield f"Seeds: {group.shipped} that come with glebench, {total - group.shipped} of yours."
    if dirty := sum(record.environment.git.dirty is True for record in group.records):
        yield f"{dirty} of {total} seeds were run by code with uncommitted changes."
    if first.cost.macs_missing is not None:
        yield f"Multiply-accumulates of {first.model} are not known: {first.cost.macs_missing}."
    without = [*group.unfinished, *([f"{n} without a value"] if (n := len(group.done) - used) > 0 else [])]
    if without:
        rest = f"the values are over the other {used}" if used else "there is no value"
        yield f"Of {total} seed{'' if total == 1 else 's'}, {' and '.join(without)}: {rest}."
