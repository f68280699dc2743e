"""Options that commands share: how they are spelled, and what `--help` says of them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gle_bench.names import UsageError
from gle_bench.surroundings.home import expanded


def _path(text: str | Path) -> Path:
    """The one way in which options that are paths are read."""
    try:
        return expanded(str(text))
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


# Whatever these are handed to declares its own, and mypy holds the two together.
Budget = Literal["smoke", "short", "paper"]
Rerun = Literal["missing", "failed", "always"]
Selection = Literal["last", "best"]
Again = Literal["missing", "failed"]
Kind = Literal["tasks", "models", "rules", "runs"]
Format = Literal["md", "tex", "html", "csv"]
Protocol = Annotated[Literal["paper", "clean"], typer.Option(help="As the paper did, flaws included, or clean.")]
Wandb = Annotated[
    Literal["auto", "online", "offline", "off"],
    typer.Option(help="The mirror in W&B: auto is online when logged in."),
]
AcceptData = Annotated[bool, typer.Option("--accept-data", help="Use data that are not official.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing.")]
Runs = Annotated[
    Path, typer.Option("--runs", metavar="PATH", parser=_path, envvar="GLEBENCH_RUNS", help="The folder of all runs.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", parser=_path, envvar="GLEBENCH_DATA", help="The folder of all data."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="PATH", parser=_path, help="A .png, .pdf or .svg; figure-NAME.png by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RUNS = Path("runs")
