"""The commands of many runs: `suite` and `sweep`."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gle_bench.cli import completion
from gle_bench.cli.app import app
from gle_bench.cli.options import (
    RUNS,
    AcceptData,
    Commands,
    Data,
    Jobs,
    Json,
    Offline,
    Quiet,
    Runs,
    To,
    WandbGroup,
    WandbOption,
    WandbProject,
    WandbTags,
)
from gle_bench.cli.output import chosen_data, pass_over, resumable, show_result
from gle_bench.errors import UsageError
from gle_bench.surroundings import streams
from gle_bench.words import BUDGETS, Budget, Protocol, Rerun, Selection, WandbMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gle_bench.suites.command import Options
    from gle_bench.suites.matrix import Suite
    from gle_bench.suites.states import Standing
    from gle_bench.tracking.store import Skipped


@app.command()
@resumable
def suite(
    name: Annotated[
        str,
        typer.Argument(help="Suite table2, table3 or figure8, or a TOML file.", autocompletion=completion.suites),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print which runs exist and which are missing.")] = False,
    commands: Commands = False,
    jobs: Jobs = 1,
    rerun: Annotated[Rerun, typer.Option(help="Which seeds with a record to run again.")] = "missing",
    wandb: WandbOption = "auto",
    wandb_project: WandbProject = None,
    wandb_group: WandbGroup = None,
    wandb_tags: WandbTags = None,
    accept_data: AcceptData = False,
    offline: Offline = False,
    quiet: Quiet = False,
    runs: Runs = RUNS,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Run the missing runs of a table or a figure; the same command resumes an interrupted suite."""
    from gle_bench.suites import catalogue, command

    gc.enable()
    chosen = catalogue.suite(name)
    passed = _passed(runs, data, wandb, (wandb_project, wandb_group, wandb_tags), accept_data, offline)
    options = command.Options(runs, rerun, passed)
    if commands or dry_run:
        _show_survey(chosen, options, jobs, commands, as_json)
        return
    standings, skipped = _run_suite(chosen, options, jobs, quiet)
    # Failed seeds are not to run once more.
    show_result(command.as_json(standings, "missing"), as_json, lambda _: command.as_text(standings, "missing"))
    _end(standings, skipped)


@app.command()
@resumable
def sweep(
    what: Annotated[str, typer.Argument(metavar="TASK|FILE.toml", help="The task, or a suite's file with a sweep.")],
    model: Annotated[str | None, typer.Option(help="The model; gle by default.")] = None,
    rule: Annotated[str | None, typer.Option(help="The learning rule; the model's own by default.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=V1,V2", help="A setting with its values; a list stands in brackets."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="As 0-9, or 3,5, or paper; the paper's first by default.")] = None,
    budget: Annotated[
        Budget | None, typer.Option(help="Length of training; GLEBENCH_BUDGET or short by default.")
    ] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="The paper's procedure, the default, or a clean one.")
    ] = None,
    selection: Annotated[Selection, typer.Option(help="The evaluation whose score counts.")] = "last",
    to: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print which runs exist and which are missing.")] = False,
    commands: Commands = False,
    jobs: Jobs = 1,
    rerun: Annotated[Rerun, typer.Option(help="Which seeds with a record to run again.")] = "missing",
    wandb: WandbOption = "auto",
    wandb_project: WandbProject = None,
    wandb_group: WandbGroup = None,
    wandb_tags: WandbTags = None,
    accept_data: AcceptData = False,
    offline: Offline = False,
    quiet: Quiet = False,
    runs: Runs = RUNS,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Run every combination of the values of some settings, and show the results as a table and a figure."""
    from gle_bench.report.figures.panels import kind_of
    from gle_bench.suites import command, sweep_command

    gc.enable()
    if to is not None:
        kind_of(to, "--to")
    asked = sweep_command.Asked(model, rule, seeds, budget, protocol, tuple(set_ or ()))
    chosen = sweep_command.suite_of(what, asked, _default_budget())
    passed = _passed(runs, data, wandb, (wandb_project, wandb_group, wandb_tags), accept_data, offline)
    options = command.Options(runs, rerun, passed)
    if commands or dry_run:
        _show_survey(chosen, options, jobs, commands, as_json)
        return
    standings, skipped = _run_suite(chosen, options, jobs, quiet)
    made = sweep_command.results(chosen.name, standings, selection, runs, to)
    show_result({"runs": command.as_json(standings, "missing"), **made.content}, as_json, lambda _: made.text)
    _end(standings, skipped)


def _passed(
    runs: Path,
    data: Path | None,
    wandb: WandbMode,
    named: tuple[str | None, str | None, str | None],
    accept_data: bool,
    offline: bool,
) -> tuple[str, ...]:
    """The options that a suite hands to every run; paths are absolute, for a scheduler that starts them elsewhere.

    `named` are the project, the group and the tags in W&B, which are refused here rather than by every run.
    """
    from gle_bench.tracking.wandb_content import labels

    labels(*named)
    valued = {
        "--runs": str(runs.absolute()),
        "--data": str(chosen_data(data).absolute()),
        "--wandb": wandb,
        **dict(zip(("--wandb-project", "--wandb-group", "--wandb-tags"), named, strict=True)),
    }
    flags = [word for word, on in (("--accept-data", accept_data), ("--offline", offline)) if on]
    return (*(word for option, value in valued.items() if value is not None for word in (option, value)), *flags)


def _show_survey(chosen: "Suite", options: "Options", jobs: int, commands: bool, as_json: bool) -> None:
    """Shows which runs of a suite exist and which are missing, or the commands of the missing ones; runs nothing."""
    from gle_bench.suites import command

    _check_jobs(jobs)
    standings, skipped = command.survey(chosen, options)
    if commands:
        show_result(command.commands(chosen.name, standings, options), as_json, "\n".join)
        return
    rerun = options.rerun
    show_result(command.as_json(standings, rerun), as_json, lambda _: command.as_text(standings, rerun))
    pass_over(skipped)


def _run_suite(chosen: "Suite", options: "Options", jobs: int, quiet: bool) -> "tuple[list[Standing], list[Skipped]]":
    """Runs what is missing of a suite, and returns its progress."""
    from gle_bench.suites import command
    from gle_bench.suites.launch import LocalProcesses

    _check_jobs(jobs)
    return command.run(chosen, options, LocalProcesses(jobs), streams.console(quiet))


def _check_jobs(jobs: int) -> None:
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: must be at least 1.")


def _end(standings: "Iterable[Standing]", skipped: "Iterable[Skipped]") -> None:
    """Tells which records were passed over, and ends with code 1 where a run is still to be made."""
    pass_over(skipped)
    if any(each.to_run("failed") for each in standings):
        raise typer.Exit(1)


def _default_budget() -> Budget:
    budget = os.environ.get("GLEBENCH_BUDGET") or "short"
    if budget not in BUDGETS:
        raise UsageError(f"GLEBENCH_BUDGET={budget}: must be {', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}.")
    return budget
