"""The features of a clip: GLE's log-mel bands, or Hello Edge's MFCC (facts/algorithms.md 5, baselines.md 3)."""

import math
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from gle_bench.files.sound import torchaudio
from gle_bench.recipes.gsc import FrontEnd

from .front_ends import FRONT_ENDS, RATE, FrontEndSpec

FFT: Final = 1024  # samples of a Fourier transform
SHORTEST: Final = FFT  # fewest samples of a clip: borders reflect half a window, which needs more than that
AT_A_TIME: Final = 8  # clips whose features are computed together, so that they stay in the cache
MEL: Final = 1127.0  # factor of the mel scale with the natural logarithm


def features(front_end: FrontEnd, waves: Tensor, lengths: Tensor) -> Tensor:
    """Features (B, frames, channels) in float32 of waves (B, 16000), which are zero beyond their lengths (B,).

    They are computed in float64: in float32, the logarithm of quiet bands would differ between machines, and silence,
    a constant of 1e-9, would consist of rounding errors alone.
    """
    spec = FRONT_ENDS[front_end]
    if spec.kind == "MFCC":
        return torch.cat([mfcc(part.double(), spec).float() for part in torch.split(waves, AT_A_TIME)])
    bands = torch.cat([log_mel(part.double(), spec).float() for part in torch.split(waves, AT_A_TIME)])
    for i in (lengths < RATE).nonzero().flatten().tolist():
        # The reference first normalises a short clip, and then fills it up with zeros.
        short = log_mel(waves[i : i + 1, : max(int(lengths[i]), SHORTEST)].double(), spec)
        bands[i] = 0
        bands[i, : short.shape[1]] = short[0]
    return bands


def log_mel(waves: Tensor, spec: FrontEndSpec) -> Tensor:
    """GLE's features: waves (B, N) -> (B, 1 + N // 400, 32), log2(mel power + 1e-9), each sample standardised.

    torchaudio's defaults: periodic Hann, centred frames with reflected borders, bands of unit peak from 0 to 8 kHz.
    """
    logs = (_power(_spectrogram(spec)(waves).transpose(1, 2)) @ torchaudio_bands(spec.bands) + 1e-9).log2()
    mean, spread = logs.mean((1, 2), keepdim=True), logs.std((1, 2), keepdim=True)
    return (logs - mean) / spread.clamp_min(1e-9)  # digital silence stays zero; silence of 1e-9 has a spread of 4.6e-6


def stretched(frames: Tensor, front_end: FrontEnd) -> Tensor:
    """Features as time steps, (B, steps, channels). Those of GLE are interpolated linearly, 20 steps for each frame.

    Steps are placed as by `nn.functional.interpolate`; how the reference places them is not known.
    """
    spec = FRONT_ENDS[front_end]
    if spec.steps == spec.frames:
        return frames
    return nn.functional.interpolate(frames.transpose(1, 2), size=spec.steps, mode="linear").transpose(1, 2)


def mfcc(waves: Tensor, spec: FrontEndSpec) -> Tensor:
    """Hello Edge's features, as TensorFlow computes them: waves (B, 16000) -> (B, frames, 10), not normalised.

    Magnitudes of uncentred frames of 640 samples (periodic Hann, in a transform of 1024), 40 bands, natural logarithm,
    DCT-II whose rows all have the same scale.
    """
    assert spec.coefficients is not None
    window, stride = _samples(spec)
    filters = tensorflow_bands(spec.bands)
    spectrum = torch.fft.rfft(waves.unfold(1, window, stride) * _hann(window), FFT)[..., : len(filters)]
    bands = _power(spectrum).sqrt() @ filters
    return bands.clamp_min(1e-12).log() @ _cosines(spec.coefficients, spec.bands)


@cache
def _cosines(coefficients: int, bands: int) -> Tensor:
    """The matrix of the DCT-II, (bands, coefficients)."""
    transform: Tensor = torchaudio().functional.create_dct(coefficients, bands, norm=None).double()
    return transform * math.sqrt(1 / (2 * bands))


@cache
def tensorflow_bands(bands: int, low: float = 20.0, high: float = 4000.0) -> Tensor:
    """TensorFlow's mel filters (257, bands): triangles of unit peak, linear in mel; those of torchaudio are so in Hz.

    Frequencies above `high`, half of all, are left out, because no band covers them.
    """
    frequencies = _frequencies()
    covered = frequencies[frequencies <= high]
    low, high = _mel_of(torch.tensor([low, high])).tolist()
    return _triangles(_mel_of(covered), torch.linspace(low, high, bands + 2, dtype=torch.float64))


@cache
def torchaudio_bands(bands: int) -> Tensor:
    """torchaudio's default mel filters (513, bands) from 0 to 8 kHz, but in float64 instead of float32."""
    high = float(_mel_of(_frequencies()[-1]))
    mel = torch.linspace(0, high, bands + 2, dtype=torch.float64)
    return _triangles(_frequencies(), 700 * torch.expm1(mel / MEL))


def _frequencies() -> Tensor:
    return torch.arange(FFT // 2 + 1, dtype=torch.float64) * (RATE / FFT)  # Hz


def _mel_of(hertz: Tensor) -> Tensor:
    return MEL * torch.log1p(hertz.double() / 700)


def _triangles(places: Tensor, edges: Tensor) -> Tensor:
    """The triangular filters, one over every three neighbouring edges, as values at all places: (places, edges - 2)."""
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (places[:, None] - low) / (peak - low), (high - places[:, None]) / (high - peak)
    return torch.minimum(rising, falling).clamp_min(0)


def _power(z: Tensor) -> Tensor:
    """The power |z|^2 of complex numbers, without the root in |z|, which would take several times as long."""
    return z.real.square() + z.imag.square()


@cache
def _spectrogram(spec: FrontEndSpec) -> Any:
    """torchaudio's spectrogram of centred frames, (B, frequencies, frames)."""
    window, stride = _samples(spec)
    return torchaudio().transforms.Spectrogram(FFT, window, stride, window_fn=_hann, power=None)


@cache
def _hann(samples: int) -> Tensor:
    return torch.hann_window(samples, dtype=torch.float64)


def _samples(spec: FrontEndSpec) -> tuple[int, int]:
    """The window and the stride of a front end, in samples."""
    return RATE * spec.window_ms // 1000, RATE * spec.stride_ms // 1000
