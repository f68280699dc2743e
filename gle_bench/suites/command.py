"""The command `glebench suite`: surveys the runs of a suite, and runs the missing ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from gle_bench.errors import UsageError
from gle_bench.report.results import published_runs
from gle_bench.suites.catalogue import suite
from gle_bench.suites.display import JobsDisplay
from gle_bench.suites.launch import Job, Launcher
from gle_bench.suites.matrix import resolve
from gle_bench.suites.states import STATES, Standing, standing
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.store import Skipped, Store

LOGS: Final = "suites"  # the folder of logs, below the folder of all runs


@dataclass(frozen=True)
class Options:
    """The user's options of `glebench suite`.

    Attributes:
        again: whether seeds that failed or diverged are run again.
        passed: words that are added to every command, such as --accept-data.
    """

    runs: Path
    again: bool = False
    passed: tuple[str, ...] = ()


def survey(name: str, options: Options) -> tuple[list[Standing], list[Skipped]]:
    """The progress of each entry of a suite, and the records that could not be read.

    Raises:
        GleBenchError: an unknown suite; a file or an entry that is refused.
    """
    planned = resolve(suite(name))
    (own, skipped), (published, more) = Store(options.runs).records(), Store(published_runs()).records()
    own_records, published_records = ([record for _, record in stored] for stored in (own, published))
    return [standing(each, own_records, published_records) for each in planned], [*skipped, *more]


def jobs(name: str, standings: Sequence[Standing], options: Options) -> list[Job]:
    """One job for each entry that has seeds to run."""
    folder = options.runs / LOGS / Path(name).stem
    needed = []
    for each in standings:
        seeds = each.to_run(options.again)
        if seeds:
            words = (
                *each.planned.command(seeds).words,
                *(("--rerun", "failed") if options.again else ()),
                *options.passed,
            )
            label = each.planned.label
            needed.append(Job(label, words, folder / f"{re.sub('[^A-Za-z0-9.=+-]+', '-', label)}.log"))
    labels = [job.label for job in needed]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"The suite {name} names {twice} twice; leave one of them out.")
    return needed


def run(name: str, options: Options, launcher: Launcher, console: Console) -> tuple[list[Standing], list[Skipped]]:
    """Runs the missing seeds, and returns the progress of each entry afterwards.

    Raises:
        GleBenchError: like `survey`. KeyboardInterrupt: once the running commands have ended; a repeated call resumes.
    """
    todo = jobs(name, survey(name, options)[0], options)
    with JobsDisplay(console, len(todo)) as display:
        launcher.run(todo, display)
    return survey(name, options)


def as_json(standings: Sequence[Standing], again: bool) -> list[dict[str, Any]]:
    """The progress of each entry as plain data for JSON; `seconds` is None if no record gives an estimate."""
    return [
        {
            **each.planned.entry.model_dump(mode="json"),
            "states": {str(seed): state for seed, state in each.states.items()},
            "seconds": each.estimate(again),
            "command": str(each.planned.command(each.to_run(again))) if each.to_run(again) else None,
        }
        for each in standings
    ]


def as_text(standings: Sequence[Standing], again: bool) -> str:
    """The progress of a suite as text: for each entry, its seeds in each state, and the time of those to run."""
    width = max(len(each.planned.label) for each in standings)
    lines = ["  ".join([" " * width, *(f"{state:>{len(state)}}" for state in STATES), "to run"])]
    for each in standings:
        counts = [f"{each.count(state) or '.':>{len(state)}}" for state in STATES]
        lines.append("  ".join([f"{each.planned.label:<{width}}", *counts, _time(each.estimate(again))]))
    if not any(each.to_run(again) for each in standings):
        return "\n".join([*lines, "Nothing is left to run."])
    times = [each.estimate(again) for each in standings]
    total = sum(seconds for seconds in times if seconds is not None)
    parts = [f"about {duration(total)} one after the other, by recorded runs"] if total else []
    if None in times:
        parts.append("seeds whose time is not known, which `glebench run ... --dry-run` measures")
    return "\n".join([*lines, f"To run: {', and '.join(parts)}."])


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else "-" if not seconds else f"about {duration(seconds)}"
