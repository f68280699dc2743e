"""The commands that read records and show them: `list`, `show`, `table`, `compare`, `figure` and `plot`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gle_bench.cli import completion
from gle_bench.cli.app import app
from gle_bench.cli.options import (
    RUNS,
    Json,
    OfBudget,
    OfModels,
    OfProtocol,
    OfRule,
    OfSeeds,
    Out,
    ProtocolOption,
    Runs,
    To,
)
from gle_bench.cli.output import chosen_data, pass_over, show_result
from gle_bench.errors import UsageError
from gle_bench.surroundings import streams
from gle_bench.words import Budget, Origin, Protocol, Selection, TableFormat

if TYPE_CHECKING:
    from gle_bench.report.selection import Filter
    from gle_bench.tracking.costs import Complexity
    from gle_bench.tracking.record import Record
    from gle_bench.tracking.store import RunFolder


@app.command("list")
def list_(
    kind: Annotated[
        Literal["tasks", "models", "pairs", "rules", "runs"] | None,
        typer.Argument(help="What to list; without it, the names of everything."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Argument(help="The task whose models, pairs or runs to list.", autocompletion=completion.tasks),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List the pairs of all tasks line by line.")] = False,
    model: OfModels = None,
    rule: OfRule = None,
    protocol: OfProtocol = None,
    budget: OfBudget = None,
    seeds: OfSeeds = None,
    status: Annotated[
        Literal["done", "diverged", "failed", "interrupted", "killed", "running"] | None,
        typer.Option(help="Only runs of this status."),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print runs as CSV, a column for each setting and metric.")
    ] = False,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """List tasks, models, rules, runs, or pairs of a task and a model; without a KIND, all names in short."""
    from gle_bench.report.terminal import listing

    wanted = _filter(model, rule, protocol, budget, seeds)
    rows, skipped, text = listing.rows(kind, runs, task, every, wanted, status, as_csv)
    show_result(rows, as_json, text)
    pass_over(skipped)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A task; a model; a rule; or a run, by its id, the start of its id, or its folder.",
            autocompletion=completion.shown,
        ),
    ],
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Show a task with its models, a model, a rule, or a run."""
    from gle_bench.report.terminal import show as reports

    def costs_of(folder: "RunFolder", record: "Record") -> "Complexity | str":
        """The costs of a run's network. Counting needs PyTorch, which is imported only when a run is shown."""
        from gle_bench.costs import count

        return count.of_run(folder, record, chosen_data(None))

    described = reports.describe(name, runs, costs_of)
    show_result(described, as_json, reports.as_text)


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="Table 1, 2 or 3, or that of a task.", autocompletion=completion.tables)],
    every: Annotated[
        bool, typer.Option("--all", help="All budgets, settings, protocols and evaluations, and costs.")
    ] = False,
    protocol: Annotated[Protocol | None, typer.Option(help="The protocol; paper without --all.")] = None,
    selection: Annotated[Selection | None, typer.Option(help="The evaluation that counts; last without --all.")] = None,
    only: Annotated[Origin | None, typer.Option(help="Only your runs, or only those that come with glebench.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model; may be repeated.", autocompletion=completion.models)
    ] = None,
    format: Annotated[TableFormat | None, typer.Option(help="A format for a file; plain text by default.")] = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Print a table of the paper: published results beside full runs, their difference and a verdict."""
    from gle_bench.report.tables import formats
    from gle_bench.report.tables import table as tables
    from gle_bench.report.tables.brief import Choice
    from gle_bench.report.terminal.tables import as_text

    if as_json and format:
        raise UsageError(f"--json and --format {format} exclude each other; leave one of them out.")
    if every and format == "tex":
        raise UsageError("--format tex makes one table for a page; choose it by --protocol and --selection, not --all.")
    built, skipped = tables.table(name, runs, Choice(every, protocol, selection, tuple(model or ()), only))
    if as_json or format:
        show_result(built.content, as_json, lambda _: formats.FORMATS[format or "md"](built))
    else:
        print(as_text(built, *streams.page(150 if every else 100)))
    pass_over(skipped)


@app.command()
def compare(
    task: Annotated[str, typer.Argument(help="The task.", autocompletion=completion.tasks)],
    models: Annotated[
        list[str] | None,
        typer.Argument(help="MODEL or MODEL+RULE; all that have runs by default.", autocompletion=completion.models),
    ] = None,
    protocol: ProtocolOption = "paper",
    selection: Annotated[Selection, typer.Option(help="The evaluation whose score counts.")] = "last",
    budget: Annotated[Budget | None, typer.Option(help="The budget of the runs; the fullest by default.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Print the test of each pair.")] = False,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Rank models, each with all settings that were run, and test which of them differ significantly."""
    from gle_bench.report.terminal import compare as comparison
    from gle_bench.report.terminal import compared as ranking

    compared, skipped = comparison.compare(task, models or (), runs, protocol, selection, budget)
    if as_json:
        show_result(ranking.as_json(compared), as_json, None)
    else:
        print(ranking.as_text(compared, pairs, *streams.page()))
    pass_over(skipped)


@app.command()
def figure(
    name: Annotated[
        str,
        typer.Argument(help="Figure 3, 5, 6, 8d, 8e, 8f, 8g, 10, 11, 12, 14 or 15.", autocompletion=completion.figures),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="The model to draw; those of the figure by default.", autocompletion=completion.models),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of the run drawn alone; the best by default.")] = None,
    protocol: ProtocolOption = "paper",
    out: Out = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Draw a figure of the paper. With --json print its data, and draw only if --out is given."""
    from gle_bench.report.figures import figures as catalogue
    from gle_bench.report.figures.curves import Request

    made = catalogue.make(name, Request(runs, model, seed, protocol), out, draw=out is not None or not as_json)
    show_result(made.shown, as_json, lambda _: made.text)
    pass_over(made.skipped)


@app.command()
def plot(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN|TASK...", help="A task, the beginning of runs' ids, or a folder of runs."),
    ],
    x: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Show the final metric against this setting; at most two.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="The metric; the task's own by default.")] = None,
    split: Annotated[str | None, typer.Option(help="The split; the one watched while training by default.")] = None,
    selection: Annotated[Selection, typer.Option(help="The evaluation whose score counts, with --x.")] = "last",
    model: OfModels = None,
    rule: OfRule = None,
    protocol: OfProtocol = None,
    budget: OfBudget = None,
    seeds: OfSeeds = None,
    to: To = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Plot learning curves of any runs, or a metric against a setting, with intervals over seeds."""
    from gle_bench.report import plots

    wanted = plots.Wanted(tuple(x or ()), metric, split, selection)
    made = plots.make(names, runs, wanted, to, _filter(model, rule, protocol, budget, seeds))
    show_result(made.shown, as_json, lambda _: made.text)
    pass_over(made.skipped)


def _filter(
    models: list[str] | None, rule: str | None, protocol: Protocol | None, budget: Budget | None, seeds: str | None
) -> "Filter":
    from gle_bench.config import parse_seeds
    from gle_bench.report.selection import Filter

    numbers = () if seeds is None else tuple(parse_seeds(seeds, ()))
    return Filter(None, tuple(models or ()), rule, protocol, budget, numbers)
