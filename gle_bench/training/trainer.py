"""Lightning's Trainer with every argument given, so that environment variables and clusters do not change it."""

import inspect
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gle_bench.plugins import described
from gle_bench.surroundings.processes import Interrupted, Requests, is_request
from gle_bench.training.lightning import Callback, LightningEnvironment, SingleDeviceStrategy, Trainer


class OneProcess(LightningEnvironment):
    """The environment of one process that belongs to no cluster, whatever environment variables of clusters are set.

    By default, Lightning guesses a cluster from such variables; under SLURM it writes checkpoints of its own and
    requeues the job.
    """

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0


def stated(**arguments: Any) -> dict[str, Any]:
    """All arguments of the Trainer: those given, and Lightning's defaults for the others.

    Lightning would fill in an omitted argument from environment variables such as PL_TRAINER_FAST_DEV_RUN.
    """
    parameters = inspect.signature(Trainer.__init__).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
    return {**defaults, **arguments}


def make_trainer(device: str, callbacks: Sequence[Callback], epochs: int) -> Trainer:
    """A Trainer on 'cpu' or 'cuda' without files, progress bars, or a sanity check, which would change the state.

    Its folder cannot exist, because Lightning loads `hpc_ckpt_*.ckpt` from there if it sees a SLURM job.
    """
    return Trainer(
        **stated(
            accelerator="gpu" if device == "cuda" else "cpu",
            strategy=SingleDeviceStrategy(device="cuda:0" if device == "cuda" else "cpu"),
            devices=1,
            max_epochs=epochs,
            callbacks=list(callbacks),
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_autolog_hparams=False,
            logger=False,
            use_distributed_sampler=False,
            inference_mode=False,  # the state that an evaluation leaves may go into a rule that uses autograd
            default_root_dir=os.devnull,
            plugins=[OneProcess()],
        )
    )


def through(requests: Requests, call: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Calls a method of a Lightning Trainer, and raises Interrupted where Lightning would end the process on Ctrl-C.

    Raises:
        Interrupted: the user asked to end.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        call(*arguments, **options)
    except SystemExit as error:
        cause = error.__context__
        if cause is not None and is_request(cause):
            raise Interrupted from error
        if isinstance(cause, KeyboardInterrupt):  # raised by a plugin, which is a failure
            raise RuntimeError(described(cause)) from cause
        raise
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
    requests.check()


@contextmanager
def quietly() -> Iterator[None]:
    """Silences Lightning's advertisements, and its warnings about deliberate choices of glebench."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*LeafSpec.*")  # Lightning 2.6, torch 2.13
        warnings.filterwarnings("ignore", module="pytorch_lightning.*")
        warnings.filterwarnings("ignore", module="lightning_fabric.*")
        try:
            yield
        finally:
            log.setLevel(level)
