"""What a model hears of a clip: GLE's log-mel bands, or Hello Edge's MFCC (facts/algorithms.md 5, baselines.md 3)."""

import math
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from gle_bench.data.sound import torchaudio
from gle_bench.recipes.gsc import FrontEnd

from .front_ends import FRONT_ENDS, RATE, FrontEndSpec

FFT: Final = 1024
SHORTEST: Final = FFT  # a reflected border of half a window needs a little more than half of one
AT_A_TIME: Final = 8  # clips
MEL: Final = 1127.0  # of a natural logarithm


def features(front_end: FrontEnd, waves: Tensor, lengths: Tensor) -> Tensor:
    """Features (B, frames, channels) in float32 of waves (B, 16000), zero from their lengths (B,) on.

    Computed in float64: the logarithm of what a float32 Fourier transform leaves in quiet bands would differ between
    machines, and silence, a constant of 1e-9, would be nothing but rounding. A few clips at a time stay in the cache.
    """
    spec = FRONT_ENDS[front_end]
    if spec.kind == "MFCC":
        return torch.cat([mfcc(part.double(), spec).float() for part in torch.split(waves, AT_A_TIME)])
    found = torch.cat([log_mel(part.double(), spec).float() for part in torch.split(waves, AT_A_TIME)])
    for i in (lengths < RATE).nonzero().flatten().tolist():
        # The reference normalises a short clip by itself, and fills it up with zeros only then.
        own = log_mel(waves[i : i + 1, : max(int(lengths[i]), SHORTEST)].double(), spec)
        found[i] = 0
        found[i, : own.shape[1]] = own[0]
    return found


def log_mel(waves: Tensor, spec: FrontEndSpec) -> Tensor:
    """GLE's: waves (B, N) -> (B, 1 + N // 400, 32), log2(mel power + 1e-9), each sample to zero mean and unit spread.

    torchaudio's defaults: periodic Hann, centred frames with reflected borders, bands of unit peak from 0 to 8 kHz.
    """
    logs = (_power(_spectrogram(spec)(waves).transpose(1, 2)) @ torchaudio_bands(spec.bands) + 1e-9).log2()
    mean, spread = logs.mean((1, 2), keepdim=True), logs.std((1, 2), keepdim=True)
    return (logs - mean) / spread.clamp_min(1e-9)  # zeros of digital silence stay zeros; silence of 1e-9 has 4.6e-6


def stretched(found: Tensor, front_end: FrontEnd) -> Tensor:
    """Frames as time steps, (B, steps, channels): GLE's are interpolated linearly, 20 steps a frame.

    The position of the steps is that of `nn.functional.interpolate`: which one the reference has is not known.
    """
    spec = FRONT_ENDS[front_end]
    if spec.steps == spec.frames:
        return found
    return nn.functional.interpolate(found.transpose(1, 2), size=spec.steps, mode="linear").transpose(1, 2)


def mfcc(waves: Tensor, spec: FrontEndSpec) -> Tensor:
    """Hello Edge's, as TensorFlow's kernels compute them: waves (B, 16000) -> (B, frames, 10), not normalised.

    Magnitudes of uncentred frames of 640 samples (periodic Hann, in a transform of 1024), 40 bands, natural logarithm,
    DCT-II of which all rows are scaled alike.
    """
    assert spec.coefficients is not None
    window, stride = _samples(spec)
    heard = tensorflow_bands(spec.bands)
    spectrum = torch.fft.rfft(waves.unfold(1, window, stride) * _hann(window), FFT)[..., : len(heard)]
    bands = _power(spectrum).sqrt() @ heard
    return bands.clamp_min(1e-12).log() @ _cosines(spec.coefficients, spec.bands)


@cache
def _cosines(coefficients: int, bands: int) -> Tensor:
    """DCT-II, (bands, coefficients)."""
    transform: Tensor = torchaudio().functional.create_dct(coefficients, bands, norm=None).double()
    return transform * math.sqrt(1 / (2 * bands))


@cache
def tensorflow_bands(bands: int, low: float = 20.0, high: float = 4000.0) -> Tensor:
    """TensorFlow's triangles (257, bands), of unit peak and linear in mel, where torchaudio's are linear in Hz.

    Frequencies above `high`, which no band hears, are left out: half of them.
    """
    frequencies = _frequencies()
    heard = frequencies[frequencies <= high]
    low, high = _mel_of(torch.tensor([low, high])).tolist()
    return _triangles(_mel_of(heard), torch.linspace(low, high, bands + 2, dtype=torch.float64))


@cache
def torchaudio_bands(bands: int) -> Tensor:
    """torchaudio's default triangles (513, bands) from 0 to 8 kHz, which it computes in float32 only."""
    high = float(_mel_of(_frequencies()[-1]))
    mel = torch.linspace(0, high, bands + 2, dtype=torch.float64)
    return _triangles(_frequencies(), 700 * torch.expm1(mel / MEL))


def _frequencies() -> Tensor:
    return torch.arange(FFT // 2 + 1, dtype=torch.float64) * (RATE / FFT)  # Hz


def _mel_of(hertz: Tensor) -> Tensor:
    return MEL * torch.log1p(hertz.double() / 700)


def _triangles(places: Tensor, edges: Tensor) -> Tensor:
    """One triangle over any three neighbouring edges, at all places: (places, edges - 2)."""
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (places[:, None] - low) / (peak - low), (high - places[:, None]) / (high - peak)
    return torch.minimum(rising, falling).clamp_min(0)


def _power(z: Tensor) -> Tensor:
    """|z|^2; by way of |z| it would take several times as long."""
    return z.real.square() + z.imag.square()


@cache
def _spectrogram(spec: FrontEndSpec) -> Any:
    """Centred frames, (B, frequencies, frames); TensorFlow's are not, and torchaudio would put zeros around each."""
    window, stride = _samples(spec)
    return torchaudio().transforms.Spectrogram(FFT, window, stride, window_fn=_hann, power=None)


@cache
def _hann(samples: int) -> Tensor:
    return torch.hann_window(samples, dtype=torch.float64)


def _samples(spec: FrontEndSpec) -> tuple[int, int]:
    """Window and stride."""
    return RATE * spec.window_ms // 1000, RATE * spec.stride_ms // 1000
