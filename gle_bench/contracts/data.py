"""The data of a task: the shape of its samples, batches of samples, and the splits from which batches are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Shape(NamedTuple):
    """The shape of a task's samples: time steps, input channels, and output channels or classes."""

    steps: int
    inputs: int
    outputs: int


class Batch(NamedTuple):
    """A batch of samples. A leading dimension of 1 means that all members of the ensemble get the same data. A time
    dimension of 1 means that the inputs are constant over all `steps`."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, C_in)
    targets: Tensor  # (S|1, B) classes, int64, or (S|1, B, T, C_out) signals
    mask: Tensor | None = None  # (S|1, B, T|1)  1 where the loss counts, 0 where it does not


class Split(Protocol):
    """One part of a data set, such as the training split: a sequence of samples, which are fetched in batches.

    If the data are one continuous signal, its samples are chunks of that signal. A split with classes has the class of
    each sample in `targets`, (M,), which balanced sampling needs. A split whose `fetch` takes long sets `slow = True`;
    `fetch` is then called ahead of time, in threads.
    """

    def __len__(self) -> int: ...

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        """The samples with the numbers `indices` (B,), as a batch with S = 1.

        Augmentation must depend on `seed`, `epoch` and a sample's position in the epoch, and on nothing else. `place`
        is the position of the first sample. (A sample that is drawn with replacement may occur twice in an epoch.)
        """
        ...


@dataclass(frozen=True)
class TensorSplit:
    """A split held in memory as tensors: inputs (M, T|1, C_in), targets (M,) or (M, T, C_out), mask (M, T|1)."""

    inputs: Tensor
    targets: Tensor
    steps: int
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        mask = None if self.mask is None else self.mask[indices][None]
        return Batch(self.steps, self.inputs[indices][None], self.targets[indices][None], mask)


class Data(NamedTuple):
    """The data of a task after loading: its splits ('train', 'validation' and/or 'test') and their checksums.

    `fingerprint` is a SHA-256 of the whole content; `digests` has one SHA-256 for each split; `official` is True only
    for the published data set itself; `notes` say how these data differ from what the task's protocol asks for.
    """

    splits: Mapping[str, Split]
    fingerprint: str
    official: bool
    digests: Mapping[str, str]
    notes: tuple[str, ...] = ()
