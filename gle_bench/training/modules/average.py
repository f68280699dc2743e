"""Averaged weights: the mean of the weights at the ends of an epoch's batches, kept beside the weights that train."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class EpochMean:
    """The mean of a module's weights over the batches of an epoch; a `BenchModule` has one if averages are asked for.

    Evaluations take the mean of the last epoch that ended; within the first epoch, that of its batches so far.

    Attributes:
        total: sum of the weights over the batches of the epoch that runs.
        last: mean of the last epoch that ended.
        batches: batches of the epoch that runs, so far.
        epochs: epochs that ended.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.total = [torch.zeros_like(tensor) for tensor in weights]
        self.last = [torch.zeros_like(tensor) for tensor in weights]
        self.batches = self.epochs = 0

    def add(self, weights: Sequence[Tensor], batches_per_epoch: int) -> None:
        """Adds the weights after a batch to the mean of its epoch."""
        # Plain sums, then one division: a fused operation may round a member differently in another company.
        self.total = [before + tensor for before, tensor in zip(self.total, weights, strict=True)]
        self.batches += 1
        if self.batches == batches_per_epoch:
            self.last = [tensor / self.batches for tensor in self.total]
            self.total = [torch.zeros_like(tensor) for tensor in self.total]
            self.batches, self.epochs = 0, self.epochs + 1

    def mean(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """The averaged weights of a module whose own are `weights`, which are returned before the first batch."""
        if self.epochs:
            return list(self.last)
        return [tensor / self.batches for tensor in self.total] if self.batches else list(weights)

    def change(self, function: Callable[[Tensor], Tensor]) -> None:
        """Replaces every tensor by a function of it, such as the part of some members of an ensemble."""
        self.total, self.last = ([function(tensor) for tensor in part] for part in (self.total, self.last))

    def plain(self, function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """The state of the mean for a checkpoint: lists and numbers, with a function of each tensor."""
        parts = {"total": self.total, "last": self.last}
        tensors = {name: [function(tensor).cpu() for tensor in part] for name, part in parts.items()}
        return {**tensors, "batches": self.batches, "epochs": self.epochs}

    def restore(self, members: Sequence[dict[str, Any]], join: Callable[[Sequence[Tensor]], Tensor]) -> None:
        """Restores the states that `plain` returned for the members, whose tensors `join` puts together."""
        for name in ("total", "last"):
            setattr(self, name, [join(same) for same in zip(*(member[name] for member in members), strict=True)])
        self.batches, self.epochs = members[0]["batches"], members[0]["epochs"]
