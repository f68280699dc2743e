"""What training does to a clip: shifted, and mixed with noise; the paper's two variants (facts/baselines.md 3)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gle_bench.models.gsc import Augmentation

Wave = NDArray[np.float32]

SHIFT = 1600  # samples: 100 ms
NOISY = 0.8  # probability of noise
LOUDEST = 0.1  # Hello Edge's volume of noise
LEVELS = (20, 10, 3)  # GLE's, in what its code takes for decibels


def gle(wave: Wave, noises: Sequence[Wave], random: np.random.Generator) -> Wave:
    """Noise, then a shift, as the released GLE code does it.

    Its factor is exp(level / 10), not 10 ** (level / 20), and a silent clip of 1e-9 is scaled up to the noise: it
    becomes a constant plus noise. A clip of zeros, which that code would divide by, becomes the noise alone.
    """
    noisy, level, (noise, shift) = random.random() < NOISY, LEVELS[random.integers(3)], _draw(wave, noises, random)
    if noisy:
        size = float(np.linalg.norm(wave))
        scale = np.exp(level / 10) * float(np.linalg.norm(noise)) / size if size else 0.0
        wave = (np.float32(scale) * wave + noise) / np.float32(2)
    return shifted(wave, shift)


def hello_edge(wave: Wave, noises: Sequence[Wave], random: np.random.Generator) -> Wave:
    """A shift, then noise of a random volume, as TensorFlow and Hello Edge do it."""
    noisy, volume, (noise, shift) = random.random() < NOISY, LOUDEST * random.random(), _draw(wave, noises, random)
    wave = shifted(wave, shift)
    return np.clip(wave + np.float32(volume) * noise, -1, 1) if noisy else wave


def _draw(wave: Wave, noises: Sequence[Wave], random: np.random.Generator) -> tuple[Wave, int]:
    """A stretch of noise as long as the wave, from a file of equal chance, and a shift."""
    noise = noises[int(random.integers(len(noises)))]
    start = int(random.integers(len(noise) - len(wave) + 1))
    return noise[start : start + len(wave)], int(random.integers(-SHIFT, SHIFT))


def shifted(wave: Wave, shift: int) -> Wave:
    """Later by `shift` samples, or earlier by as many if it is negative; zeros come in."""
    moved = np.zeros_like(wave)
    if abs(shift) < len(wave):
        moved[max(shift, 0) : len(wave) + min(shift, 0)] = wave[max(-shift, 0) : len(wave) - max(shift, 0)]
    return moved


AUGMENTATIONS: dict[Augmentation, Callable[[Wave, Sequence[Wave], np.random.Generator], Wave] | None] = {
    "gle": gle,
    "hello-edge": hello_edge,
    "none": None,
}
