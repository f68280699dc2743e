"""One seed of a run: its progress, its learning rate, its history and its checkpoint."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gle_bench.config import Exponential, Phases, Plateau, TrainingConfig
from gle_bench.contracts import Metric
from gle_bench.files.foreign import Malformed, parsing
from gle_bench.tracking.history import LEADING, Row
from gle_bench.tracking.store import RunFolder
from gle_bench.tracking.wandb_mirror import Mirror
from gle_bench.training.checkpoints import unlike

PLATEAU: Final = (
    "best",
    "num_bad_epochs",
    "last_epoch",
    "cooldown_counter",
)  # what changes; the rest is configured


class SeedRate:
    """The learning rate of one seed over `batches` batches, by the schedule of its configuration.

    A plateau is PyTorch's scheduler, on an optimizer that only holds the rate.
    """

    def __init__(self, training: TrainingConfig, batches: int) -> None:
        self._training = training
        self._batches = batches
        self._holder = torch.optim.SGD([torch.zeros(1)], lr=training.rate)
        schedule = training.schedule
        self._plateau = (
            ReduceLROnPlateau(self._holder, factor=schedule.factor, patience=schedule.patience, eps=schedule.eps)
            if isinstance(schedule, Plateau)
            else None
        )

    def at(self, batch: int) -> float:
        """The rate at the start of a batch (counted from 0)."""
        schedule = self._training.schedule
        if isinstance(schedule, Exponential):
            return float(self._training.rate * (schedule.final / self._training.rate) ** (batch / self._batches))
        if isinstance(schedule, Phases):
            rates = (self._training.rate, *schedule.later)
            return rates[min(batch * len(rates) // self._batches, len(rates) - 1)]
        return float(self._holder.param_groups[0]["lr"])

    def decay(self, updates: int) -> float:
        """The factor on the rate after each of the `updates` of a batch."""
        schedule = self._training.schedule
        if isinstance(schedule, Exponential):
            return float((schedule.final / self._training.rate) ** (1 / (self._batches * updates)))
        return 1.0

    def evaluated(self, loss: float) -> None:
        """Passes the loss of a round's evaluation on to the schedule."""
        if self._plateau is not None:
            self._plateau.step(loss)

    def state(self) -> dict[str, Any]:
        """The state of the learning rate, which a checkpoint keeps."""
        plateau = {} if self._plateau is None else self._plateau.state_dict()
        return {"rate": self._holder.param_groups[0]["lr"], "plateau": plateau}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores the state that `state` returned.

        Raises:
            Malformed: `state` has another form.
        """
        own = self.state()
        moving = {name: own["plateau"][name] for name in PLATEAU if self._plateau is not None}
        plateau = state.get("plateau")
        if not isinstance(plateau, dict):
            raise Malformed("rate.plateau is no table")
        saved = {name: plateau[name] for name in moving if name in plateau}
        complaint = unlike({**state, "plateau": saved}, {**own, "plateau": moving}, "rate")
        if complaint is not None:
            raise Malformed(complaint)
        self._holder.param_groups[0]["lr"] = state["rate"]
        if self._plateau is not None:
            self._plateau.load_state_dict(saved)


class Position:
    """The progress of one seed's training. The seed's run owns it, callbacks advance it, and modules only read it.

    Attributes:
        round: the round that began last; 0 before the first.
        batches: batches that the seed has learned from, over all parts of a resumed run.
        updates: batches after which the optimizer took a step; fewer than `batches` only if something went wrong.
        schedule: the seed's learning rate, batch by batch.
    """

    def __init__(self, schedule: SeedRate) -> None:
        self.schedule = schedule
        self.round = self.batches = self.updates = 0

    @property
    def rate(self) -> float:
        """The learning rate of the next batch."""
        return self.schedule.at(self.batches)


NotNegative = Annotated[int, Field(ge=0)]


class Saved(BaseModel):
    """The content of a seed's checkpoint, which `SeedRun.checkpoints` writes and `SeedRun.resume` reads."""

    model_config = ConfigDict(strict=True)

    under: dict[str, str | int]
    member: dict[str, Any]
    round: NotNegative
    batches: NotNegative
    history: list[Row]
    best_round: NotNegative | None
    rate: dict[str, Any]
    wall_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    updates: NotNegative | None = None


class SeedRun:
    """The run of one seed: its folder, progress, history and time, but not its network.

    Attributes:
        seed, folder: the seed's number, and the folder of its files.
        position: the progress of its training.
        history: one row for each evaluation, of which the first comes before any update.
        best_round: the round whose evaluation was best so far.
        networks: number of seeds that learn side by side in the present part of the run.
        member: the state of the seed's network in the resumed checkpoint; None for a fresh start.
        mirror: its W&B run; None before one is opened.
    """

    def __init__(self, seed: int, folder: RunFolder, training: TrainingConfig, batches: int, metric: Metric) -> None:
        self.seed, self.folder, self._metric = seed, folder, metric
        self.position = Position(SeedRate(training, batches))
        self.history: list[Row] = []
        self.best_round: int | None = None
        self.member: dict[str, Any] | None = None
        self.mirror: Mirror | None = None
        self.networks = 1
        self._wall_before, self._seed_before, self._since = 0.0, 0.0, time.perf_counter()

    @property
    def wall_s(self) -> float:
        """The seconds that the run has taken, over all its parts if it was resumed."""
        return self._wall_before + self.part_s

    @property
    def seed_s(self) -> float:
        """The seed's share of the seconds: those of each part, divided by the seeds that learned side by side."""
        return self._seed_before + self.part_s / self.networks

    @property
    def part_s(self) -> float:
        """The seconds of the present part of the run."""
        return time.perf_counter() - self._since

    def start_clock(self, networks: int) -> None:
        """Starts to count the seconds of this part of the run, which `networks` seeds share."""
        self.networks = networks
        self._since = time.perf_counter()

    def evaluated(
        self, split: str, metrics: Mapping[str, float], running: dict[str, float], *, updates: int, epoch: float
    ) -> bool:
        """Adds a row to the history, after `updates` updates and `epoch` epochs; returns whether it is the best so far.

        Args:
            metrics: means over the split.
            running: means over the training batches since the last evaluation.
        """
        row: Row = {
            "round": self.position.round,
            "update": updates,
            "epoch": epoch,
            "split": split,
            **metrics,
            "rate": self.position.rate,
            **running,
            "wall_s": self.wall_s,
        }
        self.history.append(row)
        if self.position.round > 0:  # schedules see the evaluations that end a round, not the one before the first
            self.position.schedule.evaluated(metrics["loss"])
        value, best = row[self._metric.name], self.best_row
        assert isinstance(value, float)
        if best is None or self._is_better(value, best[self._metric.name]):
            self.best_round = self.position.round
            return True
        return False

    @property
    def measured(self) -> list[str]:
        """Names of the metrics in the history's rows, which stand between the split and the rate."""
        names = list(self.history[-1])
        return names[names.index("split") + 1 : names.index("rate")]

    @property
    def best_row(self) -> Row | None:
        """The history's row of the best round."""
        return next((row for row in self.history if row["round"] == self.best_round), None)

    def _is_better(self, value: float, best: Any) -> bool:
        return bool(value > best if self._metric.better == "higher" else value < best)

    def checkpoints(self, member: dict[str, Any], under: dict[str, Any], best: bool) -> dict[Path, dict[str, Any]]:
        """The contents of last.ckpt and, if this round is the best, of best.ckpt.

        Args:
            under: engine, device and threads, without which a checkpoint cannot be resumed.
        """
        content = {
            "under": under,
            "member": member,
            "round": self.position.round,
            "batches": self.position.batches,
            "history": self.history,
            "best_round": self.best_round,
            "rate": self.position.schedule.state(),
            "wall_s": self.wall_s,
            "seed_s": self.seed_s,
            "updates": self.position.updates,
        }
        last = {self.folder.checkpoint("last"): content}
        return {self.folder.checkpoint("best"): content, **last} if best else last

    def resume(self, content: dict[str, Any], ends: Sequence[int]) -> None:
        """Restores the run from a checkpoint; `ends` are the batches learned from by the end of each round.

        Raises:
            Malformed: the checkpoint lacks something, or was written by a run with other rounds.
        """
        with parsing():
            saved = Saved.model_validate(content)
        if saved.round >= len(ends) or saved.batches != ends[saved.round]:
            raise Malformed(f"it saw {saved.batches} batches in {saved.round} rounds, which is no point of this run")
        if saved.updates not in (None, saved.batches):
            raise Malformed(f"its optimizer took a step in {saved.updates} of {saved.batches} batches")
        needed = {"round", *LEADING, self._metric.name, "loss", "rate"}
        if [row.get("round") for row in saved.history] != list(range(saved.round + 1)) or any(
            needed - row.keys() for row in saved.history
        ):
            raise Malformed(f"its history is not of rounds 0 to {saved.round} with {', '.join(sorted(needed))}")
        if saved.best_round is not None and saved.best_round > saved.round:
            raise Malformed(f"its best round, {saved.best_round}, comes after its last, {saved.round}")
        self.member = saved.member
        place = self.position
        place.round, place.batches, place.updates = saved.round, saved.batches, saved.batches
        self.history, self.best_round = saved.history, saved.best_round
        place.schedule.restore(saved.rate)
        self._wall_before = saved.wall_s
        # Checkpoints of glebench 0.1 have one time alone.
        self._seed_before = saved.wall_s if saved.seed_s is None else saved.seed_s
