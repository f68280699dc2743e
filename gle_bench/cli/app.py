"""The program: what its name, its version and its errors are."""

import gc
import sys
from typing import Annotated

import typer

from gle_bench.cli import completion
from gle_bench.cli.output import say
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.surroundings import settle, streams

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        say(f"Error: {error}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    finally:
        gc.freeze()  # otherwise the interpreter scans all objects once more before it ends
