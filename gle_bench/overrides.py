"""The settings that a user changes by `--set key=value`, and their place in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gle_bench import plugins
from gle_bench.errors import UnknownName, UsageError, clipped, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gle_bench.config import RunConfig

# What pydantic says of a value of the wrong shape, in the words of who writes JSON: type of complaint -> message.
SHAPES: Final = {
    "tuple_type": "Input should be a list, in JSON: [...]",
    "model_type": 'Input should be an object, in JSON: {"name": value, ...}',
    "model_attributes_type": 'Input should be an object, in JSON: {"name": value, ...}',
}


def override(config: RunConfig, assignments: Iterable[str]) -> RunConfig:
    """The configuration with these `key=value` assignments, validated as a whole.

    A key is the name of a field if only one field has it ('epochs'), else its path ('training.epochs'). A value is
    read as JSON, and taken as text if it is not JSON.

    Raises:
        UsageError: an assignment without '=', an unknown or ambiguous key, or a refused value.
    """
    from pydantic import ValidationError

    assigned: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {clipped(assignment)}: write it as key=value, say --set epochs=10.")
        *above, name = _path(config, key.strip())
        inner = assigned
        for part in above:
            inner = inner.setdefault(part, {})
            if isinstance(inner, _Value):
                raise UsageError(f"--set {clipped(key)}: '{part}' is set as a whole, too; set one of the two.")
        if isinstance(inner.get(name), dict):
            raise UsageError(f"--set {clipped(key)}: parts of it are set, too; set one of the two.")
        inner[name] = _Value(_value(text))
    with plugins.guarded("--set"):  # a plugin's model has validators of its own
        try:
            replaced: RunConfig = _replaced(config, assigned)
            return replaced
        except ValidationError as error:
            raise UsageError(f"--set: {_first_complaint(error)}") from error


class _Value(NamedTuple):
    """An assigned value. It differs from a plain dictionary, which holds assignments to a nested field's own fields."""

    value: Any


def _paths(config: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all fields of a configuration and of the configurations in it."""
    paths: list[tuple[str, ...]] = []
    for name in type(config).model_fields:
        value = getattr(config, name)
        nested = _paths(value, (*prefix, name)) if hasattr(type(value), "model_fields") else []
        paths += [*nested, (*prefix, name)]
    return paths


def _settable(config: RunConfig) -> list[tuple[str, ...]]:
    """The paths of all fields that `--set` may change."""
    fixed = {("task",), ("model",), ("rule",), ("protocol",), ("budget",)}
    return [path for path in _paths(config) if path not in fixed]


def spellings(config: RunConfig) -> list[str]:
    """The shortest key of each setting: the name of its field if only one field has it, else its path."""
    settable = _settable(config)
    last = [path[-1] for path in settable]
    unique = {name for name in last if last.count(name) == 1}
    return [path[-1] if path[-1] in unique else ".".join(path) for path in settable]


def _path(config: RunConfig, key: str) -> tuple[str, ...]:
    """The path of the field that a key names."""
    settable = _settable(config)
    parts = tuple(key.split("."))
    matching = [path for path in settable if path[-len(parts) :] == parts]
    exact = [path for path in matching if path == parts]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        raise UsageError(f"--set {key}: ambiguous; it could be {' or '.join('.'.join(p) for p in matching)}.")
    raise UnknownName(did_you_mean("setting", key, {path[-1] for path in settable}))


def _value(text: str) -> Any:
    """The value that a text spells as JSON, or the text itself."""
    from gle_bench.data.foreign import Malformed, OutOfBounds, json_value

    try:
        return json_value(text)
    except OutOfBounds as error:
        raise UsageError(f"--set: {error}; give a value that the setting takes.") from error
    except Malformed:
        return text


def _replaced(config: Any, assigned: dict[str, Any]) -> Any:
    """A copy with the assigned fields, validated once, so that fields that depend on each other can change together."""
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
