"""The command line of glebench. Each command imports what it needs when it is called, which keeps `--help` fast."""

from gle_bench.surroundings import isolation

isolation.leave_current_folder(__name__ == "__main__")  # before imports, which could find modules there

import gc
import os
import sys
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gle_bench import completion
from gle_bench.errors import GleBenchError, UsageError, printable
from gle_bench.surroundings import settle, streams
from gle_bench.surroundings.home import expanded
from gle_bench.words import BUDGETS, Budget, Origin, Protocol, Rerun, Selection, TableFormat, WandbMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gle_bench.report.selection import Filter
    from gle_bench.suites.command import Options
    from gle_bench.suites.matrix import Suite
    from gle_bench.suites.states import Standing
    from gle_bench.tracking.costs import Complexity
    from gle_bench.tracking.record import Record
    from gle_bench.tracking.store import RunFolder, Skipped

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _path(text: str | Path) -> Path:
    """The path that an option names, with ~ resolved."""
    try:
        return expanded(str(text))
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


# Options that several commands share.
ProtocolOption = Annotated[Protocol, typer.Option(help="The paper's procedure, flaws included, or a clean one.")]
WandbOption = Annotated[WandbMode, typer.Option(help="Mode of the W&B mirror; auto is online when logged in.")]
WandbProject = Annotated[
    str | None, typer.Option(metavar="NAME", help="W&B project; WANDB_PROJECT, or glebench, by default.")
]
WandbGroup = Annotated[str | None, typer.Option(metavar="NAME", help="W&B group; the configuration's by default.")]
WandbTags = Annotated[str | None, typer.Option(metavar="TAG,TAG", help="Tags for the W&B runs.")]
AcceptData = Annotated[bool, typer.Option("--accept-data", help="Use data that are not the official ones.")]
Offline = Annotated[bool, typer.Option("--offline", help="Download nothing.")]
Runs = Annotated[
    Path, typer.Option("--runs", metavar="PATH", parser=_path, envvar="GLEBENCH_RUNS", help="The folder of all runs.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", parser=_path, envvar="GLEBENCH_DATA", help="The folder of all data."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="PATH", parser=_path, help="An image: .png, .pdf or .svg; figure-NAME.png by default."),
]
# Conditions on recorded runs
OfModels = Annotated[list[str] | None, typer.Option("--model", help="Only runs of this model; may be repeated.")]
OfRule = Annotated[str | None, typer.Option("--rule", help="Only runs by this rule.")]
OfProtocol = Annotated[Protocol | None, typer.Option("--protocol", help="Only runs under this protocol.")]
OfBudget = Annotated[Budget | None, typer.Option("--budget", help="Only runs of this budget.")]
OfSeeds = Annotated[str | None, typer.Option("--seeds", help="Only runs of these seeds, as 0-9 or 3,5.")]
Commands = Annotated[bool, typer.Option("--commands", help="Print the commands of the missing runs, for a scheduler.")]
Jobs = Annotated[int, typer.Option(help="Number of runs at the same time; they share the cores.")]
To = Annotated[
    Path | None,
    typer.Option(metavar="PATH", parser=_path, help="An image to draw: .png, .pdf or .svg."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors alone.")]
RUNS = Path("runs")
ENGINES = ("auto", "graph", "native", "torch")


def _version(asked: bool) -> None:
    if asked:
        from gle_bench import __version__

        print(f"glebench {__version__}")
        raise typer.Exit


@app.callback()
def glebench(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A benchmark suite and experiment tracker for learning in space and time."""


def _resumable(command: "Callable[..., None]") -> "Callable[..., None]":
    """The command, which on Ctrl-C prints the command that resumes it."""

    @wraps(command)
    def resumable(**options: Any) -> None:
        try:
            command(**options)
        except KeyboardInterrupt:
            _say(f"Interrupted. The same command goes on from the last checkpoint:\n  {_command()}")
            raise typer.Exit(130) from None

    return resumable


@app.command()
@_resumable
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
    report = _teller(quiet)
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
        data=_data(data),
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
    full = _spelled(full_run(sys.argv[1:]))
    if dry_run:
        _print(preview(chosen, seed_numbers, settings, full), as_json, summary.preview_text)
        return
    records = execute(chosen, seed_numbers, settings)
    text = summary.lines(records, chosen.task)
    if not quiet:
        given = () if runs in (RUNS, Path(os.environ.get("GLEBENCH_RUNS", RUNS))) else ("--runs", str(runs))
        following = ending.Next(_program(), given, full, full_seconds_after(chosen, records, Store(runs)))
        text += ending.lines(chosen, records, Store(runs), following)
    _print([r.model_dump(mode="json") for r in records], as_json, lambda _: "\n".join(text))
    if any(record.status != "done" for record in records):
        raise typer.Exit(1)


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
    _print(rows, as_json, text)
    _pass_over(skipped)


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

        return count.of_run(folder, record, _data(None))

    described = reports.describe(name, runs, costs_of)
    _print(described, as_json, reports.as_text)


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
        _print(built.content, as_json, lambda _: formats.FORMATS[format or "md"](built))
    else:
        print(as_text(built, *streams.page(150 if every else 100)))
    _pass_over(skipped)


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
        _print(ranking.as_json(compared), as_json, None)
    else:
        print(ranking.as_text(compared, pairs, *streams.page()))
    _pass_over(skipped)


@app.command()
@_resumable
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
    named = _wandb_words(wandb_project, wandb_group, wandb_tags)
    options = command.Options(runs, rerun, _passed(runs, data, wandb, accept_data, offline, named))
    standings, skipped = _run_suite(chosen, options, jobs, survey=dry_run or commands, quiet=quiet)
    if commands:
        _print(command.commands(chosen.name, standings, options), as_json, "\n".join)
        return
    again: Rerun = rerun if dry_run else "missing"  # after the runs, failed seeds are not to run once more
    _print(command.as_json(standings, again), as_json, lambda _: command.as_text(standings, again))
    _pass_over(skipped)
    if not dry_run and any(each.to_run("failed") for each in standings):
        raise typer.Exit(1)


@app.command()
@_resumable
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
    named = _wandb_words(wandb_project, wandb_group, wandb_tags)
    options = command.Options(runs, rerun, _passed(runs, data, wandb, accept_data, offline, named))
    standings, skipped = _run_suite(chosen, options, jobs, survey=dry_run or commands, quiet=quiet)
    if commands:
        _print(command.commands(chosen.name, standings, options), as_json, "\n".join)
        return
    if dry_run:
        _print(command.as_json(standings, rerun), as_json, lambda _: command.as_text(standings, rerun))
        return
    made = sweep_command.results(chosen.name, standings, selection, runs, to)
    _print({"runs": command.as_json(standings, "missing"), **made.content}, as_json, lambda _: made.text)
    _pass_over(skipped)
    if any(each.to_run("failed") for each in standings):
        raise typer.Exit(1)


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
    _print(made.shown, as_json, lambda _: made.text)
    _pass_over(made.skipped)


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
    _print(made.shown, as_json, lambda _: made.text)
    _pass_over(made.skipped)


@app.command()
def prepare(
    task: Annotated[str, typer.Argument(help="The task.", autocompletion=completion.tasks)],
    quiet: Quiet = False,
    data: Data = None,
) -> None:
    """Download or generate a task's data."""
    from gle_bench.training import preview

    gc.enable()
    preview.prepare(task, _data(data), _teller(quiet))


@app.command()
def bench(
    network: Annotated[list[str] | None, typer.Option(help="Network gle-15k, gle-42k or gsc; all by default.")] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="Engine torch, native or graph; all by default.", autocompletion=completion.words(*ENGINES[1:])
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Rule to compare with gle, on one thread.", autocompletion=completion.rules),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Number of CPU cores to measure for; all by default.")] = None,
    repeats: Annotated[int, typer.Option(help="Number of repeats; medians are printed.")] = 5,
    steps: Annotated[int | None, typer.Option(help="Time steps in a repeat; as many as take 0.3 s by default.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the time and memory of learning steps on this machine, engine by engine."""
    from gle_bench.bench import command
    from gle_bench.tracking.environment import environment

    gc.enable()
    measured = command.bench(network or (), engine or (), threads, repeats, steps, rule or ())
    surroundings = environment("", "", measured["device"], 1)
    machine = surroundings.model_dump(mode="json", include={"python", "platform", "packages", "cpu", "gpu", "git"})
    _print({**measured, "machine": machine}, as_json, command.as_text)


@app.command()
def doctor(runs: Runs = RUNS, data: Data = None, as_json: Json = False) -> None:
    """Check this installation."""
    from gle_bench import doctor as checks

    results = checks.diagnose(runs, _data(data))
    _print(checks.as_json(results), as_json, lambda _: checks.as_text(results))
    if any(check.status == "fail" for check in results):
        raise typer.Exit(1)


@app.command("completion")
def completion_(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print a script that completes words of glebench.

    In bash and zsh: source <(glebench completion bash), in fish: glebench completion fish | source.
    """
    print(completion.script(shell), end="")


def main() -> None:
    """The program's entry point. An error that the user can correct is printed as one sentence, without a traceback."""
    # Imports and records make millions of objects, none of them garbage; collecting takes half the time of commands
    # that only read. Commands that train or measure enable it again.
    gc.disable()
    try:
        with settle.settled():
            completion.provide()
            app(prog_name="glebench")  # not `python -m gle_bench`, which printed commands do not begin with either
    except streams.ReaderGone:
        sys.exit(1)
    except GleBenchError as error:
        _say(f"Error: {error}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    finally:
        gc.freeze()  # otherwise the interpreter scans all objects once more before it ends


def _passed(
    runs: Path, data: Path | None, wandb: WandbMode, accept_data: bool, offline: bool, named: "Iterable[str]"
) -> tuple[str, ...]:
    """The options that a suite hands to every run; paths are absolute, for a scheduler that starts them elsewhere."""
    flags = [word for word, on in (("--accept-data", accept_data), ("--offline", offline)) if on]
    return ("--runs", str(runs.absolute()), "--data", str(_data(data).absolute()), "--wandb", wandb, *flags, *named)


def _wandb_words(project: str | None, group: str | None, tags: str | None) -> list[str]:
    """The options that name a suite's runs in W&B, which are refused here rather than by every run."""
    from gle_bench.tracking.wandb_content import labels

    labels(project, group, tags)
    named = {"--wandb-project": project, "--wandb-group": group, "--wandb-tags": tags}
    return [word for option, value in named.items() if value is not None for word in (option, value)]


def _run_suite(
    chosen: "Suite", options: "Options", jobs: int, survey: bool, quiet: bool
) -> "tuple[list[Standing], list[Skipped]]":
    """Runs what is missing of a suite, unless it is only to be surveyed, and returns its progress."""
    from gle_bench.suites import command
    from gle_bench.suites.launch import LocalProcesses

    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: must be at least 1.")
    if survey:
        return command.survey(chosen, options)
    return command.run(chosen, options, LocalProcesses(jobs), streams.console(quiet))


def _default_budget() -> Budget:
    budget = os.environ.get("GLEBENCH_BUDGET") or "short"
    if budget not in BUDGETS:
        raise UsageError(f"GLEBENCH_BUDGET={budget}: must be {', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}.")
    return budget


def _filter(
    models: list[str] | None, rule: str | None, protocol: Protocol | None, budget: Budget | None, seeds: str | None
) -> "Filter":
    from gle_bench.config import parse_seeds
    from gle_bench.report.selection import Filter

    numbers = () if seeds is None else tuple(parse_seeds(seeds, ()))
    return Filter(None, tuple(models or ()), rule, protocol, budget, numbers)


def _data(chosen: Path | None) -> Path:
    from gle_bench.files.disk import data_folder

    return data_folder(chosen)


def _pass_over(skipped: "Iterable[Skipped]") -> None:
    for record in skipped:
        _say(f"Passed over {record.path}: {record.reason}.")


def _teller(quiet: bool) -> "Callable[[str], None]":
    """The function that prints a line for the user, or one that does nothing."""
    return (lambda _: None) if quiet else _say


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)


def _print(content: Any, as_json: bool, text: Any) -> None:
    from gle_bench.report.output import json_text

    print(json_text(content) if as_json else printable(text(content)))


def _command() -> str:
    """The command that resumes the present one: the same words, without `--rerun always`, which would start anew."""
    import re

    return re.sub(r" --rerun[= ]always\b", "", _spelled(sys.argv[1:]))


def _program() -> str:
    """The name of the program, as the user called it."""
    return os.environ.get("GLEBENCH_PROGRAM", "glebench")


def _spelled(words: "Iterable[str]") -> str:
    """A command of this program as one line for a shell."""
    import shlex

    return shlex.join([_program(), *words])


if __name__ == "__main__":
    main()
