"""`execute(config) -> records`: the one way to run."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from gle_bench.config import RunConfig
from gle_bench.contracts import OnlineModel
from gle_bench.data.foreign import Malformed, parsing, sentence_if_unreadable
from gle_bench.errors import GleBenchError
from gle_bench.plugins import described, guarded
from gle_bench.surroundings.processes import Requests, is_request
from gle_bench.surroundings.streams import console
from gle_bench.tracking.lock import Hold, RunLost, clear_remains, hold
from gle_bench.tracking.record import Record
from gle_bench.tracking.wandb_mirror import Mirror
from gle_bench.training import checkpoints
from gle_bench.training.callbacks import Attentive, Display, Recorder, drop_diverged
from gle_bench.training.data import Feed, batches_per_epoch
from gle_bench.training.modules.base import BenchModule, Experiment, Score
from gle_bench.training.modules.closed_form import ReadoutModule
from gle_bench.training.modules.gradient import OfflineModule
from gle_bench.training.modules.online import OnlineModule
from gle_bench.training.outcome import Bookkeeping, whole_evaluation
from gle_bench.training.plan import Plan, Settings, plan, stands
from gle_bench.training.seed import SeedRun
from gle_bench.training.trainer import make_trainer, quietly, through

ANEW = "delete it, or start anew with --rerun always"


def execute(config: RunConfig, seeds: Sequence[int], settings: Settings) -> list[Record]:
    """Runs the seeds that are not done yet, and returns the records of all, in the order of `seeds`.

    Seeds of an online model learn side by side, grouped by the round that they have reached; others one by one.

    Raises:
        GleBenchError: what is unknown, does not fit or cannot be had; before anything is written, where possible.
        Interrupted: after the records have been brought up to date.
    """
    requests = Requests.present()
    with requests.heard(), redirect_stdout(sys.stderr):  # strangers' code may print; only results go to stdout
        todo = plan(config, seeds, settings)
        records = dict(todo.finished)
        for seed, record in records.items():
            again = "always" if record.status == "done" else "failed"
            settings.report(
                f"Seed {seed} is {record.status}: its record exists ({record.run_id}; --rerun {again} runs it anew)."
            )
            clear_remains(todo.folders[seed].path)
        if todo.pending:
            with hold([folder.path for folder in todo.pending.values()]) as held:
                records |= _Execution(todo, settings, held, requests).run()
    return [records[seed] for seed in seeds]


class _Execution:
    """What the pending seeds of one command share. Made by `execute`."""

    def __init__(self, todo: Plan, settings: Settings, held: Hold, requests: Requests) -> None:
        self._todo, self._settings, self._held, self._requests = todo, settings, held, requests

    def run(self) -> dict[int, Record]:
        """Runs them all, group by group."""
        todo, settings = self._todo, self._settings
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
            records |= self._run_group({run.seed: run for run in group})
        return records

    def _run_group(self, runs: dict[int, SeedRun]) -> dict[int, Record]:
        """One Trainer's worth of seeds. Their failure becomes their records; only an interruption is passed on."""
        todo = self._todo
        with guarded(f"The network of {todo.experiment.config.model}"):
            module = kind(todo.experiment)(todo.experiment, list(runs))
            books = Bookkeeping(todo, runs, self._held, module)
        members = {seed: run.member for seed, run in runs.items() if run.member is not None}
        if members:
            _restore(module, members, {seed: run.folder.checkpoint("last") for seed, run in runs.items()})
        try:
            for seed, run in runs.items():
                record = books.begin(seed)
                run.mirror = Mirror.open(record, self._settings.wandb, self._settings.runs, self._settings.report)
            scores = self._train(module, runs)
            for seed in runs:
                books.finish(seed, scores.get(seed), module.diverged.get(seed))
        except RunLost as lost:
            for seed, run in runs.items():
                if not self._held.is_ours(run.folder.path):
                    books.lose(seed)
            books.end_unfinished("interrupted", str(lost))  # the others go on from their checkpoints
            raise
        except BaseException as error:  # strangers' rules, models and tasks may raise anything
            if is_request(error):
                books.end_unfinished("interrupted", None)
                raise
            self._fail(books, runs, error)
        for run in runs.values():
            self._held.release(run.folder.path)
        return books.records

    def _fail(self, books: Bookkeeping, runs: Mapping[int, SeedRun], error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        for run in runs.values():
            with suppress(GleBenchError):  # a full disk, say, which may be the very error
                run.folder.log(text)
        books.end_unfinished("failed", described(error))
        if books.records.keys() != runs.keys():
            # Not even the record of a begun run can be made or written.
            raise GleBenchError(f"The run cannot be begun: {described(error)}.") from error
        self._settings.report(f"{', '.join(f'seed {seed}' for seed in runs)} failed: {described(error)} (see log.txt)")

    def _train(self, module: BenchModule, runs: dict[int, SeedRun]) -> dict[int, dict[str, dict[str, Score]]]:
        """Trains to the end; returns {seed: {selection: {split: score}}} of what is not in the history."""
        todo, first = self._todo, next(iter(runs.values()))
        module.batches = first.batches
        module.batches_per_epoch = batches_per_epoch(todo.experiment.config.training, todo.samples)
        module.rates = {seed: run.rate for seed, run in runs.items()}
        for run in runs.values():
            run.start_clock(len(runs))
        feed = feed_for(todo, list(runs), first.round)
        remaining = len(todo.ends) - 1 - first.round
        with quietly():
            trainer = self._trainer(runs, feed, remaining)
            if first.member is None:
                through(lambda: trainer.validate(module, datamodule=feed, verbose=False), self._requests)
            if drop_diverged(module, feed) and remaining:
                through(lambda: trainer.fit(module, datamodule=feed), self._requests)
            return self._test_scores(module, runs)

    def _test_scores(self, module: BenchModule, runs: Mapping[int, SeedRun]) -> dict[int, dict[str, dict[str, Score]]]:
        """The test split's scores where another was evaluated while training: it is looked at here for the first time.

        {seed: {selection: {split: score}}}
        """
        seeds = [seed for seed in runs if seed not in module.diverged]
        scores: dict[int, dict[str, dict[str, Score]]] = {seed: {"last": {}, "best": {}} for seed in seeds}
        for seed in seeds:
            if self._todo.keeps_test:
                for selection in ("last", "best"):
                    scores[seed][selection]["test"] = self._test(type(module), runs[seed], selection)
        return scores

    def _test(self, kind: type[BenchModule], run: SeedRun, selection: Any) -> Score:
        """The test split by one seed's last or best weights."""
        todo = self._todo
        self._held.check(run.folder.path)
        path = run.folder.checkpoint(selection)
        content = checkpoints.load(path)
        if content is None:
            raise GleBenchError(f"{path} is missing, which the run wrote; start it anew.")
        alone = kind(todo.experiment, [run.seed])
        _restore(alone, {run.seed: content.get("member", {})}, {run.seed: path})
        feed = feed_for(todo, [run.seed], 0)
        trainer = self._trainer({}, feed, 0)
        through(lambda: trainer.test(alone, datamodule=feed, verbose=False), self._requests)
        score = alone.scores[run.seed]
        whole_evaluation(score.samples, len(todo.any_data.splits["test"]), "test")
        return score

    def _trainer(self, runs: Mapping[int, SeedRun], feed: Feed, rounds: int) -> pl.Trainer:
        """The Trainer of these runs; without any, one that only evaluates."""
        todo, experiment = self._todo, self._todo.experiment
        callbacks: list[pl.Callback] = [Attentive(self._requests)]
        if runs:
            title = f"{experiment.config.task} {experiment.config.model}"
            title += f" ×{len(runs)}" if len(runs) > 1 else f" s{next(iter(runs))}"
            steps = experiment.shape.steps if experiment.rule.online else 1
            metric = (experiment.task.metric.name, experiment.task.metric.unit)
            evaluated = len(todo.any_data.splits[todo.watched])
            callbacks += [
                Recorder(runs, self._held, feed.samples, evaluated, todo.ends[-1], todo.under),
                Display(console(), title, todo.ends, steps, metric),
            ]
        return make_trainer(todo.device, callbacks, rounds)


def kind(experiment: Experiment) -> type[BenchModule]:
    """The class of the experiment's modules: online, offline by gradients, or offline in closed form."""
    if isinstance(experiment.config.network, OnlineModel):
        return OnlineModule
    return ReadoutModule if experiment.rule.closed_form else OfflineModule


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
        if content.get("under") != todo.under:
            raise GleBenchError(
                f"Checkpoint {folder.checkpoint('last')} was made under {content.get('under')}, not {todo.under}: "
                "resume it under the same (threads are OMP_NUM_THREADS), or start anew with --rerun always."
            )
        with sentence_if_unreadable(folder.checkpoint("last"), ANEW):
            run.resume(content, todo.ends)
    return run


def _restore(module: BenchModule, members: Mapping[int, dict[str, Any]], paths: Mapping[int, Path]) -> None:
    """Brings back what checkpoints hold of a module's seeds.

    Raises:
        GleBenchError: it is not what the module would have saved.
    """
    for seed, member in members.items():
        with sentence_if_unreadable(paths[seed], ANEW), parsing():
            if complaint := module.unlike(member):
                raise Malformed(complaint)
    with sentence_if_unreadable(next(iter(paths.values())), ANEW), parsing():
        module.restore(members)


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
