"""The command `glebench suite`: surveys the runs of a suite, and runs the missing ones."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from gle_bench.errors import UsageError
from gle_bench.files.disk import sha256
from gle_bench.report.results import published_runs
from gle_bench.suites.display import JobsDisplay
from gle_bench.suites.launch import Job, Launcher
from gle_bench.suites.matrix import Suite, resolve
from gle_bench.suites.states import STATES, Standing, standing
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.store import Skipped, Store
from gle_bench.words import Rerun

LONGEST: Final = 150  # characters of a log's name, without its end
LOGS: Final = "suites"  # the folder of logs, below the folder of all runs


@dataclass(frozen=True)
class Options:
    """The user's options of `glebench suite`.

    Attributes:
        rerun: which seeds that have a record are run again: none, those that failed or diverged, or all.
        passed: words that are added to every command, such as --accept-data.
    """

    runs: Path
    rerun: Rerun = "missing"
    passed: tuple[str, ...] = ()


def survey(chosen: Suite, options: Options) -> tuple[list[Standing], list[Skipped]]:
    """The progress of each entry of a suite, and the records that could not be read.

    Raises:
        GleBenchError: an entry that is refused.
    """
    planned = resolve(chosen)
    (own, skipped), (published, more) = Store(options.runs).records(), Store(published_runs()).records()
    own_records, published_records = ([record for _, record in stored] for stored in (own, published))
    return [standing(each, own_records, published_records) for each in planned], [*skipped, *more]


def jobs(name: str, standings: Sequence[Standing], options: Options) -> list[Job]:
    """One job for each entry that has seeds to run."""
    folder = options.runs / LOGS / Path(name).stem
    needed = []
    for each in standings:
        seeds = each.to_run(options.rerun)
        if seeds:
            again = () if options.rerun == "missing" else ("--rerun", options.rerun)
            words = (*each.planned.command(seeds).words, *again, *options.passed)
            needed.append(Job(each.planned.label, words, folder / _log_name(each.planned.label)))
    labels = [job.label for job in needed]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"The suite {name} names {twice} twice; leave one of them out.")
    return needed


def _log_name(label: str) -> str:
    """The name of an entry's log file; a label that is too long for one ends in its digest."""
    name = re.sub("[^A-Za-z0-9.=+-]+", "-", label)
    return f"{name}.log" if len(name) <= LONGEST else f"{name[:LONGEST]}-{sha256(label.encode())[:8]}.log"


def commands(name: str, standings: Sequence[Standing], options: Options) -> list[str]:
    """The commands of the entries that have seeds to run, each as a line for a shell, for any scheduler."""
    return [shlex.join(["glebench", *job.words]) for job in jobs(name, standings, options)]


def run(chosen: Suite, options: Options, launcher: Launcher, console: Console) -> tuple[list[Standing], list[Skipped]]:
    """Runs the missing seeds, and returns the progress of each entry afterwards.

    Raises:
        GleBenchError: like `survey`. KeyboardInterrupt: once the running commands have ended; a repeated call resumes.
    """
    todo = jobs(chosen.name, survey(chosen, options)[0], options)
    with JobsDisplay(console, len(todo)) as display:
        launcher.run(todo, display)
    return survey(chosen, options)


def as_json(standings: Sequence[Standing], rerun: Rerun) -> list[dict[str, Any]]:
    """The progress of each entry as plain data for JSON; `seconds` is None if no record gives an estimate."""
    return [
        {
            **each.planned.entry.model_dump(mode="json"),
            "states": {str(seed): state for seed, state in each.states.items()},
            "seconds": each.estimate(rerun),
            "command": str(each.planned.command(each.to_run(rerun))) if each.to_run(rerun) else None,
        }
        for each in standings
    ]


def as_text(standings: Sequence[Standing], rerun: Rerun) -> str:
    """The progress of a suite as text: for each entry, its seeds in each state, and the time of those to run."""
    width = max(len(each.planned.label) for each in standings)
    lines = ["  ".join([" " * width, *(f"{state:>{len(state)}}" for state in STATES), "to run"])]
    for each in standings:
        counts = [f"{each.count(state) or '.':>{len(state)}}" for state in STATES]
        lines.append("  ".join([f"{each.planned.label:<{width}}", *counts, _time(each.estimate(rerun))]))
    if not any(each.to_run(rerun) for each in standings):
        return "\n".join([*lines, "Nothing is left to run."])
    times = [each.estimate(rerun) for each in standings]
    total = sum(seconds for seconds in times if seconds is not None)
    parts = [f"about {duration(total)} one after the other, by recorded runs"] if total else []
    if None in times:
        parts.append("seeds whose time is not known, which `glebench run ... --dry-run` measures")
    return "\n".join([*lines, f"To run: {', and '.join(parts)}."])


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else "-" if not seconds else f"about {duration(seconds)}"
