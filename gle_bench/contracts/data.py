"""Samples: what models must fit, batches, and splits that give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Shape(NamedTuple):
    """What a model has to fit: time steps, input channels, output channels or classes."""

    steps: int
    inputs: int
    outputs: int


class Batch(NamedTuple):
    """Samples side by side. A leading dimension of 1 stands for the same data in every member of the ensemble; a time
    dimension of 1 for inputs that stay constant over all `steps`."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, C_in)
    targets: Tensor  # (S|1, B) classes, int64, or (S|1, B, T, C_out) signals
    mask: Tensor | None = None  # (S|1, B, T|1)  1 where the loss counts, 0 where it does not


class Split(Protocol):
    """One part of a data set, in samples; a sample of an unbroken stream is a chunk of it.

    A split of classes has them as `targets`, (M,), which balanced sampling needs. One whose `fetch` takes long says
    `slow = True`: it is then called ahead of time, in threads.
    """

    def __len__(self) -> int: ...

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        """The samples `indices` (B,), as a batch with S = 1.

        `seed`, `epoch` and a sample's place in that epoch, `place` for the first of these, decide any augmentation, so
        that nothing else does. (Where samples are drawn with replacement, one may come twice in an epoch.)
        """
        ...


@dataclass(frozen=True)
class TensorSplit:
    """A split that lies in memory: inputs (M, T|1, C_in), targets (M,) or (M, T, C_out), mask (M, T|1)."""

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
    """What a task loads: its splits ('train', 'validation' and/or 'test') and what identifies them.

    `fingerprint` is a SHA-256 over the content; `official` is False for anything but the data set itself; `digests` has
    one SHA-256 a split; `notes` say how these data differ from what the task's rules ask for.
    """

    splits: Mapping[str, Split]
    fingerprint: str
    official: bool
    digests: Mapping[str, str]
    notes: tuple[str, ...] = ()
