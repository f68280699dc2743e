"""The settings of recorded runs: those that were changed, the values of one in several runs, and their texts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gle_bench import registry
from gle_bench.errors import GleBenchError, UnknownName, UsageError, clipped, did_you_mean, printable
from gle_bench.plugins import guarded
from gle_bench.report.output import plain
from gle_bench.tracking.record import Record

LONGEST: Final = 40  # characters of a changed setting in a label
# What a record has beside the settings of its configuration
NAMING: Final = ("task", "model", "rule", "protocol", "budget", "parameters")


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
        if name in (sizes := _sizes(record)):
            values[record.run_id], its_fields = sizes[name]
            fields |= dict.fromkeys(its_fields)
    if not values:
        names = {*NAMING, *(path.rpartition(".")[2] for path in paths if not path.rpartition(".")[2].isdigit())}
        raise UnknownName(did_you_mean("setting", key, names))
    return Setting(f"network.{name}", values, tuple(fields))


def _sizes(record: Record) -> dict[str, tuple[int, list[str]]]:
    """The sizes of a record's network that can be set, {name: (size, paths of the fields that make it up)}."""
    sizes = {}
    try:
        with guarded(f"Model {record.model}"):
            family = type(registry.pair(record.task, record.model).configure(record.budget).network)
            network = family.model_validate(record.config["network"])
            for name in family.sizes:
                size: int = getattr(network, name)
                other = network.resized({name: 2 * size})
                fields = [each for each in family.model_fields if getattr(network, each) != getattr(other, each)]
                sizes[name] = (size, [f"network.{field}" for field in fields])
    except GleBenchError:  # a model that is not installed, or a network that it does not take
        return {}
    return sizes


def change_words(record: Record, path: str, text: str) -> str:
    """A changed setting in a few words: 'rate=0.01', or 'width=90' for a long list that makes up a size."""
    words = setting_words({path: text})
    if len(words) <= LONGEST:
        return words
    named = [f"{name}={size}" for name, (size, fields) in _sizes(record).items() if path in fields]
    return ", ".join(named) or clipped(words, LONGEST)


def setting_words(settings: dict[str, Any]) -> str:
    """Settings as a reader writes them: 'rate=0.01, optimizer=sgd'."""
    return ", ".join(f"{path.rpartition('.')[2]}={value_text(value)}" for path, value in settings.items())


def value_text(value: Any) -> str:
    """A setting's value as text: a plain word as it stands, all else as JSON."""
    return printable(value) if isinstance(value, str) else json.dumps(plain(value))
