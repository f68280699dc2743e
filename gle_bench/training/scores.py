"""What an evaluation adds up to, for each member of an ensemble by itself."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gle_bench.contracts import Batch, Task


class Score(NamedTuple):
    """One member on one split."""

    metrics: dict[str, float]  # 'loss' and the task's own, means over the samples
    samples: int
    decisions: np.ndarray  # (M, C) or (M, T, C)
    targets: np.ndarray

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """As predictions.npz names them."""
        return {f"{split}_decisions": self.decisions, f"{split}_targets": self.targets}


class Scores:
    """Collects an evaluation batch by batch."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._metrics: dict[str, list[Tensor]] = {}
        self._decisions: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Tensor, batch: Batch, others: Mapping[str, Tensor] | None = None) -> None:
        """Outputs (S, B, T, C) of a batch; and those of other ways to evaluate, whose names end their metrics'."""
        decisions = self._task.decide(outputs, batch)
        found = {"loss": self._task.losses(outputs, batch), **self._task.measure(decisions, batch)}
        for way, output in (others or {}).items():
            measured = self._task.measure(self._task.decide(output, batch), batch)
            found |= {f"{name}_{way}": values for name, values in measured.items()}
        for name, values in found.items():
            self._metrics.setdefault(name, []).append(values.to(torch.float64).cpu())
        self._decisions.append(decisions.cpu())
        self._targets.append(batch.targets.cpu())

    def members(self, count: int) -> list[Score]:
        """The scores of the `count` members."""
        means = {name: torch.cat(parts, 1).mean(1) for name, parts in self._metrics.items()}
        decisions, targets = torch.cat(self._decisions, 1), torch.cat(self._targets, 1)
        return [
            Score(
                {name: float(mean[member]) for name, mean in means.items()},
                decisions.shape[1],
                decisions[member].numpy(),
                targets[member if len(targets) > 1 else 0].numpy(),
            )
            for member in range(count)
        ]
