"""Tests of the front ends of Speech Commands against an independent computation, and of silence."""

import numpy as np
import pytest
import torch
from gsc_oracle import gle_features, hello_edge_features, stretched

from gle_bench.registry import TASKS, load

MODULE = load(TASKS["gsc"].partition(":")[0] + ".features")
ORACLES = {
    "mel": gle_features,
    "mfcc-25": lambda wave: hello_edge_features(wave, 640),
    "mfcc-49": lambda wave: hello_edge_features(wave, 320),
}
SHAPES = {"mel": (41, 32), "mfcc-25": (25, 10), "mfcc-49": (49, 10)}
FRONT_ENDS = pytest.mark.parametrize("name", ORACLES)

# A few numbers of `sound()`, as the independent computation gave them when it was written: {(frame, channel): value}.
GOLDEN = {
    "mel": {(0, 0): 2.56466, (3, 5): 3.24132, (12, 31): 1.00445, (20, 10): -0.80092, (40, 16): 0.00539},
    "mfcc-25": {(0, 0): -12.74138, (7, 1): -3.28992, (12, 5): -2.35489, (24, 9): 1.03639},
    "mfcc-49": {(0, 0): -12.74138, (15, 1): -3.32807, (25, 5): -1.97376, (48, 9): 1.03639},
}


def sound(samples: int = 16_000) -> np.ndarray:
    """A fading tone of rising pitch with a click and noise, in 16 bits, made of integers to be equal everywhere."""
    time = np.arange(samples) / 16_000
    wave = 0.6 * np.exp(-2 * time) * np.sin(2 * np.pi * (200 + 1500 * time) * time)
    wave += 0.3 * (np.arange(samples) == 5000)
    noise = (np.arange(samples, dtype=np.int64) * 1103515245 + 12345) * 69069 % 2**31 / 2**31 - 0.5
    return np.rint(32768 * (wave + 0.01 * noise)) / 32768


def heard(name: str, *waves: np.ndarray, lengths: list[int] | None = None) -> np.ndarray:
    stacked = torch.from_numpy(np.stack(waves)).float()
    return MODULE.features(name, stacked, torch.tensor(lengths or [16_000] * len(waves))).numpy()


@FRONT_ENDS
def test_features_agree_with_an_independent_computation(name):
    random = np.random.default_rng(1)
    waves = [sound(), sound()[::-1].copy(), np.rint(3000 * random.standard_normal(16_000)) / 32768]
    found = heard(name, *waves)
    assert found.shape == (3, *SHAPES[name])
    assert found.dtype == np.float32
    for one, wave in zip(found, waves, strict=True):
        np.testing.assert_allclose(one, ORACLES[name](wave), rtol=0, atol=1e-4)


@FRONT_ENDS
def test_features_are_the_golden_ones(name):
    found = heard(name, sound())[0]
    assert GOLDEN[name]
    for place, value in GOLDEN[name].items():
        assert found[place] == pytest.approx(value, abs=1e-4)


@FRONT_ENDS
def test_a_clip_is_heard_alike_in_any_company(name):
    waves = [sound(), *(0.01 * np.random.default_rng(n).standard_normal(16_000) for n in range(40))]
    np.testing.assert_array_equal(heard(name, *waves)[:1], heard(name, waves[0]))


def test_frames_are_stretched_twentyfold():
    found = heard("mel", sound())
    steps = MODULE.stretched(torch.from_numpy(found), "mel")
    assert steps.shape == (1, 820, 32)
    np.testing.assert_allclose(steps[0].numpy(), stretched(found[0]), rtol=0, atol=1e-5)
    other = torch.from_numpy(heard("mfcc-49", sound()))
    assert torch.equal(MODULE.stretched(other, "mfcc-49"), other)


def test_the_mel_features_are_normalised_clip_by_clip():
    found = heard("mel", sound(), 0.01 * sound()).astype(np.float64)
    assert found.mean((1, 2)) == pytest.approx(0, abs=1e-6)
    assert found.std((1, 2), ddof=1) == pytest.approx(1, abs=1e-6)


def test_silence_is_constant_in_time():
    found = heard("mel", np.full(16_000, 1e-9))[0]
    assert np.ptp(found, axis=0).max() == 0
    assert found[0, 0] == pytest.approx(5.57, abs=0.01)  # all that ideal arithmetic leaves is the lowest band
    assert found[0, 1:] == pytest.approx(-0.18, abs=0.01)
    for name in ("mfcc-25", "mfcc-49"):
        found = heard(name, np.zeros(16_000))[0]
        assert found[:, 0] == pytest.approx(-247.1, abs=0.05)
        assert found[:, 1:] == pytest.approx(0, abs=1e-4)


def test_digital_silence_gives_zeros():
    assert heard("mel", np.zeros(16_000)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("length", [15_999, 10_000, 1_024, 700, 1])
def test_a_short_clip_is_normalised_by_itself_and_then_filled_up(length):
    wave = sound(length)
    padded = np.pad(wave, (0, 16_000 - length))
    found = heard("mel", padded, sound(), lengths=[length, 16_000])
    own = gle_features(np.pad(wave, (0, max(1024 - length, 0))))
    np.testing.assert_allclose(found[0, : len(own)], own, rtol=0, atol=1e-4)
    assert (found[0, len(own) :] == 0).all()
    np.testing.assert_array_equal(found[1:], heard("mel", sound()))


@FRONT_ENDS
def test_the_table_says_what_is_computed(name):
    spec = MODULE.FRONT_ENDS[name]
    assert (spec.frames, spec.channels) == SHAPES[name]
    assert spec.steps == spec.frames * (20 if name == "mel" else 1)
