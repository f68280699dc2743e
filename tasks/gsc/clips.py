"""A split of clips: read when needed, augmented anew each time, and turned into features by a front end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gle_bench.contracts import Batch
from gle_bench.errors import GleBenchError
from gle_bench.files.sound import FULL_SCALE, read_wav
from gle_bench.recipes.gsc import Augmentation, FrontEnd

from .augmentation import AUGMENTATIONS, Wave
from .features import features, stretched
from .front_ends import FRONT_ENDS, RATE
from .partition import Clip
from .tree import NOISE

FAINT = np.float32(1e-9)  # value of all samples of silence in the GLE code; in Hello Edge they are zero


@dataclass(frozen=True)
class Hearing:
    """The processing of a split's clips into features: front end, augmentation, and the noises that are mixed in."""

    front_end: FrontEnd
    augmentation: Augmentation
    noises: Sequence[Wave]


class ClipSplit:
    """A split of the clips under `root`. Features are kept in memory; with augmentation, waves in 16 bits instead.

    Several threads may fetch at once: what two of them compute for one clip is the same.
    """

    slow: ClassVar[bool] = True

    def __init__(self, root: Path, clips: Sequence[Clip], hearing: Hearing) -> None:
        self._root, self._names, self._hearing = root, [clip.name for clip in clips], hearing
        self.targets = torch.tensor([clip.label for clip in clips], dtype=torch.int64)
        self._augment = AUGMENTATIONS[hearing.augmentation]
        self._kept = np.zeros(len(clips), bool)
        spec = FRONT_ENDS[hearing.front_end]
        self._features = torch.empty(len(clips) if self._augment is None else 0, spec.frames, spec.channels)
        self._waves = np.zeros((0 if self._augment is None else len(clips), RATE), np.int16)
        self._lengths = np.zeros(len(clips), np.int64)

    def __len__(self) -> int:
        return len(self._names)

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        """The clips at these indices as a batch, inputs (1, B, steps, channels).

        Raises:
            GleBenchError: a file cannot be read.
        """
        chosen, front_end = indices.numpy(), self._hearing.front_end
        frames = self._constant(chosen) if self._augment is None else self._augmented(chosen, (seed, epoch, place))
        return Batch(FRONT_ENDS[front_end].steps, stretched(frames, front_end)[None], self.targets[indices][None])

    def _constant(self, chosen: NDArray[np.int64]) -> Tensor:
        """Features (B, frames, channels) of clips without augmentation, each computed once."""
        new = np.unique(chosen[~self._kept[chosen]])
        if len(new):
            waves, lengths = np.zeros((len(new), RATE), np.float32), np.zeros(len(new), np.int64)
            for row, index in enumerate(new):
                wave = self._read(index)
                waves[row, : len(wave)], lengths[row] = FAINT if self._silence(index) else _floats(wave), len(wave)
            self._features[torch.from_numpy(new)] = self._features_of(waves, lengths)
            self._kept[new] = True
        return self._features[torch.from_numpy(chosen)]

    def _augmented(self, chosen: NDArray[np.int64], draw: tuple[int, int, int]) -> Tensor:
        """Features (B, frames, channels) of clips that are augmented by random numbers from (seed, epoch, place)."""
        assert self._augment is not None
        seed, epoch, place = draw
        for index in np.unique(chosen[~self._kept[chosen]]):
            wave = self._read(index)
            self._waves[index, : len(wave)] = wave
            self._lengths[index], self._kept[index] = len(wave), True
        waves, lengths = _floats(self._waves[chosen]), self._lengths[chosen]
        waves[[self._silence(index) for index in chosen]] = FAINT
        randoms = [np.random.default_rng((seed, epoch, place + row)) for row in range(len(chosen))]
        return self._features_of(self._augment(waves, lengths, self._hearing.noises, randoms), lengths)

    def _features_of(self, waves: Wave, lengths: NDArray[np.int64]) -> Tensor:
        return features(self._hearing.front_end, torch.from_numpy(waves), torch.from_numpy(lengths))

    def _silence(self, index: int) -> bool:
        return self._names[index] is None and FRONT_ENDS[self._hearing.front_end].kind == "MFS"

    def _read(self, index: int) -> NDArray[np.int16]:
        """The samples of a clip, at most one second; for MFCC filled up with zeros to a second, as in TensorFlow."""
        name = self._names[index]
        wave = np.zeros(RATE, np.int16) if name is None else read_wav(self._root / name, RATE)[:RATE]
        if FRONT_ENDS[self._hearing.front_end].kind == "MFCC":
            wave = np.pad(wave, (0, RATE - len(wave)))
        return wave


def _floats(waves: NDArray[np.int16]) -> Wave:
    return (waves / np.float32(FULL_SCALE)).astype(np.float32, copy=False)


def read_noises(root: Path, names: Sequence[str]) -> list[Wave]:
    """The recordings of background noise, sorted by name.

    Raises:
        GleBenchError: there is none, or one is shorter than a clip.
    """
    if not names:
        raise GleBenchError(f"There is no noise in {root / NOISE}; put recordings there, or --set augmentation=none.")
    noises = []
    for name in sorted(names):
        noises.append(_floats(read_wav(root / name, RATE)))
        if len(noises[-1]) < RATE:
            raise GleBenchError(f"{root / name} is shorter than a second; put a longer recording there, or remove it.")
    return noises
