"""Lightning callbacks, which record each round, display the progress, and end a run on request."""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gle_bench.contracts.results import averaged
from gle_bench.surroundings.processes import Requests
from gle_bench.surroundings.streams import is_live
from gle_bench.tracking.estimates import duration
from gle_bench.tracking.lock import Hold
from gle_bench.training import checkpoints
from gle_bench.training.data import Feed
from gle_bench.training.lightning import Callback, Trainer
from gle_bench.training.modules.base import BenchModule, Score
from gle_bench.training.outcome import whole_evaluation
from gle_bench.training.seed import SeedRun


class Recorder(Callback):
    """The callback that counts rounds and batches, and writes history, outputs and checkpoints after each evaluation.

    An evaluation is the last part of a round.
    """

    def __init__(self, module: BenchModule, runs: Mapping[int, SeedRun], folders_held: Hold, feed: Feed) -> None:
        self._module, self._runs, self._hold, self._feed = module, runs, folders_held, feed
        self._experiment = module.experiment
        self._steps = 0  # steps of the Trainer's optimizer up to the last batch

    def on_train_epoch_start(self, *_: Any) -> None:
        for seed in self._module.seeds:
            self._runs[seed].position.round += 1

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        for seed in self._module.seeds:
            position = self._runs[seed].position
            position.batches += 1
            position.updates += trainer.global_step - self._steps
        self._steps = trainer.global_step

    def on_validation_end(self, *_: Any) -> None:
        module, split = self._module, self._experiment.watched
        running = module.take_running()
        for seed in module.seeds:
            self._hold.check(self._runs[seed].folder.path)
            whole_evaluation(module.scores[seed].samples, len(self._experiment.any_data.splits[split]), split)
        written: dict[Path, dict[str, Any]] = {}
        for seed in module.seeds:
            run = self._runs[seed]
            best = run.evaluated(
                split,
                module.scores[seed].metrics,
                running.get(seed, {}),
                updates=run.position.batches * module.updates_per_batch,
                epoch=run.position.batches / self._experiment.batches_per_epoch,
            )
            run.folder.write_history(run.history)
            if seed not in module.diverged:  # whose last good checkpoint stays
                self._keep_outputs(run, module.scores[seed], split)  # before the checkpoint, which is resumed with them
                written |= run.checkpoints(module.member(seed), self._experiment.under, best)
        checkpoints.save(written)  # together, so that an ensemble that is killed meanwhile goes on as one
        for seed in module.seeds:
            run = self._runs[seed]
            if run.mirror is not None:
                run.mirror.log(run.history[-1], step=run.position.round)

    def _keep_outputs(self, run: SeedRun, score: Score, split: str) -> None:
        """Writes the last round's outputs as predictions, and those of rounds that the task names as traces."""
        place, traced = run.position, self._experiment.task.traced
        ended = place.batches == self._experiment.ends[-1]
        if ended:
            run.folder.write_predictions(**score.arrays(split))
        if traced and (ended or place.round in traced):
            run.folder.add_traces(**trace(score, split, place.round))

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        if not drop_diverged(self._module, self._feed):
            trainer.should_stop = True


def trace(score: Score, split: str, number: int) -> dict[str, np.ndarray]:
    """The arrays that traces.npz keeps of round `number`; the targets are the same in all rounds."""
    return {f"{split}_decisions_{number}": score.decisions, f"{split}_targets": score.targets}


def drop_diverged(module: BenchModule, feed: Feed) -> bool:
    """Removes the diverged seeds from the ensemble and its data; returns whether any seed is left."""
    going_on = [seed for seed in module.seeds if seed not in module.diverged]
    if going_on and going_on != module.seeds:
        module.keep(going_on)
        feed.seeds = going_on
    return bool(going_on)


class Display(Callback):
    """The callback that shows round, step rate, loss, metric and time left on `console`: live, or in plain lines."""

    def __init__(self, module: BenchModule, console: Console) -> None:
        experiment, runs = module.experiment, module.seeds
        self._module, self._experiment, self._console, self._ends = module, experiment, console, experiment.ends
        seeds = f"×{len(runs)}" if len(runs) > 1 else f"s{runs[0]}"
        self._title = f"{experiment.config.task} {experiment.config.model} {seeds}"
        self._progress: Progress | None = None
        self._task: Any = None
        self._started, self._first = 0.0, 0

    def on_fit_start(self, *_: Any) -> None:
        self._started, self._first = time.perf_counter(), self._module.batches
        if not is_live(self._console):
            return
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[status]}", markup=False),
            TimeRemainingColumn(compact=True),
            BarColumn(bar_width=None),  # last, because a narrow terminal cuts it
            console=self._console,
            expand=True,
        )
        self._task = self._progress.add_task(
            self._title, total=self._ends[-1], completed=self._module.batches, status=self._status()
        )
        self._progress.start()

    def on_train_batch_end(self, *_: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=self._module.batches, status=self._status())

    def on_train_epoch_end(self, *_: Any) -> None:
        if self._progress is None:
            line = f"{self._title}  {self._status()}{self._left()}"
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)
        else:
            self._progress.update(self._task, status=self._status())

    def on_fit_end(self, *_: Any, **__: Any) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    on_exception = on_fit_end

    def _status(self) -> str:
        """A text such as '3/25 · 1.1 ms/step · test loss 1.31 · 48.2 % · averaged 83.1 %', of means over the seeds."""
        module = self._module
        rounds_ended = sum(module.batches > end for end in self._ends[1:])
        parts = [f"{min(rounds_ended + 1, len(self._ends) - 1)}/{len(self._ends) - 1}"]
        if module.batches > self._first:
            steps = (module.batches - self._first) * self._experiment.steps_per_batch
            parts.append(f"{1000 * (time.perf_counter() - self._started) / steps:.2f} ms/step")
        scores, metric = list(module.scores.values()), self._experiment.task.metric
        if scores:
            parts.append(f"{self._experiment.watched} loss {mean(s.metrics['loss'] for s in scores):.3f}")
            value = mean(score.metrics[metric.name] for score in scores)
            parts.append(f"{value:.2f} {metric.unit or metric.name}")
        if module.average is not None and scores:
            value = mean(score.metrics[averaged(metric.name)] for score in scores)
            parts.append(f"averaged {value:.2f} {metric.unit or metric.name}")
        return " · ".join(parts)

    def _left(self) -> str:
        """The time left, such as ' · 12 min left', at the pace of this part of the run; empty at its end."""
        learned, missing = self._module.batches - self._first, self._ends[-1] - self._module.batches
        if not learned or not missing:
            return ""
        return f" · {duration((time.perf_counter() - self._started) / learned * missing)} left"


class Attentive(Callback):
    """The callback that ends a run between two batches if the user asks for it."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        self._requests.check()

    on_validation_batch_start = on_test_batch_start = on_train_batch_start
