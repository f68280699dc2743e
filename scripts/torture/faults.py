"""Faults: what must not happen, found in what a command left, and grouped by where in our code it came from."""

import json
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from torture.processes import Finished

CODES: Final = frozenset({0, 1, 2, 130})
FRAME: Final = re.compile(r'File "[^"]*?/((?:gle_bench|tasks|baselines)/[^"]+)", line \d+,? in (\S+)')
HANGS: Final = "(most recent call first)"  # faulthandler's order
TRACEBACKS: Final = (
    "Traceback (most recent call last)",
    "Exception ignored",
    "Fatal Python error",
    "Exception in thread",
)
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")


class Fault(NamedTuple):
    """One thing that must not happen: its kind, what it is grouped by, and all that is known of it."""

    kind: str
    place: str
    detail: str


def faults(done: Finished, signals: Collection[int] = ()) -> list[Fault]:
    """What is wrong with how a command ended. By these signals it may have been ended."""
    command = " ".join(done.words)[:600]
    told = f"glebench {command}\n{done.err.partition('Extension modules:')[0][-3000:]}"
    found = []
    if done.code is None:
        found.append(Fault("hang", _place(done.err), told))
    elif done.code not in CODES and -done.code not in signals:
        found.append(Fault("exit code", f"{done.code} {_place(done.err)}", told))
    if done.code is not None and any(mark in done.err or mark in done.out for mark in TRACEBACKS):
        found.append(Fault("traceback", f"{_place(done.err)}: {_error(done.err)}", told))
    if done.code in (1, 2) and not done.err.strip() and not done.out.strip():
        found.append(Fault("silence", f"exit code {done.code} of {' '.join(done.words[:1])}", told))
    if done.code == 0 and (odd := CONTROL.search(done.out)):
        found.append(Fault("control character", f"{odd[0]!r} in {' '.join(done.words[:1])}", told))
    if done.code == 0 and "--json" in done.words and "--help" not in done.words and not is_json(done.out):
        found.append(Fault("no JSON", " ".join(done.words[:1]), f"{told}\n{done.out[:1500]}"))
    return found


def is_json(text: str) -> bool:
    """Whether it is JSON as the standard has it, without NaN."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _place(text: str) -> str:
    """The innermost frame of our code in a traceback, without its line, which changes too often."""
    frames = FRAME.findall(text)
    if not frames:
        return "no frame of ours"
    path, function = frames[0 if HANGS in text else -1]
    return f"{path} {function}"


def _error(text: str) -> str:
    """The kind of the exception that the last traceback ends in."""
    *_, last = text.rpartition("Traceback (most recent call last)")
    lines = [line for line in last.splitlines()[1:] if line[:1].strip()]
    name = re.match(r"[\w.]+", lines[0]) if lines else None
    return name[0] if name else "?"
