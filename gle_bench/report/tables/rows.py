"""The rows of a table: what was published beside what was measured, nothing mixed.

Records go into one row only if they have the same model, rule, protocol and configuration hash, hence the same meaning.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.contracts import LearningRule, Pair, Published, Task, footing
from gle_bench.contracts.command import RunCommand
from gle_bench.contracts.parameters import parameter_count
from gle_bench.report.statistics.equivalence import Comparison, compare, mean_interval
from gle_bench.report.statistics.welch import Interval, Sample, sample
from gle_bench.tracking.estimates import full_seconds
from gle_bench.tracking.provenance import changed_since
from gle_bench.tracking.record import OTHER_CODE, OTHER_VERSION, Mark, Record
from gle_bench.words import Protocol, Selection

UNFINISHED: Final = ("diverged", "failed", "interrupted", "running")


class Section(NamedTuple):
    """What must never be mixed in one column."""

    protocol: Protocol
    selection: Selection


SECTIONS = (
    Section("paper", "last"),
    Section("paper", "best"),
    Section("clean", "last"),
    Section("clean", "best"),
)


class Watched(NamedTuple):
    """Our values on the split that was evaluated while training."""

    split: str
    ours: Sample


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        split: the split that the values are from.
        marks: why it cannot be compared with what was published: reduced budget, other data, changed settings.
        config_hash: None where nothing was run.
        online, streamed: what the method is granted; None: not known.
        ours: over the seeds that are done; None if none is.
        interval: 95 %, of our mean.
        watched: ours on the split evaluated while training; None where that is `split`.
        seeds: how many runs have each status.
        command: what would run it, where nothing was; seconds: how long that would take, if recorded runs tell.
        notes: footnotes.
    """

    section: Section
    split: str
    model: str
    rule: str | None
    marks: tuple[Mark, ...] = ()
    config_hash: str | None = None
    parameters: int | None = None
    online: bool | None = None
    streamed: bool | None = None
    published: Published | None = None
    ours: Sample | None = None
    interval: Interval | None = None
    watched: Watched | None = None
    comparison: Comparison | None = None
    seeds: tuple[tuple[str, int], ...] = ()
    command: str = ""
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The model, its rule where that is not its own, and its marks, changed settings as one word."""
        named = any(mark.kind == "rule" for mark in self.marks)
        shown = ", ".join(dict.fromkeys(mark.word for mark in self.marks))
        return f"{self.model}{f'+{self.rule}' if named else ''}{f' [{shown}]' if shown else ''}"

    @property
    def verdict(self) -> str:
        """In words; empty where there is none."""
        if self.published is not None and not self.seeds:
            return "not run"
        return self.comparison.verdict or "" if self.comparison else ""


class Together(NamedTuple):
    """Records of one meaning."""

    records: tuple[Record, ...]
    marks: tuple[Mark, ...]

    @property
    def first(self) -> Record:
        return self.records[0]

    def values(self, section: Section, split: str, metric: str) -> list[float]:
        """One finite value a seed that is done."""
        splits = [r.metrics.get(section.selection, {}).get(split, {}) for r in self.records if r.status == "done"]
        return [m[metric].value for m in splits if metric in m and m[metric].usable]


def rows(task: Task, records: Iterable[Record], pairs: Iterable[Pair]) -> list[Row]:
    """All rows of a task's table, section by section: what was published first, then what else was run."""
    known = {pair.model: pair for pair in pairs if pair.task == task.name}
    groups = grouped(task, [record for record in records if record.task == task.name], known)
    ran = sorted({group.first.model for group in groups} - set(known))
    models = dict.fromkeys([*(cell.model for cell in task.published), *known, *ran])
    builder = _Builder(task, known)
    return [row for section in SECTIONS for model in models for row in builder.rows(section, model, groups)]


def grouped(task: Task, records: Sequence[Record], known: dict[str, Pair]) -> list[Together]:
    """A task's records by their meaning, those with the fewest marks first; `known` are its pairs, by model."""
    together: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in sorted(records, key=lambda r: (r.config_hash, r.seed)):
        together.setdefault((record.model, record.rule, record.protocol, record.config_hash), []).append(record)
    names = dict.fromkeys(record.rule for record in records)
    rules = {name: rule for name in names if (rule := registry.usable_rule(name)) is not None}
    found = []
    for members in together.values():
        marks = dict.fromkeys(mark for record in members for mark in record.marks)
        if not _is_present(members, task, known, rules):
            marks[OTHER_VERSION] = None
        if any(changed_since(r.plugins, r.task, r.model, r.rule) for r in members):
            marks[OTHER_CODE] = None
        found.append(Together(tuple(members), tuple(marks)))
    return sorted(found, key=lambda group: len(group.marks))


def _is_present(
    members: Sequence[Record], task: Task, known: Mapping[str, Pair], rules: Mapping[str, LearningRule]
) -> bool:
    """Whether today's configuration and versions have this hash; taken for granted where settings were changed.

    Older records must not be taken for what this glebench computes.
    """
    first = members[0]
    if first.model not in known:
        return False
    if any(mark.changed for record in members for mark in record.marks):
        return True
    if first.rule not in rules:
        return False
    own = registry.with_rule(known[first.model].configure(first.budget), rules[first.rule])
    config = own.model_copy(update={"protocol": first.protocol})
    return registry.hash_with(task, rules[first.rule], config, first.data.fingerprint) == first.config_hash


class _Builder:
    """Makes the rows of one task."""

    def __init__(self, task: Task, known: dict[str, Pair]) -> None:
        self._task, self._known = task, known
        self._sizes: dict[str, int] = {}

    def rows(self, section: Section, model: str, groups: Sequence[Together]) -> Iterator[Row]:
        """A model's rows in one section: each published cell with each full run, then what bears marks."""
        mine = [group for group in groups if (group.first.model, group.first.protocol) == (model, section.protocol)]
        full = [group for group in mine if not group.marks and group.first.budget == "paper"]
        cells = [c for c in self._task.published if section == ("paper", c.selection) and c.model == model]
        for cell in cells:
            yield from (self._measured(section, group, cell) for group in full)
            if not full:
                yield self._not_run(section, cell, [r for g in groups if g.first.model == model for r in g.records])
        for group in mine:
            told = {cell.split for cell in cells} if group in full else set()
            if self._split(section, group) not in told:
                row = self._measured(section, group, None)
                if row.ours is not None or (section.selection == "last" and not told):
                    yield row

    def _not_run(self, section: Section, cell: Published, alike: Sequence[Record]) -> Row:
        pair = self._known.get(cell.model)
        notes = tuple(filter(None, [cell.caveat]))
        if pair is None:
            return Row(section, cell.split, cell.model, None, published=cell, notes=notes)
        config = pair.configure("paper")
        ground = footing(registry.rule(config.rule), config.network)
        if cell.model not in self._sizes:
            self._sizes[cell.model] = parameter_count(self._task, config)
        return Row(
            section,
            cell.split,
            cell.model,
            config.rule,
            parameters=self._sizes[cell.model],
            online=ground.online,
            streamed=ground.streamed,
            published=cell,
            command=str(RunCommand(self._task.name, cell.model)),
            seconds=full_seconds(self._task, pair, alike),
            notes=notes,
        )

    def _measured(self, section: Section, group: Together, cell: Published | None) -> Row:
        first, metric = group.first, self._task.metric.name
        split = cell.split if cell else self._split(section, group)
        values = group.values(section, split, metric)
        ours = sample(values) if values else None
        return Row(
            section,
            split,
            first.model,
            first.rule,
            group.marks,
            first.config_hash,
            first.parameters,
            first.footing.get("online"),
            first.footing.get("streamed"),
            cell,
            ours,
            mean_interval(ours) if ours else None,
            self._watched(section, group, split),
            compare(cell, values) if cell and values else None,
            tuple(sorted(Counter(record.status for record in group.records).items())),
            notes=(*([cell.caveat] if cell and cell.caveat else []), *_notes(group, len(values))),
        )

    def _watched(self, section: Section, group: Together, split: str) -> Watched | None:
        evaluated = self._task.evaluation_split(section.protocol)
        values = group.values(section, evaluated, self._task.metric.name) if evaluated != split else []
        return Watched(evaluated, sample(values)) if values else None

    def _split(self, section: Section, group: Together) -> str:
        """Without a published cell: the test split where it was looked at, else the one evaluated while training."""
        evaluated = self._task.evaluation_split(section.protocol)
        return "test" if group.values(section, "test", self._task.metric.name) else evaluated


def _notes(group: Together, used: int) -> Iterator[str]:
    total, counts = len(group.records), Counter(record.status for record in group.records)
    changed = [str(mark) for mark in group.marks if mark.changed]
    if changed:
        yield f"Changed settings: {', '.join(changed)}."
    yield from group.first.data.notes
    if OTHER_VERSION in group.marks:
        yield "Run with another version or configuration of the model or the task than this glebench has."
    if OTHER_CODE in group.marks:
        changed_modules = {m for r in group.records for m in changed_since(r.plugins, r.task, r.model, r.rule)}
        yield f"Run by other code of a plugin than is installed now: {', '.join(sorted(changed_modules))}."
    if dirty := sum(record.environment.git.dirty is True for record in group.records):
        yield f"{dirty} of {total} seeds were run by code with uncommitted changes."
    if (missing := group.first.cost.macs_missing) is not None:
        yield f"Multiply-accumulates of {group.first.model} are not known: {missing}."
    without = [f"{counts[status]} {status}" for status in UNFINISHED if counts[status]]
    if counts["done"] > used:
        without.append(f"{counts['done'] - used} without a value")
    if without:
        rest = f"the values are over the other {used}" if used else "there is no value"
        yield f"Of {total} seed{'' if total == 1 else 's'}, {' and '.join(without)}: {rest}."
