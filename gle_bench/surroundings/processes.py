"""This process among others: how it is asked to end, and that it is of no rank in anybody's cluster."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Lightning takes its rank from the first of these while it is imported, and fails where that is no number.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def leave_clusters() -> None:
    """Takes the ranks that SLURM, TorchElastic or LSF gave this process out of its environment."""
    for name in RANKS:
        os.environ.pop(name, None)


Hook = Callable[["sys.UnraisableHookArgs"], object]


class Interrupted(KeyboardInterrupt):
    """Somebody asked this process to end: the records say so, and the same command goes on from the last checkpoint."""


def is_request(error: BaseException) -> bool:
    """Whether an error is a user's request to end, and not something that a stranger's code raised by itself."""
    own_handler = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    return isinstance(error, Interrupted) or (isinstance(error, KeyboardInterrupt) and not own_handler)


class Requests:
    """Requests to end, by Ctrl-C (SIGINT) or SIGTERM: the first is answered at once, and remembered until it is.

    An exception that is raised while the interpreter runs a destructor, or a library's own handler, may be lost on its
    way; `check`, called between any two batches, raises it again.
    """

    def __init__(self) -> None:
        self._asked = False

    @classmethod
    def present(cls) -> "Requests":
        """Those that this process listens to already, or new ones."""
        owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        return owner if isinstance(owner, cls) else cls()

    def ask(self, *_: object) -> None:
        """The handler of both signals."""
        self._asked = True
        raise Interrupted

    def check(self) -> None:
        """Ends the run if it was asked to end.

        Raises:
            Interrupted: it was.
        """
        if self._asked:
            raise Interrupted

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Answers both signals inside; a signal that is ignored, as in a shell's background jobs, stays ignored.

        Python lets only the main thread do this; in another, requests end at its owner.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        report = sys.unraisablehook
        sys.unraisablehook = _without_requests(report)
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.ask)
        try:
            self.check()
            yield
        finally:
            sys.unraisablehook = report
            for number, handler in before.items():
                if handler is not None:  # None: set by something else than Python
                    signal.signal(number, handler)


def _without_requests(report: "Hook") -> "Hook":
    """Says nothing of requests where Python cannot raise them, because they are remembered; `report` has all else."""

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if not isinstance(lost.exc_value, Interrupted):
            report(lost)

    return hook
