"""`execute(config) -> records`: the one way to run."""

import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerStatus
from rich.console import Console

from gle_bench.config import RunConfig
from gle_bench.names import GleBenchError
from gle_bench.protocols import OnlineModel
from gle_bench.tracking.lock import hold
from gle_bench.tracking.record import Record
from gle_bench.tracking.wandb_mirror import Mirror
from gle_bench.training import checkpoints
from gle_bench.training.bookkeeping import Bookkeeping
from gle_bench.training.data_module import Feed
from gle_bench.training.kinds import kind
from gle_bench.training.module import BenchModule
from gle_bench.training.plan import Plan, Settings, plan, stands
from gle_bench.training.progress import Display
from gle_bench.training.recorder import Recorder, drop_diverged
from gle_bench.training.rounds import batches_per_epoch
from gle_bench.training.scores import Score
from gle_bench.training.seed_run import SeedRun


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a request to end: the records say so, and the same command goes on from the last checkpoint."""


def execute(config: RunConfig, seeds: Sequence[int], settings: Settings) -> list[Record]:
    """Runs the seeds that are not done yet, and returns the records of all, in the order of `seeds`.

    Seeds of an online model learn side by side, grouped by the round that they have reached; others one by one.

    Raises:
        GleBenchError: what is unknown, does not fit or cannot be had; before anything is written, where possible.
        Interrupted: after the records have been brought up to date.
    """
    todo = plan(config, seeds, settings)
    records = dict(todo.finished)
    for seed, record in records.items():
        again = "always" if record.status == "done" else "failed"
        settings.report(
            f"Seed {seed} is {record.status}: its record exists ({record.run_id}; --rerun {again} runs it anew)."
        )
    if todo.pending:
        with hold([folder.path for folder in todo.pending.values()]):
            records |= _execute_pending(todo, settings)
    return [records[seed] for seed in seeds]


def _execute_pending(todo: Plan, settings: Settings) -> dict[int, Record]:
    records: dict[int, Record] = {}
    runs = {}
    for seed in todo.pending:
        record = None if settings.rerun == "always" else todo.pending[seed].read()
        if record is not None and stands(record, settings.rerun):  # finished by another process since we planned
            records[seed] = record
        else:
            runs[seed] = _open_run(todo, seed, record)
    side_by_side = isinstance(todo.experiment.config.network, OnlineModel)
    ordered = sorted(runs.values(), key=_stage)
    for _, group in groupby(ordered, key=lambda run: (_stage(run), None if side_by_side else run.seed)):
        records |= _execute_group(todo, {run.seed: run for run in group}, settings)
    return records


def _stage(run: SeedRun) -> tuple[int, bool]:
    """Where a run stands: not yet evaluated, after round 0, after round 1, ..."""
    return run.round, run.member is not None


def _open_run(todo: Plan, seed: int, record: Record | None) -> SeedRun:
    """A seed's run as its last checkpoint left it, or fresh; `record` is what is to be gone on with."""
    experiment, folder = todo.experiment, todo.folders[seed]
    run = SeedRun(seed, folder, experiment.config.training, todo.ends[-1], experiment.task.metric)
    cut_off = record is not None and record.status in ("running", "interrupted", "failed")
    content = checkpoints.load(folder.checkpoint("last")) if cut_off else None
    if content is not None:
        if content["under"] != todo.under:
            raise GleBenchError(
                f"Checkpoint {folder.checkpoint('last')} was made under {content['under']}, not {todo.under}: "
                "resume it under the same (threads are OMP_NUM_THREADS), or start anew with --rerun always."
            )
        run.resume(content)
    return run


def _execute_group(todo: Plan, runs: dict[int, SeedRun], settings: Settings) -> dict[int, Record]:
    """One Trainer's worth of seeds. Their failure becomes their records; only an interruption is passed on."""
    module = kind(todo.experiment)(todo.experiment, list(runs))
    books = Bookkeeping(todo, runs, module.parameter_count, module.macs)
    try:
        for seed, run in runs.items():
            record = books.begin(seed)
            run.mirror = Mirror.open(record, settings.wandb, settings.runs, settings.report)
        scores = _train(todo, module, runs)
        for seed in runs:
            books.finish(seed, scores.get(seed), module.diverged.get(seed))
    except KeyboardInterrupt:
        books.end_unfinished("interrupted", None)
        raise
    except Exception as error:
        for run in runs.values():
            with suppress(GleBenchError):  # a full disk, say, which may be the very error
                run.folder.log(traceback.format_exc())
        books.end_unfinished("failed", f"{type(error).__name__}: {error}")
        if books.records.keys() != runs.keys():
            raise  # not even the record of a begun run can be written
        settings.report(f"{', '.join(f'seed {seed}' for seed in runs)} failed: {error} (see log.txt)")
    return books.records


def _train(todo: Plan, module: BenchModule, runs: dict[int, SeedRun]) -> dict[int, dict[str, dict[str, Score]]]:
    """Trains to the end; returns {seed: {selection: {split: score}}} of what is not in the history."""
    first = next(iter(runs.values()))
    module.batches = first.batches
    module.batches_per_epoch = batches_per_epoch(todo.experiment.config.training, todo.samples)
    module.rates = {seed: run.rate for seed, run in runs.items()}
    if first.member is not None:
        module.restore({seed: _present(run.member) for seed, run in runs.items()})
    for run in runs.values():
        run.start_clock()
    feed = feed_for(todo, list(runs), first.round)
    remaining = len(todo.ends) - 1 - first.round
    with _quietly():
        trainer = _trainer(todo, runs, feed, remaining)
        if first.member is None:
            _through(trainer, lambda: trainer.validate(module, datamodule=feed, verbose=False))
        if drop_diverged(module, feed) and remaining:
            _through(trainer, lambda: trainer.fit(module, datamodule=feed))
        return _test_scores(todo, module, runs)


def _present(member: dict[str, Any] | None) -> dict[str, Any]:
    assert member is not None, "seeds of one group have all been checkpointed, or none has"
    return member


def _test_scores(
    todo: Plan, module: BenchModule, runs: Mapping[int, SeedRun]
) -> dict[int, dict[str, dict[str, Score]]]:
    """The test split's scores where another was evaluated while training: it is looked at here for the first time."""
    seeds = [seed for seed in runs if seed not in module.diverged]
    scores: dict[int, dict[str, dict[str, Score]]] = {seed: {"last": {}, "best": {}} for seed in seeds}
    for seed in seeds:
        if todo.keeps_test:
            for selection in ("last", "best"):
                scores[seed][selection]["test"] = _test(todo, type(module), runs[seed], selection)
    return scores


def _test(todo: Plan, kind: type[BenchModule], run: SeedRun, selection: Any) -> Score:
    """The test split by one seed's last or best weights."""
    content = checkpoints.load(run.folder.checkpoint(selection))
    assert content is not None, "every round writes a checkpoint"
    alone = kind(todo.experiment, [run.seed])
    alone.restore({run.seed: content["member"]})
    feed = feed_for(todo, [run.seed], 0)
    trainer = _trainer(todo, {}, feed, 0)
    _through(trainer, lambda: trainer.test(alone, datamodule=feed, verbose=False))
    return alone.scores[run.seed]


def feed_for(todo: Plan, seeds: Sequence[int], first_round: int) -> Feed:
    """The data module of these seeds, from the round after `first_round` on."""
    experiment = todo.experiment
    training, task = experiment.config.training, experiment.task
    return Feed(
        todo.data,
        seeds,
        training,
        shuffle=training.shuffle and not task.stream,
        evaluation=todo.watched,
        first_round=first_round,
        dtype=experiment.dtype,
    )


def _trainer(todo: Plan, runs: Mapping[int, SeedRun], feed: Feed, rounds: int) -> pl.Trainer:
    """A Trainer that does nothing on its own: no sanity check, which would move the state, no files, no bars."""
    experiment = todo.experiment
    callbacks: list[pl.Callback] = []
    if runs:
        title = f"{experiment.config.task} {experiment.config.model}"
        title += f" ×{len(runs)}" if len(runs) > 1 else f" s{next(iter(runs))}"
        steps = experiment.shape.steps if experiment.rule.online else 1
        metric = (experiment.task.metric.name, experiment.task.metric.unit)
        callbacks = [
            Recorder(runs, feed.samples, todo.ends[-1], todo.under),
            Display(Console(stderr=True), title, todo.ends, steps, metric),
        ]
    return pl.Trainer(
        accelerator="gpu" if todo.device == "cuda" else "cpu",
        devices=1,
        max_epochs=rounds,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        use_distributed_sampler=False,
        inference_mode=False,  # the state that an evaluation leaves may go into a rule that uses autograd
    )


def _through(trainer: pl.Trainer, call: Any) -> None:
    """Calls the Trainer, whose answer to Ctrl-C is to leave the program with exit code 1."""
    try:
        call()
    except SystemExit as error:
        if trainer.state.status == TrainerStatus.INTERRUPTED:
            raise Interrupted from error
        raise


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Lightning's advertisements, and without warnings about what is meant to be so."""
    import signal

    log = logging.getLogger("pytorch_lightning")
    level, handler = log.level, signal.getsignal(signal.SIGINT)
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*LeafSpec.*")  # Lightning 2.6, torch 2.13
        warnings.filterwarnings("ignore", module="pytorch_lightning.*")
        try:
            yield
        finally:
            log.setLevel(level)
            if handler is not None:
                signal.signal(signal.SIGINT, handler)  # which Lightning leaves ignored
