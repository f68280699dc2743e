"""The samples of each batch, the batches of each round, and the loaders that give them to Lightning."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import torch
from torch import Tensor

from gle_bench.config import TrainingConfig
from gle_bench.contracts import Batch, Data, Split
from gle_bench.errors import UsageError
from gle_bench.surroundings.machine import usable_cores
from gle_bench.training.lightning import LightningDataModule

MOST_ROUNDS: Final = 1_000_000  # the most rounds of a run, each of which adds a row to the history


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed, the hash of all parts, so that neighbouring seeds and epochs have independent generators."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch, (samples,)."""
    return torch.randperm(samples, generator=torch.Generator().manual_seed(seed_of("order", seed, epoch)))


def draws(weights: Tensor, count: int, seed: int, epoch: int) -> Tensor:
    """The samples of an epoch, (count,), drawn with replacement by their weights (samples,)."""
    generator = torch.Generator().manual_seed(seed_of("draws", seed, epoch))
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def batches_per_epoch(training: TrainingConfig, samples: int) -> int:
    """The number of batches in an epoch, of which the last may be smaller."""
    return -(-samples // training.batch_size)


def round_ends(training: TrainingConfig, samples: int) -> list[int]:
    """The number of batches learned from by the end of each round, from round 0 on, which comes before the first batch.

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
    """The weights by which samples are drawn, (samples,); None where each sample comes once an epoch.

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
    return (1 / targets.bincount().double())[targets]  # every class that occurs has the same chance


class Pick(NamedTuple):
    """The samples of a batch: their indices, the epoch in which they are drawn, and the first one's place in it."""

    epoch: int
    indices: Tensor  # (B,)
    place: int = 0


def round_batches(
    training: TrainingConfig, samples: int, shuffle: bool, seed: int, number: int, weights: Tensor | None = None
) -> list[Pick]:
    """The batches of round `number` (from 1 on); `weights` (samples,) are those of `sampling_weights`."""
    ends = round_ends(training, samples)
    size = batches_per_epoch(training, samples)
    orders: dict[int, Tensor] = {}
    picks = []
    for batch in range(ends[number - 1], ends[number]):
        epoch, position = divmod(batch, size)
        if epoch not in orders:
            orders[epoch] = _epoch(training, samples, shuffle, seed, epoch, weights)
        start = position * training.batch_size
        picks.append(Pick(epoch, orders[epoch][start : start + training.batch_size], start))
    return picks


def _epoch(
    training: TrainingConfig, samples: int, shuffle: bool, seed: int, epoch: int, weights: Tensor | None
) -> Tensor:
    if weights is not None:
        whole = training.sampling == "replacement"  # Hello Edge fills every batch; GLE's sampler draws `samples`
        return draws(
            weights, batches_per_epoch(training, samples) * training.batch_size if whole else samples, seed, epoch
        )
    return order(samples, seed, epoch) if shuffle else torch.arange(samples)


MOST_THREADS: Final = 8  # the most threads that fetch samples ahead of time
LEAST_AHEAD: Final = 2  # the fewest batches that are fetched ahead of the one that is learned from


def side_by_side(batches: Sequence[Batch], dtype: torch.dtype) -> Batch:
    """The batch of an ensemble, made of one batch of each seed, in the run's precision."""
    joined = [None if parts[0] is None else torch.cat(parts) for parts in zip(*(b[1:] for b in batches), strict=True)]
    inputs, targets, mask = (x.to(dtype) if x is not None and x.is_floating_point() else x for x in joined)
    assert inputs is not None
    assert targets is not None
    return Batch(batches[0].steps, inputs, targets, mask)


class Loader:
    """The loader of an ensemble's batches, from a split, a seed and a list of picks for each member, or for all.

    Slow splits fetch ahead of time, each member's batch in a thread. Threads do not change what is fetched: each
    computes with one core, and a batch is a function of its pick.
    """

    def __init__(self, members: Sequence[tuple[Split, int, Sequence[Pick]]], dtype: torch.dtype) -> None:
        self._members, self._dtype = members, dtype

    def __len__(self) -> int:
        return len(self._members[0][2])

    def __iter__(self) -> Iterator[Batch]:
        if any(getattr(split, "slow", False) for split, _, _ in self._members):
            return self._ahead()
        numbers = range(len(self))
        return (side_by_side([_fetch(*member, number) for member in self._members], self._dtype) for number in numbers)

    def _ahead(self) -> Iterator[Batch]:
        count, workers = torch.get_num_threads(), min(usable_cores(), MOST_THREADS)
        pool = ThreadPoolExecutor(workers, "fetch", initializer=torch.set_num_threads, initargs=(1,))  # a core each
        ahead = max(LEAST_AHEAD, -(-workers // len(self._members)))
        try:
            fetching: deque[list[Future[Batch]]] = deque()
            for number in range(len(self) + ahead):
                if number < len(self):
                    fetching.append([pool.submit(_fetch, *member, number) for member in self._members])
                if number >= ahead:
                    yield side_by_side([future.result() for future in fetching.popleft()], self._dtype)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(count)  # the pool's initializer changed the default of threads to come


def _fetch(split: Split, seed: int, picks: Sequence[Pick], number: int) -> Batch:
    pick = picks[number]
    return split.fetch(pick.indices, seed, pick.epoch, pick.place)


class Feed(LightningDataModule):
    """The data module of an ensemble; `data` maps each seed to its own data, or None to those that all seeds share.

    Lightning asks for a loader each round (`reload_dataloaders_every_n_epochs=1`); which batches it holds is a pure
    function of the seeds and the round.
    """

    def __init__(
        self,
        data: Mapping[int | None, Data],
        seeds: Sequence[int],
        training: TrainingConfig,
        *,
        shuffle: bool,
        evaluation: str,
        first_round: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self._data = data
        self.seeds = list(seeds)
        self._training, self._shuffle, self._evaluation = training, shuffle, evaluation
        self._first_round, self._dtype = first_round, dtype
        self.samples = len(self._split("train", self.seeds[0]))
        self._weights: dict[int | None, Tensor | None] = {}

    def _split(self, name: str, seed: int) -> Split:
        return (self._data.get(seed) or self._data[None]).splits[name]

    def train_dataloader(self) -> Loader:
        finished = self.trainer.current_epoch if self.trainer is not None else 0
        number = self._first_round + finished + 1
        return Loader(
            [(self._split("train", seed), seed, self._picks(seed, number)) for seed in self.seeds], self._dtype
        )

    def _picks(self, seed: int, number: int) -> list[Pick]:
        key = seed if seed in self._data else None
        if key not in self._weights:
            self._weights[key] = sampling_weights(self._training, self._split("train", seed))
        return round_batches(self._training, self.samples, self._shuffle, seed, number, self._weights[key])

    def val_dataloader(self) -> Loader:
        return self._in_order(self._evaluation)

    def test_dataloader(self) -> Loader:
        return self._in_order("test")

    def _in_order(self, name: str) -> Loader:
        seeds = self.seeds if None not in self._data else self.seeds[:1]
        members = []
        for seed in seeds:
            split = self._split(name, seed)
            parts = torch.split(torch.arange(len(split)), self._training.evaluation_batch_size)
            members.append((split, seed, [Pick(0, indices, int(indices[0])) for indices in parts]))
        return Loader(members, self._dtype)
