"""Errors that users meet, and names with a did-you-mean."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

NAME = re.compile(r"\w[\w.-]*")  # of a task, a model or a rule, which name folders; '+' separates model and rule
# Control characters but tabs and the ends of lines; signs that turn the direction of writing, or end a line unseen.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
Value = TypeVar("Value")


class GleBenchError(Exception):
    """Something the user can mend: its text names the argument, its value and the cure. Shown without a traceback."""


class UsageError(GleBenchError, ValueError):
    """A wrong argument (exit code 2)."""


class UnknownName(UsageError):
    """A name that is not in its list."""


def clipped(quoted: str, longest: int = 200) -> str:
    """A text that a message quotes: no more of it than a reader looks at."""
    return quoted if len(quoted) <= longest else f"{quoted[:longest]} ..."


def printable(text: str) -> str:
    """Text whose characters are all seen: those that would command a terminal are spelled, as Python does."""
    return UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def on_one_line(text: str) -> str:
    """`printable` text in which a blank stands for every end of a line and every tab."""
    return printable(" ".join(text.split("\n"))).replace("\t", " ")


def did_you_mean(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence on an unknown name: the nearest known one, then all of them."""
    names = sorted(known)
    nearest = get_close_matches(clipped(name), names, n=1, cutoff=0.4)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    return f"Unknown {kind} '{clipped(name)}'.{hint} {plural.capitalize()}: {', '.join(names) or 'none'}."


def look_up(kind: str, name: str, known: Mapping[str, Value]) -> Value:
    """`known[name]`.

    Raises:
        UnknownName: with the nearest name, if it is not there.
    """
    if name not in known:
        raise UnknownName(did_you_mean(kind, name, known))
    return known[name]
