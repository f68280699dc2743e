"""The options that several commands share, each with its type, its name and its help."""

from pathlib import Path
from typing import Annotated

import typer

from gle_bench.errors import UsageError
from gle_bench.surroundings.home import expanded
from gle_bench.words import Budget, Protocol, WandbMode


def path(text: str | Path) -> Path:
    """The path that an option names, with ~ resolved."""
    try:
        return expanded(str(text))
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


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
    Path, typer.Option("--runs", metavar="PATH", parser=path, envvar="GLEBENCH_RUNS", help="The folder of all runs.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", parser=path, envvar="GLEBENCH_DATA", help="The folder of all data."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="PATH", parser=path, help="An image: .png, .pdf or .svg; figure-NAME.png by default."),
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
    typer.Option(metavar="PATH", parser=path, help="An image to draw: .png, .pdf or .svg."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors alone.")]
RUNS = Path("runs")
ENGINES = ("auto", "graph", "native", "torch")
