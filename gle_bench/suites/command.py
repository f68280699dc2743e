"""What `glebench suite` does: says what there is and what is missing, and runs what is missing."""

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

LOGS: Final = "suites"  # below the folder of all runs


@dataclass(frozen=True)
class Options:
    """What the user chose.

    Attributes:
        again: seeds that failed or diverged are made anew.
        passed: words that every command gets, such as --accept-data.
    """

    runs: Path
    again: bool = False
    passed: tuple[str, ...] = ()


def survey(name: str, options: Options) -> tuple[list[Standing], list[Skipped]]:
    """Where each entry of a suite stands, and the records that were passed over.

    Raises:
        GleBenchError: an unknown suite; a file or an entry that is refused.
    """
    planned = resolve(suite(name))
    (own, skipped), (published, more) = Store(options.runs).records(), Store(published_runs()).records()
    mine, theirs = ([record for _, record in found] for found in (own, published))
    return [standing(each, mine, theirs) for each in planned], [*skipped, *more]


def jobs(name: str, standings: Sequence[Standing], options: Options) -> list[Job]:
    """A command for each entry that has seeds to run."""
    folder = options.runs / LOGS / Path(name).stem
    found = []
    for each in standings:
        seeds = each.to_run(options.again)
        if seeds:
            words = (
                *each.planned.command(seeds).words,
                *(("--rerun", "failed") if options.again else ()),
                *options.passed,
            )
            label = each.planned.label
            found.append(Job(label, words, folder / f"{re.sub('[^A-Za-z0-9.=+-]+', '-', label)}.log"))
    labels = [job.label for job in found]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"The suite {name} names {twice} twice; leave one of them out.")
    return found


def run(name: str, options: Options, launcher: Launcher, console: Console) -> tuple[list[Standing], list[Skipped]]:
    """Runs what is missing, and returns where each entry stands afterwards.

    Raises:
        GleBenchError: like `survey`. KeyboardInterrupt: the running commands have ended; the same suite goes on.
    """
    todo = jobs(name, survey(name, options)[0], options)
    with JobsDisplay(console, len(todo)) as display:
        launcher.run(todo, display)
    return survey(name, options)


def as_json(standings: Sequence[Standing], again: bool) -> list[dict[str, Any]]:
    """Plain data, an entry each; None for a time that nothing tells."""
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
    """A line an entry: how many seeds are in each state, and the time that the others would take."""
    width = max(len(each.planned.label) for each in standings)
    lines = ["  ".join([" " * width, *(f"{state:>{len(state)}}" for state in STATES), "to run"])]
    for each in standings:
        counts = [f"{each.count(state) or '.':>{len(state)}}" for state in STATES]
        lines.append("  ".join([f"{each.planned.label:<{width}}", *counts, _time(each.estimate(again))]))
    if not any(each.to_run(again) for each in standings):
        return "\n".join([*lines, "Nothing is left to run."])
    times = [each.estimate(again) for each in standings]
    known = sum(seconds for seconds in times if seconds is not None)
    told = [f"about {duration(known)} one after the other, by recorded runs"] if known else []
    if None in times:
        told.append("what is not known, which `glebench run ... --dry-run` measures")
    return "\n".join([*lines, f"To run: {', and '.join(told)}."])


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else "-" if not seconds else f"about {duration(seconds)}"
