"""Standard streams, which may be closed, full or broken, or whose encoding may lack the characters that are printed."""

import io
import logging
import os
import select
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gle_bench.errors import GleBenchError

if TYPE_CHECKING:  # rich costs a tenth of a second
    from rich.console import Console


class OutputLost(GleBenchError):
    """The error that standard output cannot be written to."""


class ReaderGone(OutputLost):
    """The error that the reader of standard output has ended, as `head` does. It is no failure of the command."""


def make_robust() -> None:
    """Replaces both output streams, so that characters that they cannot encode are escaped.

    If standard error cannot be written to, its text is lost, because no run may fail for that reason. If standard
    output cannot be written to, `OutputLost` is raised, at the latest when it is flushed.
    """
    for descriptor in range(3):  # the number of a closed one would be given to the next file that is opened
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = _stream(sys.stdout, _StandardOutput)
    sys.stderr = _stream(sys.stderr, _StandardError)
    logging.raiseExceptions = False  # no traceback if a line of a log cannot be written


def console(quiet: bool = False) -> "Console":
    """rich's console on standard error, for live displays. Plain lines except in a terminal, even with FORCE_COLOR.

    If `quiet`, nothing is written.
    """
    from rich.console import Console

    capable = sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return Console(stderr=True, force_terminal=capable, force_interactive=capable, quiet=quiet)


def is_live(console: "Console") -> bool:
    """Whether a console can change what it shows: in a terminal, or in a notebook with ipywidgets, which rich needs."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def columns(elsewhere: int) -> int:
    """The width of text on standard output: that of the terminal; `elsewhere` in a pipe or a file."""
    return shutil.get_terminal_size((elsewhere, 24)).columns if sys.stdout.isatty() else elsewhere


def page(widest: int = 100) -> tuple[int, bool]:
    """The columns of standard output, at most `widest`, and whether it shows colours.

    It has `widest` columns and no colours unless it is a terminal; NO_COLOR and a terminal without them are heeded.
    """
    if not sys.stdout.isatty():
        return widest, False
    coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return min(widest, shutil.get_terminal_size((widest, 24)).columns), coloured


class _StandardError(io.FileIO):
    """The file of standard error, whose text is lost if it cannot be written.

    A parent process may have set its descriptor to non-blocking.
    """

    def write(self, content: Any, /) -> int:
        try:
            while (written := super().write(content)) is None:
                select.select([], [self], [])
        except OSError as error:
            with Path(os.devnull).open("wb") as nowhere:  # takes the rest, also what the interpreter flushes at its end
                os.dup2(nowhere.fileno(), self.fileno())
            self._lost(error)
            return len(content)
        return written

    def _lost(self, error: OSError) -> None:
        """Called once the text is lost."""


class _StandardOutput(_StandardError):
    """The file of standard output, which raises OutputLost if it cannot be written to."""

    def _lost(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone("The reader of the output has ended.") from error
        raise OutputLost(f"Cannot write to standard output: {error.strerror}.") from error


def _stream(before: "TextIO | None", kind: type[_StandardError]) -> TextIO:
    """A text stream with the same target as the stream `before`; without target if there was none."""
    if before is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    before.flush()
    raw = kind(before.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        before.encoding,
        "backslashreplace",
        line_buffering=before.isatty() or kind is _StandardError,
    )
