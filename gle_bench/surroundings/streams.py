"""Standard streams that may be closed, full, broken, or in an encoding without the letters that are printed."""

import io
import logging
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gle_bench.errors import GleBenchError

if TYPE_CHECKING:  # rich costs a tenth of a second
    from rich.console import Console


class OutputLost(GleBenchError):
    """Standard output cannot be written to."""


class ReaderGone(OutputLost):
    """Whoever read standard output has ended, as `head` does: nothing is wrong, and nobody wants the rest."""


def make_robust() -> None:
    """Replaces both output streams: characters that they cannot encode are escaped, as Python does in errors.

    What standard error does not take is lost, because no run may fail for want of a place to complain. What standard
    output does not take raises `OutputLost`, at the latest when it is flushed.
    """
    for descriptor in range(3):  # a closed one would be given to the next file that is opened
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = _stream(sys.stdout, _Output)
    sys.stderr = _stream(sys.stderr, _Complaints)
    logging.raiseExceptions = False  # a library's line that its log cannot hold is no reason for a traceback


def console() -> "Console":
    """Standard error for live displays: plain lines unless it is a terminal, whatever FORCE_COLOR and its like say."""
    from rich.console import Console

    capable = sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return Console(stderr=True, force_terminal=capable, force_interactive=capable)


class _Descriptor(io.FileIO):
    """A stream's file descriptor, which a parent process may have left without blocking."""

    def write(self, content: Any, /) -> int:
        try:
            while (written := super().write(content)) is None:
                select.select([], [self], [])
        except OSError as error:
            with Path(os.devnull).open("wb") as nowhere:  # where the rest goes, also when the interpreter ends
                os.dup2(nowhere.fileno(), self.fileno())
            self._lost(error)
            return len(content)
        return written

    def _lost(self, error: OSError) -> None:
        raise NotImplementedError


class _Complaints(_Descriptor):
    """Standard error."""

    def _lost(self, error: OSError) -> None:
        """The rest is lost."""


class _Output(_Descriptor):
    """Standard output."""

    def _lost(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone("Whoever read the output has ended.") from error
        raise OutputLost(f"Cannot write to standard output: {error.strerror}.") from error


def _stream(before: "TextIO | None", kind: type[_Descriptor]) -> TextIO:
    """A text stream to where the one before it went; to nowhere if there was none."""
    if before is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    before.flush()
    raw = kind(before.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        before.encoding,
        "backslashreplace",
        line_buffering=before.isatty() or kind is _Complaints,
    )
