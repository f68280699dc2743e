"""The learning rate of one seed, by its own scheduler."""

from typing import Any, Final

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gle_bench.config import Exponential, Phases, Plateau, TrainingConfig
from gle_bench.data.foreign import Malformed
from gle_bench.training.checkpoints import unlike

PLATEAU: Final = ("best", "num_bad_epochs", "last_epoch", "cooldown_counter")  # what moves; the rest is configured


class SeedRate:
    """Follows a schedule over `batches` batches; the plateau is PyTorch's, on an optimizer that only holds a rate."""

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
        """The factor on the rate after each of a batch's `updates`."""
        schedule = self._training.schedule
        if isinstance(schedule, Exponential):
            return float((schedule.final / self._training.rate) ** (1 / (self._batches * updates)))
        return 1.0

    def evaluated(self, loss: float) -> None:
        """Tells the schedule the loss of a round's evaluation."""
        if self._plateau is not None:
            self._plateau.step(loss)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        plateau = {} if self._plateau is None else self._plateau.state_dict()
        return {"rate": self._holder.param_groups[0]["lr"], "plateau": plateau}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`.

        Raises:
            Malformed: it is not what `state` gives.
        """
        own = self.state()
        moving = {name: own["plateau"][name] for name in PLATEAU if self._plateau is not None}
        plateau = state.get("plateau")
        if not isinstance(plateau, dict):
            raise Malformed("rate.plateau is no table")
        known = {name: plateau[name] for name in moving if name in plateau}
        complaint = unlike({**state, "plateau": known}, {**own, "plateau": moving}, "rate")
        if complaint is not None:
            raise Malformed(complaint)
        self._holder.param_groups[0]["lr"] = state["rate"]
        if self._plateau is not None:
            self._plateau.load_state_dict(known)
