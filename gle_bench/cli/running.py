"""The commands that train: `run`, and `prepare`, which fetches the data."""

import gc
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gle_bench.cli import completion
from gle_bench.cli.app import app
from gle_bench.cli.options import (
    ENGINES,
    RUNS,
    AcceptData,
    Data,
    Json,
    Offline,
    ProtocolOption,
    Quiet,
    Runs,
    WandbGroup,
    WandbOption,
    WandbProject,
    WandbTags,
)
from gle_bench.cli.output import chosen_data, program, resumable, show_result, spelled, teller
from gle_bench.words import Budget, Rerun


@app.command()
@resumable
def run(
    task: Annotated[str, typer.Argument(help="The task, say mnist1d.", autocompletion=completion.tasks)],
    model: Annotated[str, typer.Option(help="The model.", autocompletion=completion.models)] = "gle",
    rule: Annotated[
        str | None,
        typer.Option(help="The learning rule; the model's own by default.", autocompletion=completion.rules),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="As 0-9, or 3,5, or paper; the paper's first by default.", autocompletion=completion.words("paper")
        ),
    ] = None,
    budget: Annotated[
        Budget, typer.Option(envvar="GLEBENCH_BUDGET", help="Length of training; paper is the full run.")
    ] = "short",
    protocol: ProtocolOption = "paper",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting.", autocompletion=completion.settings),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Engine: auto, graph, native or torch.", autocompletion=completion.words(*ENGINES))
    ] = "auto",
    device: Annotated[
        str, typer.Option(help="Device: auto, cpu or cuda.", autocompletion=completion.words("auto", "cpu", "cuda"))
    ] = "auto",
    wandb: WandbOption = "auto",
    wandb_project: WandbProject = None,
    wandb_group: WandbGroup = None,
    wandb_tags: WandbTags = None,
    accept_data: AcceptData = False,
    offline: Offline = False,
    rerun: Annotated[Rerun, typer.Option(help="Which seeds with a record to run again.")] = "missing",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and for how long.")] = False,
    quiet: Quiet = False,
    runs: Runs = RUNS,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Train a model on a task, with a record for each seed. The same command resumes an interrupted run."""
    from gle_bench.chosen import resolve
    from gle_bench.config import parse_seeds
    from gle_bench.tracking.wandb_content import labels

    gc.enable()
    chosen = resolve(task, model, rule, protocol, budget, set_ or ())
    seed_numbers = parse_seeds(seeds, chosen.pair.seeds)
    wandb_labels = labels(wandb_project, wandb_group, wandb_tags)

    # PyTorch and Lightning take seconds to import; arguments that are refused above are refused without them.
    report = teller(quiet)
    if sys.stderr.isatty():
        report("Loading PyTorch ...")
    from gle_bench.contracts.command import full_run
    from gle_bench.report.terminal import ending, summary
    from gle_bench.tracking.estimates import full_seconds_after
    from gle_bench.tracking.store import Store
    from gle_bench.training.execute import execute
    from gle_bench.training.plan import Settings
    from gle_bench.training.preview import forecast, preview

    settings = Settings(
        runs=runs,
        data=chosen_data(data),
        offline=offline,
        accept_data=accept_data,
        engine=engine,
        device=device,
        wandb=wandb,
        labels=wandb_labels,
        rerun=rerun,
        report=report,
        quiet=quiet,
        before=None if quiet else partial(forecast, report=report),
    )
    full = spelled(full_run(sys.argv[1:]))
    if dry_run:
        show_result(preview(chosen, seed_numbers, settings, full), as_json, summary.preview_text)
        return
    records = execute(chosen, seed_numbers, settings)
    text = summary.lines(records, chosen.task)
    if not quiet:
        given = () if runs in (RUNS, Path(os.environ.get("GLEBENCH_RUNS", RUNS))) else ("--runs", str(runs))
        following = ending.Next(program(), given, full, full_seconds_after(chosen, records, Store(runs)))
        text += ending.lines(chosen, records, Store(runs), following)
    show_result([r.model_dump(mode="json") for r in records], as_json, lambda _: "\n".join(text))
    if any(record.status != "done" for record in records):
        raise typer.Exit(1)


@app.command()
def prepare(
    task: Annotated[str, typer.Argument(help="The task.", autocompletion=completion.tasks)],
    quiet: Quiet = False,
    data: Data = None,
) -> None:
    """Download or generate a task's data."""
    from gle_bench.training import preview

    gc.enable()
    preview.prepare(task, chosen_data(data), teller(quiet))
