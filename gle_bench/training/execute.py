"""The one way to train: `execute` runs seeds of a chosen model and task, and returns their records."""

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from gle_bench.chosen import Chosen
from gle_bench.contracts import ClosedFormRule, OnlineModel
from gle_bench.errors import GleBenchError
from gle_bench.files.foreign import Malformed, parsing, sentence_if_unreadable
from gle_bench.plugins import described, guarded
from gle_bench.surroundings.processes import Requests, is_request
from gle_bench.surroundings.streams import console
from gle_bench.tracking.lock import Hold, RunLost, clear_remains, hold
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder
from gle_bench.tracking.wandb_content import swept, sync_command
from gle_bench.tracking.wandb_mirror import Mirror
from gle_bench.training import checkpoints
from gle_bench.training.callbacks import Attentive, Display, Recorder, drop_diverged
from gle_bench.training.data import Feed
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.base import BenchModule, Score
from gle_bench.training.modules.closed_form import ReadoutModule
from gle_bench.training.modules.gradient import OfflineModule
from gle_bench.training.modules.online import OnlineModule
from gle_bench.training.outcome import Outcomes, whole_evaluation
from gle_bench.training.plan import Plan, Settings, plan, stands
from gle_bench.training.seed import SeedRun
from gle_bench.training.trainer import make_trainer, quietly, through
from gle_bench.words import Selection

ANEW = "delete it, or start anew with --rerun always"


def execute(chosen: Chosen, seeds: Sequence[int], settings: Settings) -> list[Record]:
    """Runs the seeds that are not done yet, and returns the records of all, in the order of `seeds`.

    Seeds of an online model learn side by side, grouped by the round that they have reached; others one by one.

    Raises:
        GleBenchError: a combination that is refused, or data that are missing; if possible, before anything is written.
        Interrupted: after the records have been brought up to date.
    """
    requests = Requests.present()
    with requests.heard(), redirect_stdout(sys.stderr):  # plugins may print; only results go to stdout
        planned = plan(chosen, seeds, settings)
        records = dict(planned.finished)
        for seed, record in records.items():
            again = "always" if record.status == "done" else "failed"
            settings.report(
                f"Seed {seed} is {record.status}: its record exists ({record.run_id}; --rerun {again} runs it anew)."
            )
            clear_remains(planned.folders[seed].path)
        if planned.pending:
            if settings.wandb != "off" and (owned := swept(os.environ)):
                settings.report(owned)
            with hold([folder.path for folder in planned.pending.values()]) as folders_held:
                execution = _Execution(planned, settings, folders_held, requests)
                records |= execution.run()
            if execution.offline:
                settings.report(
                    f"W&B's files are on this machine alone; to upload them: {sync_command(execution.offline)}"
                )
    return [records[seed] for seed in seeds]


class _Execution:
    """The training of the pending seeds of one command, group by group. Made by `execute`."""

    def __init__(self, planned: Plan, settings: Settings, folders_held: Hold, requests: Requests) -> None:
        self._plan, self._experiment = planned, planned.experiment
        self._settings, self._hold, self._requests = settings, folders_held, requests
        self.offline: list[Path] = []  # folders of the W&B runs that wait for `wandb sync`

    def run(self) -> dict[int, Record]:
        """Trains all pending seeds, and returns their records."""
        records: dict[int, Record] = {}
        runs = {}
        for seed, folder in self._plan.pending.items():
            record = None if self._settings.rerun == "always" else folder.read()
            if record is not None and stands(record, self._settings.rerun):  # finished by another process meanwhile
                records[seed] = record
            else:
                runs[seed] = _open_run(self._experiment, seed, folder, record)
        if runs and self._settings.before is not None:
            self._settings.before(self._experiment, {seed: run.position.batches for seed, run in runs.items()})
        side_by_side = isinstance(self._experiment.config.network, OnlineModel)
        ordered = sorted(runs.values(), key=_stage)
        for _, group in groupby(ordered, key=lambda run: (_stage(run), None if side_by_side else run.seed)):
            records |= self._run_group({run.seed: run for run in group})
        return records

    def _run_group(self, runs: dict[int, SeedRun]) -> dict[int, Record]:
        """Trains a group of seeds with one Trainer. Errors go into their records; only interruptions are raised."""
        with guarded(f"The network of {self._experiment.config.model}"):
            module = module_class(self._experiment)(self._experiment, list(runs))
            outcomes = Outcomes(self._plan, runs, self._hold, module)
        members = {seed: run.member for seed, run in runs.items() if run.member is not None}
        if members:
            _restore(module, members, {seed: run.folder.checkpoint("last") for seed, run in runs.items()})
        try:
            for seed, run in runs.items():
                record = outcomes.begin(seed)
                run.mirror = self._mirror(record)
            scores = self._train(module, runs)
            for seed in runs:
                outcomes.finish(seed, scores.get(seed), module.diverged.get(seed))
        except RunLost as lost:
            for seed, run in runs.items():
                if not self._hold.is_ours(run.folder.path):
                    outcomes.lose(seed)
            outcomes.end_unfinished("interrupted", str(lost))  # the others go on from their checkpoints
            raise
        except BaseException as error:  # a plugin's code may raise anything
            if is_request(error):
                outcomes.end_unfinished("interrupted", None)
                raise
            self._fail(outcomes, runs, error)
        for run in runs.values():
            self._hold.release(run.folder.path)
        return outcomes.records

    def _mirror(self, record: Record) -> Mirror:
        """The open W&B run of a record."""
        settings = self._settings
        mirror = Mirror.open(record, settings.wandb, settings.runs, settings.report, settings.labels)
        if mirror.offline is not None:
            self.offline.append(mirror.offline)
        return mirror

    def _fail(self, outcomes: Outcomes, runs: Mapping[int, SeedRun], error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        for run in runs.values():
            with suppress(GleBenchError):  # a full disk, say, which may be the very error
                run.folder.log(text)
        outcomes.end_unfinished("failed", described(error))
        if outcomes.records.keys() != runs.keys():
            # Not even the record of a running seed can be made or written.
            raise GleBenchError(f"The run cannot start: {described(error)}.") from error
        self._settings.report(f"{', '.join(f'seed {seed}' for seed in runs)} failed: {described(error)} (see log.txt)")

    def _train(self, module: BenchModule, runs: dict[int, SeedRun]) -> dict[int, dict[str, dict[str, Score]]]:
        """Trains to the end; returns the scores that the history lacks, {seed: {selection: {split: score}}}."""
        first = next(iter(runs.values()))
        module.positions = {seed: run.position for seed, run in runs.items()}
        for run in runs.values():
            run.start_clock(len(runs))
        feed = feed_for(self._experiment, list(runs), first.position.round)
        remaining = len(self._experiment.ends) - 1 - first.position.round
        with quietly():
            recorder = Recorder(module, runs, self._hold, feed)
            callbacks = [Attentive(self._requests), recorder, Display(module, console(self._settings.quiet))]
            trainer = make_trainer(self._experiment.device, callbacks, remaining)
            if first.member is None:
                through(self._requests, trainer.validate, module, datamodule=feed, verbose=False)
            if drop_diverged(module, feed) and remaining:
                through(self._requests, trainer.fit, module, datamodule=feed)
            return self._test_scores(module, runs)

    def _test_scores(self, module: BenchModule, runs: Mapping[int, SeedRun]) -> dict[int, dict[str, dict[str, Score]]]:
        """The scores on a test split that was kept during training, {seed: {selection: {split: score}}}."""
        splits = ["test"] if self._experiment.keeps_test else []
        return {
            seed: {
                which: {split: self._test(type(module), run, which) for split in splits} for which in ("last", "best")
            }
            for seed, run in runs.items()
            if seed not in module.diverged
        }

    def _test(self, cls: type[BenchModule], run: SeedRun, selection: Selection) -> Score:
        """The score of one seed's last or best weights on the test split."""
        self._hold.check(run.folder.path)
        path = run.folder.checkpoint(selection)
        content = checkpoints.load(path)
        if content is None:
            raise GleBenchError(f"The run wrote {path}, which is missing now; start the run anew.")
        alone = cls(self._experiment, [run.seed])  # new, because only its form tells what a checkpoint must look like
        _restore(alone, {run.seed: content.get("member", {})}, {run.seed: path})
        feed = feed_for(self._experiment, [run.seed], 0)
        trainer = make_trainer(self._experiment.device, [Attentive(self._requests)], 0)
        through(self._requests, trainer.test, alone, datamodule=feed, verbose=False)
        score = alone.scores[run.seed]
        whole_evaluation(score.samples, len(self._experiment.any_data.splits["test"]), "test")
        return score


def module_class(experiment: Experiment) -> type[BenchModule]:
    """The class of the experiment's modules: online, offline by gradients, or offline in closed form."""
    if isinstance(experiment.config.network, OnlineModel):
        return OnlineModule
    return ReadoutModule if isinstance(experiment.rule, ClosedFormRule) else OfflineModule


def _stage(run: SeedRun) -> tuple[int, bool]:
    """The progress of a run, by which seeds are grouped: not yet evaluated, after round 0, after round 1, ..."""
    return run.position.round, run.member is not None


def _open_run(experiment: Experiment, seed: int, folder: RunFolder, record: Record | None) -> SeedRun:
    """The run of a seed, fresh or resumed from its last checkpoint; `record` is its earlier record, if there is one."""
    run = SeedRun(seed, folder, experiment.config.training, experiment.ends[-1], experiment.task.metric)
    cut_off = record is not None and record.status in ("running", "interrupted", "failed")
    content = checkpoints.load(folder.checkpoint("last")) if cut_off else None
    if content is not None:
        if content.get("under") != experiment.under:
            raise GleBenchError(
                f"Checkpoint {folder.checkpoint('last')} was made under {content.get('under')}, not "
                f"{experiment.under}: resume it under the same (threads are OMP_NUM_THREADS), "
                "or start anew with --rerun always."
            )
        with sentence_if_unreadable(folder.checkpoint("last"), ANEW):
            run.resume(content, experiment.ends)
    return run


def _restore(module: BenchModule, members: Mapping[int, dict[str, Any]], paths: Mapping[int, Path]) -> None:
    """Restores a module's seeds from their checkpoints.

    Raises:
        GleBenchError: a checkpoint has another form than the module's own.
    """
    for seed, member in members.items():
        with sentence_if_unreadable(paths[seed], ANEW), parsing():
            if complaint := module.unlike(member):
                raise Malformed(complaint)
    with sentence_if_unreadable(next(iter(paths.values())), ANEW), parsing():
        module.restore(members)


def feed_for(experiment: Experiment, seeds: Sequence[int], first_round: int) -> Feed:
    """The data module of these seeds, from the round after `first_round` on."""
    training, task = experiment.config.training, experiment.task
    return Feed(
        experiment.data,
        seeds,
        training,
        shuffle=training.shuffle and not task.stream,
        evaluation=experiment.watched,
        first_round=first_round,
        dtype=experiment.dtype,
    )
