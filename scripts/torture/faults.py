"""The detection of faults, such as crashes, in the output of a command, grouped by the place in our code."""

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
    """One event that must not happen: its kind, the place by which it is grouped, and its details."""

    kind: str
    place: str
    detail: str


def faults(done: Finished, signals: Collection[int] = ()) -> list[Fault]:
    """The faults in how a command ended; one of `signals` may have ended it without fault."""
    command = " ".join(done.words)[:600]
    detail = f"glebench {command}\n{done.err.partition('Extension modules:')[0][-3000:]}"
    detected = []
    if done.code is None:
        detected.append(Fault("hang", _place(done.err), detail))
    elif done.code not in CODES and -done.code not in signals:
        detected.append(Fault("exit code", f"{done.code} {_place(done.err)}", detail))
    if done.code is not None and any(mark in done.err or mark in done.out for mark in TRACEBACKS):
        detected.append(Fault("traceback", f"{_place(done.err)}: {_error(done.err)}", detail))
    if done.code in (1, 2) and not done.err.strip() and not done.out.strip():
        detected.append(Fault("silence", f"exit code {done.code} of {' '.join(done.words[:1])}", detail))
    if done.code == 0 and (control := CONTROL.search(done.out)):
        detected.append(Fault("control character", f"{control[0]!r} in {' '.join(done.words[:1])}", detail))
    if done.code == 0 and "--json" in done.words and "--help" not in done.words and not is_json(done.out):
        detected.append(Fault("no JSON", " ".join(done.words[:1]), f"{detail}\n{done.out[:1500]}"))
    return detected


def is_json(text: str) -> bool:
    """Whether a text is JSON by the standard, without NaN."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _place(text: str) -> str:
    """The innermost frame of our code in a traceback, without the line's number, which changes often."""
    frames = FRAME.findall(text)
    if not frames:
        return "no frame of ours"
    path, function = frames[0 if HANGS in text else -1]
    return f"{path} {function}"


def _error(text: str) -> str:
    """The type of the exception in the last traceback."""
    *_, last = text.rpartition("Traceback (most recent call last)")
    lines = [line for line in last.splitlines()[1:] if line[:1].strip()]
    name = re.match(r"[\w.]+", lines[0]) if lines else None
    return name[0] if name else "?"
