"""What training does to clips: shifted, and mixed with noise; the paper's two variants (facts/baselines.md 3)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gle_bench.recipes.gsc import Augmentation

Wave = NDArray[np.float32]  # (N,)
Waves = NDArray[np.float32]  # (B, N)
Lengths = NDArray[np.int64]

SHIFT = 1600  # samples: 100 ms
NOISY = 0.8  # probability of noise
LOUDEST = 0.1  # Hello Edge's volume of noise
LEVELS = (20, 10, 3)  # GLE's, in what its code takes for decibels


def gle(waves: Waves, lengths: Lengths, noises: Sequence[Wave], randoms: Sequence[Generator]) -> Waves:
    """Noise, then a shift, as the released GLE code does it, within each clip's own length.

    Its factor is exp(level / 10), not 10 ** (level / 20), and a silent clip of 1e-9 is scaled up to the noise: it
    becomes a constant plus noise. A clip of zeros, which that code would divide by, becomes the noise alone.
    """
    changed = np.zeros_like(waves)
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
        shift_into(changed[row, :length], wave, shift)
    return changed


def hello_edge(waves: Waves, lengths: Lengths, noises: Sequence[Wave], randoms: Sequence[Generator]) -> Waves:
    """A shift, then noise of a random volume, as TensorFlow and Hello Edge do it, to clips that were all filled up.

    All clips are scaled, mixed and cut off at once: NumPy gives Python's lock away whenever it computes, and a thread
    that asks it for little, often, waits for the lock longer than it computes.
    """
    changed, mixed, volumes = np.zeros_like(waves), np.empty_like(waves), np.zeros((len(waves), 1), np.float32)
    for row, random in enumerate(randoms):
        noisy, volume = random.random() < NOISY, LOUDEST * random.random()
        mixed[row], shift = _draw(waves.shape[1], noises, random)
        shift_into(changed[row], waves[row], shift)
        volumes[row] = volume if noisy else 0.0
    mixed *= volumes
    changed += mixed
    return np.clip(changed, -1, 1, out=changed)


def _draw(length: int, noises: Sequence[Wave], random: Generator) -> tuple[Wave, int]:
    """A stretch of noise of that length, from a file of equal chance, and a shift."""
    noise = noises[int(random.integers(len(noises)))]
    start = int(random.integers(len(noise) - length + 1))
    return noise[start : start + length], int(random.integers(-SHIFT, SHIFT))


def shift_into(moved: Wave, wave: Wave, shift: int) -> None:
    """Puts the wave among zeros: later by `shift` samples, or earlier by as many if it is negative."""
    if abs(shift) < len(wave):
        moved[max(shift, 0) : len(wave) + min(shift, 0)] = wave[max(-shift, 0) : len(wave) - max(shift, 0)]


# (B, N) waves, zero from their lengths (B,) on, noises of at least N samples, a generator a clip -> (B, N)
Augment = Callable[[Waves, Lengths, Sequence[Wave], Sequence[Generator]], Waves]
AUGMENTATIONS: dict[Augmentation, Augment | None] = {
    "gle": gle,
    "hello-edge": hello_edge,
    "none": None,
}
