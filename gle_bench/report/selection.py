"""Runs that a user selects, by name or by what they have in common, and the values of their settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from gle_bench import registry
from gle_bench.config import ModelConfig
from gle_bench.errors import GleBenchError, UnknownName, UsageError, clipped, did_you_mean
from gle_bench.report.results import gather
from gle_bench.surroundings.home import expanded
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Skipped, Store
from gle_bench.words import Budget, Protocol

MOST_NAMES: Final = 5  # of runs in a message
NAMING: Final = ("task", "model", "rule", "protocol", "budget", "seed", "parameters")  # of a record, besides settings
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


# Settings -------------------------------------------------------------------------------------------------------------


def changed_settings(record: Record) -> dict[str, Any]:
    """The settings that differ from the model's own, {path: value}, without the rule."""
    values = leaves(record.config)
    texts = [mark.value.partition("=") for mark in record.marks if mark.kind == "setting"]
    return {path: values.get(path, text) for path, _, text in texts}


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a nested configuration by its path, 'training.rate'; lists as a whole, and by their elements."""
    found: dict[str, Any] = {}
    parts = tree.items() if isinstance(tree, Mapping) else ((str(k), part) for k, part in enumerate(tree))
    for name, part in parts:
        if isinstance(part, list) or not isinstance(part, Mapping):
            found[f"{prefix}{name}"] = part
        if isinstance(part, list | Mapping):
            found |= leaves(part, f"{prefix}{name}.")
    return found


class Setting(NamedTuple):
    """A setting of several runs: its path, its values {run id: value}, and the paths of the fields that it is made of.

    A run that does not have it has no value.
    """

    path: str
    values: Mapping[str, Any]
    fields: tuple[str, ...]

    def covers(self, path: str) -> bool:
        """Whether a changed field is accounted for by this setting."""
        return any(field == path or field.startswith(f"{path}.") for field in self.fields)


def setting(key: str, records: Sequence[Record]) -> Setting:
    """The setting that a key names in the records, by its path or the end of its path, or a size such as the width.

    Raises:
        UsageError: several settings end so. UnknownName: none does.
    """
    if key in NAMING:
        return Setting(key, {record.run_id: getattr(record, key) for record in records}, (key,))
    trees = {record.run_id: leaves(record.config) for record in records}
    paths = dict.fromkeys(path for tree in trees.values() for path in tree)
    ends = [path for path in paths if path == key or path.endswith(f".{key}")]
    if not ends:
        return _size(key, records, paths)
    plain = [path for path in ends if not any(part.isdigit() for part in path.split("."))]
    ends = [path for path in ends if path == key] or plain or ends
    if len(ends) > 1:
        raise UsageError(f"--x {clipped(key)}: ambiguous; it could be {' or '.join(ends)}.")
    return Setting(ends[0], {run_id: tree[ends[0]] for run_id, tree in trees.items() if ends[0] in tree}, (ends[0],))


def _size(key: str, records: Sequence[Record], paths: Mapping[str, Any]) -> Setting:
    """A size of networks that several of their fields make up, such as their width."""
    values, fields = {}, dict[str, None]()
    name = key.removeprefix("network.")
    for record in records:
        network = _network(record)
        if network is not None and name in type(network).sizes:
            values[record.run_id] = size = getattr(network, name)
            other = network.resized({name: 2 * size})
            changed = [each for each in type(network).model_fields if getattr(network, each) != getattr(other, each)]
            fields |= dict.fromkeys(f"network.{each}" for each in changed)
    if not values:
        names = {*NAMING, *(path.rpartition(".")[2] for path in paths if not path.rpartition(".")[2].isdigit())}
        raise UnknownName(did_you_mean("setting", key, names))
    return Setting(f"network.{name}", values, tuple(fields))


def _network(record: Record) -> ModelConfig | None:
    """The configuration of a record's network, in the type of its family; None where that cannot be had."""
    try:
        family = type(registry.pair(record.task, record.model).configure(record.budget).network)
        return family.model_validate(record.config["network"])
    except (GleBenchError, ValidationError):
        return None
