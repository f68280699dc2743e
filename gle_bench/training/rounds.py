"""Which samples make which batch, and which batches make a round: pure functions of (seed, epoch)."""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.config import TrainingConfig


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that depends on all parts, so that neighbouring seeds and epochs share nothing."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch, (samples,)."""
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed_of("order", seed, epoch)))


def batches_per_epoch(training: TrainingConfig, samples: int) -> int:
    """The last batch of an epoch may be smaller."""
    return -(-samples // training.batch_size)


def round_ends(training: TrainingConfig, samples: int) -> list[int]:
    """Number of batches seen at the end of each round; round 0, before the first, has seen none."""
    if training.epochs is not None:
        size = batches_per_epoch(training, samples)
        return [size * epoch for epoch in range(training.epochs + 1)]
    assert training.batches is not None
    ends = [0, *range(1, training.batches + 1, training.evaluate_every)]
    return ends if ends[-1] == training.batches else [*ends, training.batches]


class Pick(NamedTuple):
    """A batch: the indices of its samples, and the epoch in which they are drawn."""

    epoch: int
    indices: Tensor  # (B,)


def round_batches(training: TrainingConfig, samples: int, shuffle: bool, seed: int, number: int) -> list[Pick]:
    """The batches of round `number` (from 1 on)."""
    ends = round_ends(training, samples)
    size = batches_per_epoch(training, samples)
    orders: dict[int, Tensor] = {}
    found = []
    for batch in range(ends[number - 1], ends[number]):
        epoch, position = divmod(batch, size)
        if epoch not in orders:
            orders[epoch] = order(samples, seed, epoch) if shuffle else torch.arange(samples)
        start = position * training.batch_size
        found.append(Pick(epoch, orders[epoch][start : start + training.batch_size]))
    return found
