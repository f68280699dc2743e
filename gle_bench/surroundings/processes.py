"""Requests to end this process (Ctrl-C, SIGTERM), and the removal of the rank that a cluster gave it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Variables with the rank of a process. Lightning reads the first one during its import, and fails if it is no number.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def leave_clusters() -> None:
    """Removes the ranks that SLURM, TorchElastic or LSF gave this process from its environment."""
    for name in RANKS:
        os.environ.pop(name, None)


class Interrupted(KeyboardInterrupt):
    """The error that this process was asked to end; records become 'interrupted', and the same command resumes runs."""


def is_request(error: BaseException) -> bool:
    """Whether an error is a user's request to end, and not a KeyboardInterrupt that a plugin raised by itself."""
    own_handler = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    return isinstance(error, Interrupted) or (isinstance(error, KeyboardInterrupt) and not own_handler)


class Requests:
    """Requests to end this process, by Ctrl-C (SIGINT) or SIGTERM. The handler raises Interrupted and remembers it.

    An exception that is raised inside a destructor or a library's handler may be lost; `check`, which is called between
    any two batches, raises it again.
    """

    def __init__(self) -> None:
        self._asked = False

    @classmethod
    def present(cls) -> "Requests":
        """The object whose handler this process has installed, or else a new one."""
        owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        return owner if isinstance(owner, cls) else cls()

    def ask(self, *_: object) -> None:
        """The handler of SIGINT and SIGTERM, which remembers the request to end and raises Interrupted."""
        self._asked = True
        raise Interrupted

    def check(self) -> None:
        """Raises Interrupted again if this process was asked to end.

        Raises:
            Interrupted: it was asked to end.
        """
        if self._asked:
            raise Interrupted

    @contextmanager
    def heard(self) -> Iterator[None]:
        """A context in which Ctrl-C (SIGINT) and SIGTERM count as requests to end. Ignored signals stay ignored.

        Only the main thread can install handlers; in any other thread this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        report = sys.unraisablehook

        def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
            if not isinstance(unraisable.exc_value, Interrupted):  # which is remembered
                report(unraisable)

        sys.unraisablehook = report_others
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.ask)
        try:
            self.check()
            yield
        finally:
            sys.unraisablehook = report
            for number, handler in before.items():
                if handler is not None:  # None: it was not installed by Python
                    signal.signal(number, handler)
