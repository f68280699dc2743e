"""This process among others: asked to end by SIGTERM as by Ctrl-C, and of no rank in anybody's cluster."""

import os
import signal

# Lightning takes its rank from the first of these while it is imported, and fails where that is no number.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def hear_requests() -> None:
    """SIGTERM raises KeyboardInterrupt from now on, unless the parent process had it ignored."""
    if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def leave_clusters() -> None:
    """Takes the ranks that SLURM, TorchElastic or LSF gave this process out of its environment."""
    for name in RANKS:
        os.environ.pop(name, None)
