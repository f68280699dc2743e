"""The errors that users see, and the sentence on an unknown name."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

NAME = re.compile(r"\w[\w.-]*")  # names of tasks, models and rules; runs' folders join a model and its rule by '+'
# Invisible characters: controls except tab and line feed, marks of the writing direction, rare line separators.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
Value = TypeVar("Value")


class GleBenchError(Exception):
    """An error that the user can correct, shown without a traceback: it names the argument, its value and the cure."""


class UsageError(GleBenchError, ValueError):
    """The error for a wrong argument of a command, which then ends with exit code 2."""


class UnknownName(UsageError):
    """The error for a name that does not exist; its text lists those that do."""


def clipped(quoted: str, longest: int = 200) -> str:
    """A text to be quoted in a message, cut off after its first `longest` characters."""
    return quoted if len(quoted) <= longest else f"{quoted[:longest]} ..."


def printable(text: str) -> str:
    """The text with invisible characters written as Python escapes, so that it cannot control a terminal."""
    return UNSEEN.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def on_one_line(text: str) -> str:
    """The `printable` text with a blank for every end of a line and every tab."""
    return printable(" ".join(text.split("\n"))).replace("\t", " ")


def did_you_mean(kind: str, name: str, valid: Iterable[str]) -> str:
    """The message on an unknown name of a task, a model or the like: the nearest valid name, then all of them."""
    names = sorted(valid)
    nearest = get_close_matches(clipped(name), names, n=1, cutoff=0.4)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    return f"Unknown {kind} '{clipped(name)}'.{hint} {plural.capitalize()}: {', '.join(names) or 'none'}."


def look_up(kind: str, name: str, table: Mapping[str, Value]) -> Value:
    """The value of a name in a table of tasks, rules or the like.

    Raises:
        UnknownName: the name is not in the table; the error names the nearest.
    """
    if name not in table:
        raise UnknownName(did_you_mean(kind, name, table))
    return table[name]
