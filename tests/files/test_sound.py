"""Tests of WAV files of all kinds, read or refused in one sentence, and of torchaudio beside any PyTorch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gsc_examples import write_wav

from gle_bench.errors import GleBenchError
from gle_bench.files.sound import FULL_SCALE, read_wav, torchaudio

TIME = np.arange(16_000) / 16_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * TIME)


def test_16_bits_come_as_they_are(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-FULL_SCALE, FULL_SCALE, 16_000).astype(np.int16)
    values[:2] = -FULL_SCALE, FULL_SCALE - 1
    read = read_wav(write_wav(tmp_path / "a.wav", values), 16_000)
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize(
    ("subtype", "tolerance"), [("PCM_U8", 2**-7), ("PCM_24", 2**-15), ("FLOAT", 2**-15), ("DOUBLE", 2**-15)]
)
def test_other_resolutions_are_read(tmp_path: Path, subtype: str, tolerance: float) -> None:
    read = read_wav(write_wav(tmp_path / "a.wav", TONE, subtype=subtype), 16_000) / FULL_SCALE
    np.testing.assert_allclose(read, TONE, rtol=0, atol=tolerance)


def test_what_is_too_loud_is_clipped(tmp_path: Path) -> None:
    read = read_wav(write_wav(tmp_path / "a.wav", 4 * TONE, subtype="FLOAT"), 16_000)
    assert (read.min(), read.max()) == (-FULL_SCALE, FULL_SCALE - 1)


def test_channels_are_averaged(tmp_path: Path) -> None:
    read = read_wav(write_wav(tmp_path / "a.wav", np.stack([TONE, 0 * TONE], 1)), 16_000) / FULL_SCALE
    np.testing.assert_allclose(read, TONE / 2, rtol=0, atol=2**-14)


@pytest.mark.parametrize("rate", [44_100, 8_000, 48_000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    read = read_wav(write_wav(tmp_path / "a.wav", tone, rate), 16_000) / FULL_SCALE
    assert len(read) == 16_000
    np.testing.assert_allclose(read[1000:-1000], TONE[1000:-1000], rtol=0, atol=5e-3)


@pytest.mark.parametrize("samples", [1, 9_000, 30_000])
def test_lengths_are_kept(tmp_path: Path, samples: int) -> None:
    assert len(read_wav(write_wav(tmp_path / "a.wav", np.zeros(samples)), 16_000)) == samples


def no_samples(path: Path) -> None:
    write_wav(path, np.zeros(0))


def no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def no_wav(path: Path) -> None:
    path.write_text("This is no sound at all, however long one reads on.")


def half_a_header(path: Path) -> None:
    write_wav(path, TONE)
    path.write_bytes(path.read_bytes()[:20])


def not_finite(path: Path) -> None:
    write_wav(path, np.array([0.0, np.nan, 0.1]), subtype="FLOAT")


def missing(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("damage", [no_samples, no_bytes, no_wav, half_a_header, not_finite, missing, folder])
def test_what_is_no_sound_is_refused_by_one_sentence(tmp_path: Path, damage) -> None:
    path = tmp_path / "spoilt.wav"
    damage(path)
    with pytest.raises(GleBenchError) as caught:
        read_wav(path, 16_000)
    sentence = str(caught.value)
    assert sentence.count(str(path)) == 1
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_cut_off_file_gives_what_is_there(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", TONE)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 9_000])
    np.testing.assert_allclose(read_wav(path, 16_000) / FULL_SCALE, TONE[:9_000], rtol=0, atol=2**-14)


def test_torchaudio_has_its_transforms() -> None:
    assert torchaudio().transforms.Spectrogram(1024) is not None
    assert torchaudio() is torchaudio()


BESIDE = """
import builtins, sys, types
import torch
from importlib.abc import MetaPathFinder


class Refuses(MetaPathFinder):
    '''As beside a CPU-only PyTorch, on any machine.'''

    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            raise OSError("libcudart.so.13: cannot open shared object file")


sys.meta_path.insert(0, Refuses())
from concurrent.futures import ThreadPoolExecutor
from gle_bench.files.sound import torchaudio
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: torchaudio(), range(8)))
assert len({id(module) for module in found}) == 1
print(found[0].transforms.Spectrogram(400)(torch.randn(16000)).shape)
"""


def test_torchaudio_works_where_its_extension_does_not_whichever_thread_is_first() -> None:
    done = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True)
    assert done.stdout.strip() == "torch.Size([201, 81])", done.stderr
