"""The preparation of a process before a command: its streams, home folder, plotting and import paths."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gle_bench.errors import GleBenchError
from gle_bench.surroundings import home, isolation, plotting, processes, streams


@contextmanager
def settled() -> Iterator[None]:
    """A context for a command, in which the process is prepared; afterwards standard output is flushed.

    Raises:
        GleBenchError: the current folder does not exist, or standard output cannot be written to.
    """
    processes.leave_clusters()
    streams.make_robust()
    _require_current_folder()
    isolation.leave_current_folder(started_there=True)
    home.provide()
    plotting.leave_unconfigured()
    try:
        with processes.Requests().heard():
            yield
    finally:
        sys.stdout.flush()


def _require_current_folder() -> None:
    """Checks that the current folder exists: nearly all libraries ask for it, some during their import."""
    try:
        Path.cwd()
    except OSError as error:
        raise GleBenchError(f"The current folder cannot be found ({error.strerror}): change to another.") from error
