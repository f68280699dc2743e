"""Suites as data: their entries, and the configurations and seeds of these."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gle_bench.chosen import Chosen
from gle_bench.chosen import resolve as choose
from gle_bench.config import Frozen, parse_seeds
from gle_bench.contracts.command import RunCommand
from gle_bench.words import Budget, Protocol


class Entry(Frozen):
    """An entry of a suite: a model on a task with its seeds, run by one command `glebench run`.

    Attributes:
        rule: the learning rule; None: the model's own.
        seeds: as `--seeds` takes them.
        set: settings, as `--set` takes them.
    """

    task: str
    model: str
    rule: str | None = None
    protocol: Protocol = "paper"
    budget: Budget = "paper"
    seeds: str = "paper"
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A named list of entries, in the order in which they start."""

    name: str
    summary: str
    entries: tuple[Entry, ...]


class Planned(NamedTuple):
    """An entry of a suite with its names resolved: the chosen configuration and the seeds."""

    entry: Entry
    chosen: Chosen
    seeds: tuple[int, ...]

    @property
    def label(self) -> str:
        """The name of the entry in displays, such as 'mnist1d gle-15k, clean'."""
        entry = self.entry
        rule = f"+{entry.rule}" if entry.rule else ""
        changed = [*entry.set, *([entry.protocol] if entry.protocol != "paper" else [])]
        changed += [f"budget {entry.budget}"] if entry.budget != "paper" else []
        return ", ".join([f"{entry.task} {entry.model}{rule}", *changed])

    def command(self, seeds: Iterable[int]) -> RunCommand:
        """The command that runs these seeds of the entry."""
        entry, chosen = self.entry, ",".join(map(str, seeds))
        return RunCommand(entry.task, entry.model, entry.rule, chosen, entry.budget, entry.protocol, entry.set)


def resolve(suite: Suite) -> list[Planned]:
    """All entries of a suite with their names resolved.

    Raises:
        GleBenchError: an unknown task, model, rule or setting; a refused value; a text that names no seeds.
    """
    planned = []
    for entry in suite.entries:
        chosen = choose(entry.task, entry.model, entry.rule, entry.protocol, entry.budget, entry.set)
        planned.append(Planned(entry, chosen, tuple(parse_seeds(entry.seeds, chosen.pair.seeds))))
    return planned
