"""What all commands print: results on standard output, all else on standard error, and commands to copy."""

import os
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gle_bench.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gle_bench.tracking.store import Skipped


def say(line: str) -> None:
    print(printable(line), file=sys.stderr)


def show_result(content: Any, as_json: bool, text: Any) -> None:
    from gle_bench.report.output import json_text

    print(json_text(content) if as_json else printable(text(content)))


def pass_over(skipped: "Iterable[Skipped]") -> None:
    for record in skipped:
        say(f"Passed over {record.path}: {record.reason}.")


def teller(quiet: bool) -> "Callable[[str], None]":
    """The function that prints a line for the user, or one that does nothing."""
    return (lambda _: None) if quiet else say


def resumable(command: "Callable[..., None]") -> "Callable[..., None]":
    """The command, which on Ctrl-C prints the command that resumes it."""

    @wraps(command)
    def resumable(**options: Any) -> None:
        try:
            command(**options)
        except KeyboardInterrupt:
            say(f"Interrupted. The same command goes on from the last checkpoint:\n  {resuming_command()}")
            raise typer.Exit(130) from None

    return resumable


def resuming_command() -> str:
    """The command that resumes the present one: the same words, without `--rerun always`, which would start anew."""
    import re

    return re.sub(r" --rerun[= ]always\b", "", spelled(sys.argv[1:]))


def program() -> str:
    """The name of the program, as the user called it."""
    return os.environ.get("GLEBENCH_PROGRAM", "glebench")


def spelled(words: "Iterable[str]") -> str:
    """A command of this program as one line for a shell."""
    import shlex

    return shlex.join([program(), *words])


def chosen_data(chosen: Path | None) -> Path:
    from gle_bench.files.disk import data_folder

    return data_folder(chosen)
