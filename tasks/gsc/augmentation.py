"""The augmentation of training clips by shifts and noise, in the paper's two variants (facts/baselines.md 3)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gle_bench.recipes.gsc import Augmentation

Wave = NDArray[np.float32]  # (N,)
Waves = NDArray[np.float32]  # (B, N)
Lengths = NDArray[np.int64]

SHIFT = 1600  # largest shift in samples: 100 ms
NOISY = 0.8  # probability that noise is mixed in
LOUDEST = 0.1  # largest volume of noise in Hello Edge
LEVELS = (20, 10, 3)  # signal-to-noise levels of the GLE code, which calls them decibels


def gle(waves: Waves, lengths: Lengths, noises: Sequence[Wave], randoms: Sequence[Generator]) -> Waves:
    """The augmentation of the released GLE code: noise, then a shift, within each clip's own length.

    Its factor is exp(level / 10), not 10 ** (level / 20). A silent clip of 1e-9 is scaled up to the noise, so that it
    becomes a constant plus noise. A clip of zeros, for which that code divides by zero, becomes the noise alone.
    """
    augmented = np.zeros_like(waves)
    for row, (length, random) in enumerate(zip(lengths, randoms, strict=True)):
        wave = waves[row, :length]
        noisy, level, (noise, shift) = (
            random.random() < NOISY,
            LEVELS[random.integers(3)],
            _draw(length, noises, random),
        )
        if noisy:
            size = float(np.linalg.norm(wave))
            scale = np.exp(level / 10) * float(np.linalg.norm(noise)) / size if size else 0.0
            wave = (np.float32(scale) * wave + noise) / np.float32(2)
        shift_into(augmented[row, :length], wave, shift)
    return augmented


def hello_edge(waves: Waves, lengths: Lengths, noises: Sequence[Wave], randoms: Sequence[Generator]) -> Waves:
    """The augmentation of TensorFlow and Hello Edge: a shift, then noise of a random volume. All clips are full length.

    All clips are scaled, mixed and clipped in one operation: NumPy releases Python's lock in each, and a thread with
    many small operations waits for the lock longer than it computes.
    """
    augmented, mixed, volumes = np.zeros_like(waves), np.empty_like(waves), np.zeros((len(waves), 1), np.float32)
    for row, random in enumerate(randoms):
        noisy, volume = random.random() < NOISY, LOUDEST * random.random()
        mixed[row], shift = _draw(waves.shape[1], noises, random)
        shift_into(augmented[row], waves[row], shift)
        volumes[row] = volume if noisy else 0.0
    mixed *= volumes
    augmented += mixed
    return np.clip(augmented, -1, 1, out=augmented)


def _draw(length: int, noises: Sequence[Wave], random: Generator) -> tuple[Wave, int]:
    """Draws a stretch of noise of this length, from a file chosen uniformly, and a shift in samples."""
    noise = noises[int(random.integers(len(noises)))]
    start = int(random.integers(len(noise) - length + 1))
    return noise[start : start + length], int(random.integers(-SHIFT, SHIFT))


def shift_into(moved: Wave, wave: Wave, shift: int) -> None:
    """Writes the wave into `moved`, which holds zeros, `shift` samples later; earlier if `shift` is negative."""
    if abs(shift) < len(wave):
        moved[max(shift, 0) : len(wave) + min(shift, 0)] = wave[max(-shift, 0) : len(wave) - max(shift, 0)]


# Waves (B, N), zero beyond their lengths (B,), noises of at least N samples, one generator per clip -> (B, N).
Augment = Callable[[Waves, Lengths, Sequence[Wave], Sequence[Generator]], Waves]
AUGMENTATIONS: dict[Augmentation, Augment | None] = {
    "gle": gle,
    "hello-edge": hello_edge,
    "none": None,
}
