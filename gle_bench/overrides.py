"""The settings that a user changes by `--set key=value`, and their place in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gle_bench import plugins
from gle_bench.errors import UnknownName, UsageError, clipped, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gle_bench.config import RunConfig

Path = tuple[str, ...]  # the names of fields, and the numbers of elements of lists, from the outside in

# What pydantic says of a value of the wrong shape, in the words of who writes JSON: type of complaint -> message.
SHAPES: Final = {
    "tuple_type": "Input should be a list, in JSON: [...]",
    "model_type": 'Input should be an object, in JSON: {"name": value, ...}',
    "model_attributes_type": 'Input should be an object, in JSON: {"name": value, ...}',
}


def override(config: RunConfig, assignments: Iterable[str]) -> RunConfig:
    """The configuration with these `key=value` assignments, validated as a whole.

    A key is the name of a field if only one field has it ('epochs'), else its path ('training.epochs'). A number in a
    path counts the elements of a list from 0 ('populations.0.neurons'). A family of networks may have sizes that can be
    set, too ('width'). A value is read as JSON, and taken as text if it is not JSON.

    Raises:
        UsageError: an assignment without '=', an unknown or ambiguous key, or a refused value.
    """
    from pydantic import ValidationError

    assigned: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {clipped(assignment)}: write it as key=value, say --set epochs=10.")
        *above, name = path = path_of(config, key.strip())
        if path in _sizes(config):
            sizes[name] = value_of(text)
            continue
        inner = assigned
        for part in above:
            inner = inner.setdefault(part, {})
            if isinstance(inner, _Value):
                raise UsageError(f"--set {clipped(key)}: '{part}' is set as a whole, too; set one of the two.")
        if isinstance(inner.get(name), dict):
            raise UsageError(f"--set {clipped(key)}: parts of it are set, too; set one of the two.")
        inner[name] = _Value(value_of(text))
    with plugins.guarded("--set"):  # a plugin's model has validators of its own
        try:
            if sizes:
                config = config.model_copy(update={"network": config.network.resized(sizes)})
            replaced: RunConfig = _replaced(config, assigned)
        except ValidationError as error:
            raise UsageError(f"--set: {_first_complaint(error)}") from error
        for name, size in sizes.items():
            if getattr(replaced.network, name) != size:
                got = getattr(replaced.network, name)
                raise UsageError(f"--set {name}={size}: the other settings make it {got}; set one of the two.")
        return replaced


class _Value(NamedTuple):
    """An assigned value. It differs from a plain dictionary, which holds assignments to a nested field's own fields."""

    value: Any


def _paths(config: Any, prefix: Path = ()) -> list[Path]:
    """The paths of all fields of a configuration and of the configurations in it, but not in its lists."""
    paths: list[Path] = []
    for name in type(config).model_fields:
        value = getattr(config, name)
        nested = _paths(value, (*prefix, name)) if hasattr(type(value), "model_fields") else []
        paths += [*nested, (*prefix, name)]
    return paths


def _settable(config: RunConfig) -> list[Path]:
    """The paths of all fields that `--set` may change."""
    fixed = {("task",), ("model",), ("rule",), ("protocol",), ("budget",)}
    return [*(path for path in _paths(config) if path not in fixed), *_sizes(config)]


def spellings(config: RunConfig) -> list[str]:
    """The shortest key of each setting: the name of its field if only one field has it, else its path."""
    settable = _settable(config)
    last = [path[-1] for path in settable]
    unique = {name for name in last if last.count(name) == 1}
    return [path[-1] if path[-1] in unique else ".".join(path) for path in settable]


def _inner_paths(value: Any, prefix: Path = ()) -> list[Path]:
    """The paths of all elements of lists in a configuration, and of the fields in these."""
    paths: list[Path] = []
    inside = any(map(_is_number, prefix))
    fields = type(value).model_fields if hasattr(type(value), "model_fields") else ()
    parts = {name: getattr(value, name) for name in fields}
    if isinstance(value, tuple):
        parts = {str(number): part for number, part in enumerate(value)}
    for name, part in parts.items():
        path = (*prefix, name)
        paths += [*_inner_paths(part, path), *([path] if inside or _is_number(name) else [])]
    return paths


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdecimal()


def _sizes(config: RunConfig) -> list[Path]:
    """The paths of the sizes that the network's family lets a user set."""
    return [("network", name) for name in type(config.network).sizes if name not in type(config.network).model_fields]


def path_of(config: RunConfig, key: str) -> Path:
    """The path of the field that a key names. Elements of lists are sought where no field has the name.

    Raises:
        UsageError: an ambiguous key, or the number of an element that a list does not have. UnknownName: another key.
    """
    settable = _settable(config)
    parts = tuple(key.split("."))
    matching = [path for path in settable if path[-len(parts) :] == parts]
    if not matching and not _is_number(parts[0]):
        inner = _inner_paths(config)
        matching = [path for path in inner if path[-len(parts) :] == parts]
        _refuse_beyond(key, parts, settable, inner)
    exact = [path for path in matching if path == parts]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        raise UsageError(f"--set {key}: ambiguous; it could be {' or '.join('.'.join(p) for p in matching)}.")
    raise UnknownName(did_you_mean("setting", key, {path[-1] for path in settable}))


def _refuse_beyond(key: str, parts: Path, settable: Iterable[Path], inner: Iterable[Path]) -> None:
    """Refuses a key with the number of an element that the list before it does not have."""
    place = next((place for place, part in enumerate(parts) if _is_number(part)), None)
    if place is None:
        return
    lists = [path for path in settable if path[-place:] == parts[:place]]
    elements = [path for path in inner if path[:-1] in lists]
    if len(lists) == 1 and (*lists[0], parts[place]) not in elements:
        name, count = ".".join(lists[0]), len(elements)
        there = f"has the elements 0 to {count - 1}; choose one of them, or" if count else "is empty;"
        raise UsageError(f"--set {clipped(key)}: {name} {there} set {name} as a whole.")


def value_of(text: str) -> Any:
    """The value that a text spells as JSON, or the text itself.

    Raises:
        UsageError: JSON of too large numbers, or too deeply nested.
    """
    from gle_bench.files.foreign import Malformed, OutOfBounds, json_value

    try:
        return json_value(text)
    except OutOfBounds as error:
        raise UsageError(f"--set: {error}; give a value that the setting takes.") from error
    except Malformed:
        return text


def _replaced(config: Any, assigned: dict[str, Any]) -> Any:
    """A copy with the assigned fields, validated once, so that fields that depend on each other can change together."""
    if isinstance(config, tuple):
        elements = list(config)
        for number, new in assigned.items():
            inside = elements[int(number)]
            elements[int(number)] = new.value if isinstance(new, _Value) else _replaced(inside, new)
        return elements
    fields = {name: getattr(config, name) for name in type(config).model_fields}
    for name, new in assigned.items():
        if not isinstance(new, _Value):
            fields[name] = _replaced(fields[name], new)
        elif name in ("network", "options", "rule_options") and isinstance(new.value, dict):
            fields[name] = type(fields[name]).model_validate(new.value)  # declared as the base of all families
        else:
            fields[name] = new.value
    return type(config).model_validate(fields)


def _first_complaint(error: Any) -> str:
    """The first complaint of a ValidationError, with the field and the value that it got."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = SHAPES.get(first["type"], first["msg"].removeprefix("Value error, "))
    whole = isinstance(first["input"], dict) and first["type"] not in SHAPES  # the fault is in one of its fields
    got = "" if whole else f" (got {clipped(repr(first['input']))})"
    if first["type"] == "union_tag_not_found":
        message = "'kind' is required"
    elif first["type"] == "union_tag_invalid":
        message = f"kind should be one of {first['ctx']['expected_tags']} (got {clipped(repr(first['ctx']['tag']))})"
    return f"{where + ': ' if where else ''}{message}{got}."
