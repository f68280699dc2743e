"""Runs of all stores, grouped by configuration: the user's own runs, and those that were published with glebench."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.contracts import LearningRule, Pair, Task
from gle_bench.tracking.provenance import changed_since
from gle_bench.tracking.record import OTHER_CODE, OTHER_VERSION, Mark, Record
from gle_bench.tracking.store import RunFolder, Skipped, Store
from gle_bench.words import Selection

UNFINISHED: Final = ("diverged", "failed", "interrupted", "running")


def published_runs() -> Path:
    """The folder of the published records, laid out like any store."""
    return Path(str(files("gle_bench.leaderboards"))) / "records"


def gather(runs: Path) -> tuple[list[tuple[RunFolder, Record]], list[Skipped]]:
    """Every readable record of both stores with its folder, and the records that were passed over.

    A record in the folder `runs` replaces the published one of the same run.
    """
    own, skipped = Store(runs).records()
    own_ids = {record.run_id for _, record in own}
    published, more = Store(published_runs()).records()
    return own + [(folder, record) for folder, record in published if record.run_id not in own_ids], skipped + more


class ConfigurationRuns(NamedTuple):
    """All recorded seeds of one configuration, whatever their status. `grouped` makes them.

    Attributes:
        marks: the reasons why they cannot be compared with a published number.
    """

    records: tuple[Record, ...]
    marks: tuple[Mark, ...]

    @property
    def first(self) -> Record:
        """The record of the smallest seed, for what all of them share."""
        return self.records[0]

    @property
    def done(self) -> list[Record]:
        """The seeds that ended well."""
        return [record for record in self.records if record.status == "done"]

    @property
    def unfinished(self) -> list[str]:
        """How many seeds did not end well, as '2 failed', one text a status."""
        counts = Counter(record.status for record in self.records)
        return [f"{counts[status]} {status}" for status in UNFINISHED if counts[status]]

    @property
    def changed(self) -> str:
        """The settings that differ from the pair's own, as footnotes list them."""
        return ", ".join(str(mark) for mark in self.marks if mark.changed)

    def values(self, selection: Selection, split: str, metric: str) -> dict[int, float]:
        """The finite values of the seeds that are done, {seed: value}."""
        measured = {r.seed: r.metrics.get(selection, {}).get(split, {}).get(metric) for r in self.done}
        return {seed: each.value for seed, each in measured.items() if each is not None and each.usable}

    def split(self, task: Task, selection: Selection) -> str:
        """The split of the final values: the test split where it was looked at, else the one watched in training."""
        looked_at = self.values(selection, "test", task.metric.name)
        return "test" if looked_at else task.evaluation_split(self.first.protocol)


def words_of(marks: Sequence[Mark]) -> tuple[str, ...]:
    """Marks as labels show them: all changed settings are one word."""
    return tuple(dict.fromkeys(mark.word for mark in marks))


def pairs_of(task: Task) -> dict[str, Pair]:
    """The registered pairs of a task, by model."""
    return {pair.model: pair for pair in registry.pairs() if pair.task == task.name}


def grouped(task: Task, records: Iterable[Record], pairs: Mapping[str, Pair]) -> list[ConfigurationRuns]:
    """The records of a task by configuration; the groups with the fewest marks come first.

    Records are in one group only if they have the same model, rule, protocol and configuration hash, hence the same
    meaning.
    """
    seeds: dict[tuple[str, str, str, str], list[Record]] = {}
    for record in sorted(records, key=lambda record: (record.config_hash, record.seed)):
        if record.task == task.name:
            seeds.setdefault((record.model, record.rule, record.protocol, record.config_hash), []).append(record)
    rules = {name: registry.usable_rule(name) for name in dict.fromkeys(rule for _, rule, _, _ in seeds)}
    groups = []
    for members in seeds.values():
        marks = dict.fromkeys(mark for record in members for mark in record.marks)
        if not _is_present(members, task, pairs.get(members[0].model), rules[members[0].rule]):
            marks[OTHER_VERSION] = None
        if any(changed_since(r.plugins, r.task, r.model, r.rule) for r in members):
            marks[OTHER_CODE] = None
        groups.append(ConfigurationRuns(tuple(members), tuple(marks)))
    return sorted(groups, key=lambda group: len(group.marks))


def _is_present(members: Sequence[Record], task: Task, pair: Pair | None, rule: LearningRule | None) -> bool:
    """Whether today's configuration and versions have this hash; taken for granted where settings were changed.

    Older records must not be taken for what this glebench computes.
    """
    first = members[0]
    if pair is None:
        return False
    if any(mark.changed for record in members for mark in record.marks):
        return True
    if rule is None:
        return False
    own = registry.with_rule(pair.configure(first.budget), rule)
    config = own.model_copy(update={"protocol": first.protocol})
    return registry.hash_with(task, rule, config, first.data.fingerprint) == first.config_hash


def fullest(
    groups: Iterable[ConfigurationRuns], title: Callable[[ConfigurationRuns], str]
) -> dict[str, ConfigurationRuns]:
    """Of the groups of one title, the one with the fewest marks, then with the most seeds done: {title: group}.

    Groups in which no seed is done are left out.
    """
    found: dict[str, ConfigurationRuns] = {}
    for group in sorted(groups, key=lambda group: (len(group.marks), -len(group.done))):
        if group.done:
            found.setdefault(title(group), group)
    return found
