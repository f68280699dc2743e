"""Which samples make which batch, and which batches make a round: pure functions of (seed, epoch)."""

import hashlib
from typing import Final, NamedTuple

import torch
from torch import Tensor

from gle_bench.config import TrainingConfig
from gle_bench.contracts import Split
from gle_bench.errors import UsageError

MOST_ROUNDS: Final = 1_000_000  # each is evaluated, and a row of the history


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that depends on all parts, so that neighbouring seeds and epochs share nothing."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch, (samples,)."""
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed_of("order", seed, epoch)))


def draws(weights: Tensor, count: int, seed: int, epoch: int) -> Tensor:
    """An epoch of `count` samples drawn with replacement, by their weights (samples,): (count,)."""
    generator = torch.Generator().manual_seed(seed_of("draws", seed, epoch))
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def balancing(classes: Tensor) -> Tensor:
    """Weights (M,) of samples of these classes (M,), under which every class that occurs has the same chance."""
    return (1 / classes.bincount().double())[classes]


def batches_per_epoch(training: TrainingConfig, samples: int) -> int:
    """The last batch of an epoch may be smaller."""
    return -(-samples // training.batch_size)


def round_ends(training: TrainingConfig, samples: int) -> list[int]:
    """Number of batches seen at the end of each round; round 0, before the first, has seen none.

    Raises:
        UsageError: more rounds than a history can hold.
    """
    rounds = training.epochs or -(-(training.batches or 0) // training.evaluate_every)
    if rounds > MOST_ROUNDS:
        raise UsageError(f"{rounds:,} rounds are more than {MOST_ROUNDS:,}; lower epochs, or raise evaluate_every.")
    if training.epochs is not None:
        size = batches_per_epoch(training, samples)
        return [size * epoch for epoch in range(training.epochs + 1)]
    assert training.batches is not None
    ends = [0, *range(1, training.batches + 1, training.evaluate_every)]
    return ends if ends[-1] == training.batches else [*ends, training.batches]


def sampling_weights(training: TrainingConfig, split: Split) -> Tensor | None:
    """How likely each sample is drawn, (samples,); None where each comes once.

    Raises:
        UsageError: if classes are to be balanced, and the split has none.
    """
    if training.sampling == "once":
        return None
    if training.sampling == "replacement":
        return torch.ones(len(split), dtype=torch.float64)
    targets = getattr(split, "targets", None)
    if not isinstance(targets, Tensor) or targets.dim() != 1:
        raise UsageError("sampling = balanced needs a task with classes; set sampling = replacement, or once.")
    return balancing(targets)


class Pick(NamedTuple):
    """A batch: the indices of its samples, the epoch in which they are drawn, and the place of the first in it."""

    epoch: int
    indices: Tensor  # (B,)
    place: int = 0


def round_batches(
    training: TrainingConfig, samples: int, shuffle: bool, seed: int, number: int, weights: Tensor | None = None
) -> list[Pick]:
    """The batches of round `number` (from 1 on); samples are drawn by `weights` (samples,) where there are any."""
    ends = round_ends(training, samples)
    size = batches_per_epoch(training, samples)
    orders: dict[int, Tensor] = {}
    found = []
    for batch in range(ends[number - 1], ends[number]):
        epoch, position = divmod(batch, size)
        if epoch not in orders:
            orders[epoch] = _epoch(training, samples, shuffle, seed, epoch, weights)
        start = position * training.batch_size
        found.append(Pick(epoch, orders[epoch][start : start + training.batch_size], start))
    return found


def _epoch(
    training: TrainingConfig, samples: int, shuffle: bool, seed: int, epoch: int, weights: Tensor | None
) -> Tensor:
    if weights is not None:
        whole = training.sampling == "replacement"  # Hello Edge fills every batch; GLE's sampler draws `samples`
        return draws(
            weights, batches_per_epoch(training, samples) * training.batch_size if whole else samples, seed, epoch
        )
    return order(samples, seed, epoch) if shuffle else torch.arange(samples)
