"""Lightning's callback that ends a round: history, schedules, checkpoints, W&B, and who goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from gle_bench.tracking.lock import Hold
from gle_bench.training import checkpoints
from gle_bench.training.completeness import whole_evaluation
from gle_bench.training.data import Feed
from gle_bench.training.modules.base import BenchModule
from gle_bench.training.rounds import batches_per_epoch
from gle_bench.training.scores import Score
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
