"""How a run looks while it runs: one live display, or plain lines where there is no terminal."""

import time
from statistics import mean
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gle_bench.training.modules.base import BenchModule


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
