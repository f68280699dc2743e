"""Settings with several values, as the command line and a suite's file spell them.

In `--set key=v1,v2` commas separate values, but not within brackets, braces or double quotes: a list is one value.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gle_bench.errors import UsageError, clipped
from gle_bench.files.foreign import Malformed, json_value

CLOSING: Final = {"[": "]", "{": "}"}


class Swept(NamedTuple):
    """A setting and its values, each as `--set` takes it."""

    key: str
    values: tuple[str, ...]


def swept(text: str) -> Swept:
    """The setting and the values of a text 'key=v1,v2'.

    Raises:
        UsageError: there is no '=', a value is empty or named twice, or a bracket or a quote is not closed.
    """
    key, equals, listed = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {clipped(text)}: write it as key=value, or key=value,value for several.")
    values = tuple(value.strip() for value in split(listed, key))
    if "" in values:
        cure = 'leave out a comma, or write "" for an empty text'
        raise UsageError(f"--set {clipped(text)}: one of the values is empty; {cure}.")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UsageError(f"--set {clipped(text)}: {clipped(twice)} is named twice; name each value once.")
    return Swept(key.strip(), values)


def split(text: str, key: str = "key") -> list[str]:
    """The parts of a text between its commas, where commas in brackets, braces and double quotes do not count.

    Raises:
        UsageError: a bracket or a quote is not closed, or closes none.
    """
    parts, opened, quoted, escaped = [""], list[str](), False, False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in CLOSING:
            opened.append(CLOSING[character])
        elif character in CLOSING.values():
            if not opened or opened.pop() != character:
                raise UsageError(_unpaired(key, text, f"a {character} closes nothing"))
        elif character == "," and not opened:
            parts.append("")
            continue
        parts[-1] += character
    if quoted or opened:
        missing = '"' if quoted else opened[-1]
        raise UsageError(_unpaired(key, text, f"a {missing} is missing"))
    return parts


def _unpaired(key: str, text: str, fault: str) -> str:
    return (
        f"--set {clipped(key)}={clipped(text)}: {fault}; commas separate values, except within "
        '[...], {...} and "...", each of which must be closed.'
    )


def spelled(value: Any) -> str:
    """A value of a TOML file as `--set` takes it: a plain word as it stands, all else as JSON.

    Raises:
        UsageError: JSON has no such value, as for a date.
    """
    try:
        text = json.dumps(value)
        if isinstance(value, str) and value.strip() == value and value:
            try:
                json_value(value)
            except Malformed:
                return value
    except (TypeError, ValueError) as error:
        raise UsageError(f"{clipped(str(value))} is no value of a setting; write a date as a text.") from error
    return text


def described(table: Mapping[str, Any], prefix: str = "") -> list[Swept]:
    """The settings of a table `sweep` in a suite's file, {key: list of values}; tables in it are parts of a path.

    Raises:
        UsageError: a setting has no list of values.
    """
    settings = []
    for name, values in table.items():
        if isinstance(values, Mapping):
            settings += described(values, f"{prefix}{name}.")
        elif isinstance(values, list | tuple) and values:
            settings.append(Swept(f"{prefix}{name}", tuple(spelled(value) for value in values)))
        else:
            raise UsageError(f"sweep.{prefix}{name} = {clipped(str(values))}: give a list of values, as [1e-3, 2e-3].")
    return settings
