"""An independent implementation of the front ends of Speech Commands: NumPy, float64, frame by frame."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RATE, FFT = 16_000, 1024


def hann(length: int) -> Array:
    """The periodic Hann window of that length."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def power(frame: Array) -> Array:
    """The power spectrum (513,) of a windowed frame."""
    return np.abs(np.fft.rfft(frame, FFT)) ** 2


def gle_features(wave: Array) -> Array:
    """32 log-mel bands every 25 ms, (41, 32), normalised over the clip."""
    padded = np.concatenate([wave[512:0:-1], wave, wave[-2:-514:-1]])
    frames = [power(padded[start : start + FFT] * hann(FFT)) for start in range(0, len(wave) + 1, 400)]
    hertz = np.arange(513) * RATE / FFT
    mel_edges = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 34)
    edges = 700 * (10 ** (mel_edges / 2595) - 1)
    bands = np.zeros((513, 32))
    for band in range(32):
        low, peak, high = edges[band : band + 3]
        rising, falling = (hertz - low) / (peak - low), (high - hertz) / (high - peak)
        bands[:, band] = np.maximum(0, np.minimum(rising, falling))
    logs = np.log2(np.array(frames) @ bands + 1e-9)
    normalised: Array = (logs - logs.mean()) / logs.std(ddof=1)
    return normalised


def stretched(frames: Array, times: int = 20) -> Array:
    """Frames interpolated linearly to `times` steps each, with a frame in the middle of its steps, and held ends."""
    places = (np.arange(len(frames) * times) + 0.5) / times - 0.5
    return np.stack([np.interp(places, np.arange(len(frames)), column) for column in frames.T], 1)


def hello_edge_features(wave: Array, stride: int) -> Array:
    """10 MFCC as TensorFlow's kernels compute them: a loop over bins, each shared by two neighbouring bands."""
    return np.array([_mfcc(wave[start : start + 640]) for start in range(0, RATE - 640 + 1, stride)])


def _mfcc(frame: Array) -> Array:
    spectrum = np.sqrt(power(frame * hann(640)))
    width = RATE / FFT
    start, end = int(1.5 + 20 / width), int(4000 / width)
    low, high = 1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 4000 / 700)
    centres = low + (high - low) / 41 * np.arange(1, 42)
    bands = np.zeros(40)
    for bin_ in range(start, end + 1):
        mel = 1127 * np.log(1 + bin_ * width / 700)
        above = int(np.searchsorted(centres, mel))  # the first centre at or above it
        below = low if above == 0 else centres[above - 1]
        share = (centres[above] - mel) / (centres[above] - below)
        if above > 0:
            bands[above - 1] += share * spectrum[bin_]
        if above < 40:
            bands[above] += (1 - share) * spectrum[bin_]
    logs = np.log(np.maximum(bands, 1e-12))
    return np.array(
        [np.sqrt(2 / 40) * (logs * np.cos(np.pi * k / 40 * (np.arange(40) + 0.5))).sum() for k in range(10)]
    )
