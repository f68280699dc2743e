"""Recorded runs, the user's own and those published with glebench, grouped by configuration."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.chosen import hash_with, with_rule
from gle_bench.contracts import LearningRule, Pair, Task
from gle_bench.tracking.provenance import changed_since
from gle_bench.tracking.record import OTHER_CODE, OTHER_VERSION, Mark, Record
from gle_bench.tracking.store import RunFolder, Skipped, Store
from gle_bench.words import AVERAGES, Origin, Selection

UNFINISHED: Final = ("diverged", "failed", "interrupted", "running")  # the statuses of runs without a result


def published_runs() -> Path:
    """The folder of the published records, laid out like any store."""
    return Path(str(files("gle_bench.leaderboards"))) / "records"


def gather(runs: Path, only: Origin | None = None) -> tuple[list[tuple[RunFolder, Record]], list[Skipped]]:
    """All records of the folder `runs` and all published ones, with their folders; and those that could not be read.

    A record in `runs` replaces the published one of the same run. `only` leaves out those of the other origin.
    """
    own, skipped = ([], []) if only == "published-records" else Store(runs).records()
    own_ids = {record.run_id for _, record in own}
    published, more = ([], []) if only == "mine" else Store(published_runs()).records()
    return own + [(folder, record) for folder, record in published if record.run_id not in own_ids], skipped + more


def shipped_runs(gathered: Iterable[tuple[RunFolder, Record]]) -> frozenset[str]:
    """The ids of the runs among gathered ones whose records come with glebench."""
    published = published_runs()
    return frozenset(record.run_id for folder, record in gathered if folder.path.is_relative_to(published))


class ConfigurationRuns(NamedTuple):
    """All recorded seeds of one configuration, whatever their status. `grouped` makes them.

    Attributes:
        marks: the reasons why they cannot be compared with a published number.
        shipped: the number of the records that come with glebench; 0 where nobody asked.
    """

    records: tuple[Record, ...]
    marks: tuple[Mark, ...]
    shipped: int = 0

    @property
    def first(self) -> Record:
        """The record of the smallest seed. What all records share is read from it."""
        return self.records[0]

    @property
    def done(self) -> list[Record]:
        """The records of the seeds that ended well."""
        return [record for record in self.records if record.status == "done"]

    @property
    def unfinished(self) -> list[str]:
        """The numbers of seeds that did not end well, each as '2 failed'."""
        counts = Counter(record.status for record in self.records)
        return [f"{counts[status]} {status}" for status in UNFINISHED if counts[status]]

    @property
    def changed(self) -> str:
        """A list of the settings that differ from the model's own, as text; empty where none does."""
        return ", ".join(str(mark) for mark in self.marks if mark.changed)

    def values(self, selection: Selection, split: str, metric: str) -> dict[int, float]:
        """The finite values of the seeds that are done, {seed: value}."""
        measured = {r.seed: r.metrics.get(selection, {}).get(split, {}).get(metric) for r in self.done}
        return {seed: each.value for seed, each in measured.items() if each is not None and each.usable}

    def split(self, task: Task, selection: Selection) -> str:
        """The split on which results are shown: the test split, or the one watched while training where it has none."""
        on_test = self.values(selection, "test", task.metric.name)
        return "test" if on_test else task.evaluation_split(self.first.protocol)


def words_of(marks: Sequence[Mark]) -> tuple[str, ...]:
    """The words by which labels show marks; all changed settings share the word 'changed'."""
    return tuple(dict.fromkeys(mark.word for mark in marks))


def pairs_of(task: Task) -> dict[str, Pair]:
    """The registered pairs of a task, by model."""
    return {pair.model: pair for pair in registry.pairs() if pair.task == task.name}


def grouped(
    task: Task, records: Iterable[Record], pairs: Mapping[str, Pair], shipped: Collection[str] = ()
) -> list[ConfigurationRuns]:
    """The records of a task, grouped by configuration; the groups with the fewest marks come first.

    The records of a group have the same model, rule, protocol and configuration hash. `pairs` are those of the task,
    by model; `shipped` are the ids of the runs that come with glebench.
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
        groups.append(ConfigurationRuns(tuple(members), tuple(marks), sum(r.run_id in shipped for r in members)))
    return sorted(groups, key=lambda group: len(group.marks))


def _is_present(members: Sequence[Record], task: Task, pair: Pair | None, rule: LearningRule | None) -> bool:
    """Whether the records belong to the present configuration of their pair, whose hash must be theirs.

    Where settings were changed, the hash cannot be compared, and the answer is yes.
    """
    first = members[0]
    if pair is None:
        return False
    if any(mark.changed for record in members for mark in record.marks):
        return True
    if rule is None:
        return False
    own = with_rule(pair.configure(first.budget), rule)
    for average in AVERAGES:  # it is part of the hash, and leaves the raw results as they are
        training = own.training.model_copy(update={"average": average})
        config = own.model_copy(update={"protocol": first.protocol, "training": training})
        if hash_with(task, rule, config, first.data.fingerprint) == first.config_hash:
            return True
    return False


def fullest(
    groups: Iterable[ConfigurationRuns], title: Callable[[ConfigurationRuns], str]
) -> dict[str, ConfigurationRuns]:
    """The best group of each title, {title: group}: the one with the fewest marks, then with the most seeds done.

    Groups in which no seed is done are left out.
    """
    best: dict[str, ConfigurationRuns] = {}
    for group in sorted(groups, key=lambda group: (len(group.marks), -len(group.done))):
        if group.done:
            best.setdefault(title(group), group)
    return best
