"""Runs that a user selects: by their names, and by what they have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.errors import GleBenchError, UnknownName, did_you_mean
from gle_bench.report.results import gather
from gle_bench.surroundings.home import expanded
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Skipped, Store
from gle_bench.words import Budget, Protocol

Stored = tuple[RunFolder, Record]


class Filter(NamedTuple):
    """Conditions on records, all of which must hold; None or an empty tuple stands for no condition."""

    task: str | None = None
    models: tuple[str, ...] = ()
    rule: str | None = None
    protocol: Protocol | None = None
    budget: Budget | None = None
    seeds: tuple[int, ...] = ()

    def keeps(self, record: Record) -> bool:
        """Whether the record fulfils all conditions."""
        exact = (self.task, self.rule, self.protocol, self.budget)
        values = (record.task, record.rule, record.protocol, record.budget)
        return (
            all(wanted in (None, value) for wanted, value in zip(exact, values, strict=True))
            and (not self.models or record.model in self.models)
            and (not self.seeds or record.seed in self.seeds)
        )

    @property
    def words(self) -> str:
        """The conditions as options of a command, as '--model tcn --budget short'."""
        options = {"rule": self.rule, "protocol": self.protocol, "budget": self.budget}
        options |= {"seeds": ",".join(map(str, self.seeds)) or None}
        named = [f"--model {model}" for model in self.models]
        return " ".join([*named, *(f"--{name} {value}" for name, value in options.items() if value is not None)])


ALL: Final = Filter()


def select(names: Sequence[str], runs: Path, wanted: Filter = ALL) -> tuple[list[Stored], list[Skipped]]:
    """The runs of these names that fulfil the conditions, each once, and the records that could not be read.

    A name is that of a task, of which all runs are meant, those published with glebench, too; or the beginning of
    runs' ids; or a folder with runs in it.

    Raises:
        UnknownName: a name that is none of these. GleBenchError: no run fulfils the conditions.
    """
    gathered, skipped = gather(runs)
    found: dict[str, Stored] = {}
    for name in names:
        its = _named(name, gathered)
        if its is None:
            raise UnknownName(_unknown(name, gathered, runs))
        found |= {record.run_id: (folder, record) for folder, record in its if wanted.keeps(record)}
    if not found:
        such = f" with {wanted.words}" if wanted.words else ""
        raise GleBenchError(
            f"No run of {', '.join(names)}{such} is recorded; `glebench list runs` lists those of yours."
        )
    return list(found.values()), skipped


def _named(name: str, gathered: Sequence[Stored]) -> list[Stored] | None:
    """The runs of a task, in a folder, or whose ids begin so; None if there is no such thing."""
    if name in registry.places("tasks"):
        return [stored for stored in gathered if stored[1].task == name]
    path = expanded(name)
    inside = Store(path.parent if path.name == "record.json" else path).records()[0]
    return inside or [stored for stored in gathered if name and stored[1].run_id.startswith(name)] or None


def _unknown(name: str, gathered: Sequence[Stored], runs: Path) -> str:
    """The message about a name that is no task, no run and no folder of runs."""
    ids = sorted(record.run_id for _, record in gathered)
    sentence = did_you_mean("task or run", name, [*registry.places("tasks"), *ids]).partition(" Task or runs: ")[0]
    return f"{sentence} Give a task, the beginning of a run's id in {runs.absolute()}, or a folder of runs."
