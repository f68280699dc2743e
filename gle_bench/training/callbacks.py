"""Lightning's callback that ends a round: history, schedules, checkpoints, W&B, and who goes on."""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gle_bench.surroundings.processes import Requests
from gle_bench.tracking.lock import Hold
from gle_bench.training import checkpoints
from gle_bench.training.data import Feed, batches_per_epoch
from gle_bench.training.modules.base import BenchModule, Score
from gle_bench.training.outcome import whole_evaluation
from gle_bench.training.seed import SeedRun


class Recorder(pl.Callback):
    """Evaluation is the last act of a round, so all that a round leaves behind is written after it."""

    def __init__(
        self,
        runs: Mapping[int, SeedRun],
        held: Hold,
        samples: int,
        evaluated: int,
        batches: int,
        under: dict[str, Any],
    ) -> None:
        self._runs, self._held, self._samples, self._evaluated = runs, held, samples, evaluated
        self._batches, self._under = batches, under
        self._updates_before = {seed: run.updates for seed, run in runs.items()}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, BenchModule)
        for seed in pl_module.seeds:
            self._runs[seed].round += 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = pl_module
        assert isinstance(module, BenchModule)
        experiment = module.experiment
        split = experiment.task.evaluation_split(experiment.config.protocol)
        epoch = module.batches / batches_per_epoch(experiment.config.training, self._samples)
        running = module.take_running()
        for seed in module.seeds:
            self._held.check(self._runs[seed].folder.path)
            whole_evaluation(module.scores[seed].samples, self._evaluated, split)
        written: dict[Path, dict[str, Any]] = {}
        for seed in module.seeds:
            run = self._runs[seed]
            run.batches, run.updates = module.batches, self._updates_before[seed] + trainer.global_step
            best = run.evaluated(
                split,
                module.scores[seed],
                running.get(seed, {}),
                updates=module.batches * module.updates_per_batch,
                epoch=epoch,
            )
            run.folder.write_history(run.history)
            if seed not in module.diverged:  # whose last good checkpoint stays
                self._keep_outputs(module, run, split)  # before the checkpoint: a run that is cut off after it has both
                written |= run.checkpoints(module.member(seed), self._under, best)
        checkpoints.save(written)  # together, so that an ensemble that is killed meanwhile goes on as one
        for seed in module.seeds:
            run = self._runs[seed]
            if run.mirror is not None:
                run.mirror.log(run.history[-1], step=run.round)

    def _keep_outputs(self, module: BenchModule, run: SeedRun, split: str) -> None:
        """The last round's outputs are the predictions; those of rounds that the task names are traces beside them."""
        ended, named = module.batches == self._batches, module.experiment.task.traced
        score = module.scores[run.seed]
        if ended:
            run.folder.write_predictions(**score.arrays(split))
        if named and (ended or run.round in named):
            run.folder.add_traces(**trace(score, split, run.round))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = pl_module
        assert isinstance(module, BenchModule)
        if not drop_diverged(module, trainer.datamodule):  # type: ignore[attr-defined]
            trainer.should_stop = True


def trace(score: Score, split: str, number: int) -> dict[str, np.ndarray]:
    """What traces.npz keeps of round `number`, beside what it has of others: the targets are the same in all."""
    return {f"{split}_decisions_{number}": score.decisions, f"{split}_targets": score.targets}


def drop_diverged(module: BenchModule, feed: Feed) -> bool:
    """Goes on without the seeds that diverged; says whether any is left."""
    going_on = [seed for seed in module.seeds if seed not in module.diverged]
    if going_on and going_on != module.seeds:
        module.keep(going_on)
        feed.seeds = going_on
    return bool(going_on)


class Display(pl.Callback):
    """Shows round, step rate, loss, metric and time left. It writes to `console` (standard error) alone."""

    def __init__(
        self, console: Console, title: str, ends: list[int], steps_per_batch: int, metric: tuple[str, str]
    ) -> None:
        self._console, self._title, self._ends, self._steps = console, title, ends, steps_per_batch
        self._metric, self._unit = metric
        self._progress: Progress | None = None
        self._task: Any = None
        self._started, self._first = 0.0, 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, BenchModule)
        self._started, self._first = time.perf_counter(), pl_module.batches
        if not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[status]}", markup=False),
            TimeRemainingColumn(compact=True),
            BarColumn(bar_width=None),  # last: on a narrow terminal it is the one to give way
            console=self._console,
            expand=True,
        )
        self._task = self._progress.add_task(
            self._title, total=self._ends[-1], completed=pl_module.batches, status=self._status(pl_module)
        )
        self._progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, BenchModule)
        if self._progress is not None:
            self._progress.update(self._task, completed=pl_module.batches, status=self._status(pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, BenchModule)
        if self._progress is None:
            self._console.print(
                f"{self._title}  {self._status(pl_module)}", highlight=False, soft_wrap=True, markup=False
            )
        else:
            self._progress.update(self._task, status=self._status(pl_module))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _status(self, module: BenchModule) -> str:
        """Says '3/25 · 1.1 ms/step · test loss 1.31 · 48.2 %': round, rate, and means over the seeds."""
        here = sum(module.batches > end for end in self._ends[1:])
        parts = [f"{min(here + 1, len(self._ends) - 1)}/{len(self._ends) - 1}"]
        if module.batches > self._first:
            per_step = (time.perf_counter() - self._started) / ((module.batches - self._first) * self._steps)
            parts.append(f"{1000 * per_step:.2f} ms/step")
        scores = list(module.scores.values())
        if scores:
            split = module.experiment.task.evaluation_split(module.experiment.config.protocol)
            parts.append(f"{split} loss {mean(s.metrics['loss'] for s in scores):.3f}")
            value = mean(score.metrics[self._metric] for score in scores)
            parts.append(f"{value:.2f} {self._unit or self._metric}")
        return " · ".join(parts)


class Attentive(pl.Callback):
    """Looks for requests to end between any two batches."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._requests.check()

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._requests.check()

    def on_test_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._requests.check()
