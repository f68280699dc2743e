"""The records of a group of runs, and the checks that a run did all that was planned, which its status `done` means."""

import os
import platform
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import torch

from gle_bench.contracts import Data, footing
from gle_bench.errors import GleBenchError, printable
from gle_bench.tracking.environment import environment
from gle_bench.tracking.lock import Hold
from gle_bench.tracking.record import Cost, DataUsed, Measured, Part, Record, run_id
from gle_bench.training.marks import marks
from gle_bench.training.modules.base import BenchModule, Score
from gle_bench.training.plan import Plan
from gle_bench.training.seed import SeedRun
from gle_bench.words import RunStatus

Splits = Mapping[str, Score]


class Outcomes:
    """The records of a group of seeds: each is written when its run begins, and again when it ends."""

    def __init__(self, planned: Plan, runs: Mapping[int, SeedRun], folders_held: Hold, module: BenchModule) -> None:
        self._plan, self._experiment = planned, planned.experiment
        self._runs, self._hold = runs, folders_held
        self._parameters, self._macs = module.parameter_count, module.macs
        self._updates_per_batch = module.updates_per_batch
        self.records: dict[int, Record] = {}

    def begin(self, seed: int) -> Record:
        """Writes the record of a seed that is running."""
        run, experiment = self._runs[seed], self._experiment
        config, chosen = experiment.config, experiment.chosen
        earlier = None if run.member is None else run.folder.read()
        part = Part(
            started=datetime.now(UTC),
            from_round=run.position.round,
            networks=len(self._runs),
            host=platform.node(),
            pid=os.getpid(),
        )
        used = experiment.data.get(seed) or experiment.data[None]
        record = Record(
            run_id=run_id(config.task, config.model, chosen.named_rule, self._plan.hash, seed),
            status="running",
            task=config.task,
            model=config.model,
            rule=config.rule,
            protocol=config.protocol,
            budget=config.budget,
            seed=seed,
            config=config.model_dump(mode="json"),
            config_hash=self._plan.hash,
            data=_described(used),
            parameters=self._parameters,
            cost=Cost(wall_s=0.0, steps=0),
            footing=vars(footing(experiment.rule, config.network)),
            environment=environment(*experiment.engine, experiment.device, torch.get_num_threads()),
            lineage=(*(earlier.lineage if earlier else ()), part),
            marks=marks(config, chosen.own, used.official),
            plugins=dict(self._plan.plugins),
        )
        self._write(seed, record)
        if run.member is None:
            run.folder.clear()  # a run that is cut off before its first round must not go on from an earlier one's end
        return record

    def finish(self, seed: int, scores: Mapping[str, Splits] | None, diverged: str | None) -> None:
        """Writes how the seed ended: its results and predictions, or the reason why it has none.

        Raises:
            RunLost: another process took the folder; nothing is written there.
        """
        run = self._runs[seed]
        self._hold.check(run.folder.path)
        if scores is None:
            self._end(seed, "diverged", diverged)
            return
        metrics = {selection: measured(splits) for selection, splits in scores.items()}
        if scores["last"]:
            arrays = run.folder.read_predictions()
            for name, score in scores["last"].items():
                arrays |= score.arrays(name)
            run.folder.write_predictions(**arrays)
        missing = next(shortfalls(run, self._experiment.ends, self._updates_per_batch, self._predicted()), None)
        if missing is not None:
            self._end(seed, "failed", missing)
            return
        split = self._experiment.watched
        metrics["last"][split] = self._from_history(run, run.history[-1], split)
        assert run.best_row is not None
        metrics["best"][split] = self._from_history(run, run.best_row, split)
        self._end(seed, "done", None, metrics=metrics, best_round=run.best_round)

    def _predicted(self) -> dict[str, int]:
        """The number of predictions that a finished run has of each split."""
        names = [self._experiment.watched, *(["test"] if self._experiment.keeps_test else [])]
        return {name: len(self._experiment.any_data.splits[name]) for name in names}

    def lose(self, seed: int) -> None:
        """Gives up a seed whose folder another process took, and writes nothing more there."""
        record, run = self.records.pop(seed, None), self._runs[seed]
        if record is not None and run.mirror is not None:
            run.mirror.finish(record)

    def _from_history(self, run: SeedRun, row: Mapping[str, object], split: str) -> dict[str, Measured]:
        size = len(self._experiment.any_data.splits[split])
        return {name: Measured(value=value, n=size) for name in run.measured if isinstance(value := row[name], float)}

    def end_unfinished(self, status: Literal["failed", "interrupted"], error: str | None) -> None:
        """Ends the runs that are still running. An error of the disk is printed, so that it does not hide their own."""
        for seed, record in self.records.items():
            if record.status == "running":
                try:
                    self._end(seed, status, error)
                except GleBenchError as refused:
                    print(printable(str(refused)), file=sys.stderr)

    def _end(self, seed: int, status: RunStatus, error: str | None, **results: object) -> None:
        run, record = self._runs[seed], self.records[seed]
        part = record.lineage[-1]
        ended = part.model_copy(update={"ended": datetime.now(UTC), "wall_s": run.part_s})
        update = {"status": status, "error": error, "cost": self._cost(run), **results}
        self._write(seed, record.model_copy(update={**update, "lineage": (*record.lineage[:-1], ended)}))
        if run.mirror is not None:
            run.mirror.finish(self.records[seed])

    def _cost(self, run: SeedRun) -> Cost:
        steps = run.position.batches * self._experiment.steps_per_batch
        if self._experiment.device == "cuda":
            peak = torch.cuda.max_memory_allocated()
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Cost(
            wall_s=run.wall_s,
            steps=steps,
            networks=run.networks,
            seed_s=run.seed_s,
            ms_per_step=1000 * run.wall_s / steps if steps else None,
            peak_memory=peak,
            macs=self._macs.number,
            macs_missing=self._macs.missing,
        )

    def _write(self, seed: int, record: Record) -> None:
        self._runs[seed].folder.write(record)
        self.records[seed] = record


def _described(data: Data) -> DataUsed:
    return DataUsed(
        fingerprint=data.fingerprint,
        official=data.official,
        digests=dict(data.digests),
        notes=data.notes,
        sizes={name: len(split) for name, split in data.splits.items()},
    )


def measured(splits: Splits) -> dict[str, dict[str, Measured]]:
    """The metrics of each split, as a record keeps them."""
    return {
        split: {name: Measured(value=value, n=score.samples) for name, value in score.metrics.items()}
        for split, score in splits.items()
    }


def shortfalls(
    run: SeedRun, ends: Sequence[int], updates_per_batch: int, predicted: Mapping[str, int]
) -> Iterator[str]:
    """Sentences on what is missing of a run that came to its end; none if it is complete.

    Args:
        ends: batches learned from by the planned end of each round, from round 0 on.
        updates_per_batch: number of times that the parameters change in a batch.
        predicted: number of predictions that must have been written, by split.
    """
    for what, batches in (("learned from", run.position.batches), ("took an optimizer step in", run.position.updates)):
        if batches != ends[-1]:
            yield f"The run {what} {batches:,} of {ends[-1]:,} planned batches."
    planned = [(number, batches * updates_per_batch) for number, batches in enumerate(ends)]
    made = [(row["round"], row["update"]) for row in run.history]
    if made != planned:
        missing = len(set(planned) - set(made))
        yield f"{missing} of {len(planned)} planned evaluations are not in the history, or others are."
    for path in (run.folder.checkpoint("last"), run.folder.checkpoint("best")):
        if not path.is_file():  # the folder may have been emptied while its run went on
            yield f"The run wrote {path}, which is missing now; start the run anew."
    try:
        rows, arrays = run.folder.read_history(), run.folder.read_predictions()
    except GleBenchError as error:
        yield str(error)
        return
    if [row.get("round") for row in rows] != [row["round"] for row in run.history]:
        yield f"{run.folder.path / 'history.csv'} is not what the run wrote; start the run anew."
    for split, samples in predicted.items():
        written = len(arrays.get(f"{split}_decisions", ()))
        if written != samples:
            yield f"{run.folder.path / 'predictions.npz'} holds {written:,} of {samples:,} predictions of {split}."


def whole_evaluation(samples: int, planned: int, split: str) -> None:
    """Checks that an evaluation saw its whole split.

    Raises:
        GleBenchError: it saw another number of samples.
    """
    if samples != planned:
        raise GleBenchError(f"An evaluation saw {samples:,} of {planned:,} samples of {split}; start the run anew.")
