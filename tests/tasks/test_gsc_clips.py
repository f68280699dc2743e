"""Tests of Speech Commands' samples: augmentation by seed, epoch and place, cached features, and threads."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gsc_examples import TREE, write_tree, write_wav

from gle_bench import registry
from gle_bench.config import TrainingConfig
from gle_bench.errors import GleBenchError
from gle_bench.recipes.gsc import GSCOptions
from gle_bench.registry import TASKS, load
from gle_bench.training.data import Feed, Loader, Pick

PACKAGE = TASKS["gsc"].partition(":")[0]
AUGMENTATION, CLIPS, FEATURES = (load(f"{PACKAGE}.{name}") for name in ("augmentation", "clips", "features"))
TASK = registry.task("gsc")
UNKNOWN, SILENCE = 0, 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "gsc"
    write_tree(folder / TREE)
    return folder


def data(folder: Path, **options):
    return TASK.load(folder, GSCOptions(**options), "paper", None)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Rigged:
    """A random generator whose numbers the test sets."""

    def __init__(self, chance: float, *integers: int) -> None:
        self._chance, self._integers = chance, list(integers)

    def random(self) -> float:
        return self._chance

    def integers(self, *bounds: int) -> int:
        return self._integers.pop(0)


def changed(name: str, wave: np.ndarray, noises: Sequence[np.ndarray], random: Any) -> np.ndarray:
    """A single clip after augmentation, which must not change the clip itself."""
    before = wave.copy()
    (found,) = AUGMENTATION.AUGMENTATIONS[name](wave[None], np.array([len(wave)]), noises, [random])
    np.testing.assert_array_equal(wave, before)
    return found


def shifted(wave: np.ndarray, shift: int) -> np.ndarray:
    moved = np.zeros_like(wave)
    AUGMENTATION.shift_into(moved, wave, shift)
    return moved


@pytest.mark.parametrize("shift", [0, 5, -5, 1599, -1600, 30_000, -30_000])
def test_a_shift_moves_a_clip_and_lets_zeros_in(shift: int) -> None:
    wave = np.arange(1.0, 16_001, dtype=np.float32)
    moved = shifted(wave, shift)
    expected = np.array([wave[i - shift] if 0 <= i - shift < 16_000 else 0 for i in range(16_000)])
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(wave, np.arange(1.0, 16_001))


def test_gle_mixes_noise_by_the_references_factor() -> None:
    wave, noise = generator(1).standard_normal((2, 16_000)).astype(np.float32)
    noises = [np.pad(noise, (100, 50))]
    for number, level in enumerate((20, 10, 3)):
        scale = np.exp(level / 10) * np.linalg.norm(noise) / np.linalg.norm(wave)
        found = changed("gle", wave, noises, Rigged(0.79, number, 0, 100, 7))
        np.testing.assert_allclose(found[7:], ((scale * wave + noise) / 2)[:-7], rtol=1e-5, atol=1e-5)
        assert (found[:7] == 0).all()
    np.testing.assert_array_equal(changed("gle", wave, noises, Rigged(0.8, 0, 0, 100, 0)), wave)


def test_gles_augmented_silence_is_a_constant_plus_noise() -> None:
    noise = 0.1 * generator(1).standard_normal(16_000).astype(np.float32)
    found = changed("gle", np.full(16_000, 1e-9, np.float32), [noise], Rigged(0.0, 2, 0, 0, 0))
    offset = np.exp(0.3) * np.linalg.norm(noise) / np.sqrt(16_000) / 2
    np.testing.assert_allclose(found - noise / 2, offset, rtol=1e-4)
    zeros = changed("gle", np.zeros(16_000, np.float32), [noise], Rigged(0.0, 2, 0, 0, 0))
    np.testing.assert_array_equal(zeros, noise / 2)


def test_hello_edge_shifts_then_adds_noise_and_clips() -> None:
    wave, noise = generator(1).uniform(-1, 1, (2, 16_000)).astype(np.float32)
    found = changed("hello-edge", wave, [noise], Rigged(0.5, 0, 0, 9))
    expected = np.clip(shifted(wave, 9) + 0.05 * noise, -1, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(changed("hello-edge", wave, [noise], Rigged(0.9, 0, 0, 9)), shifted(wave, 9))


@pytest.mark.parametrize("name", ["gle", "hello-edge"])
def test_four_of_five_clips_get_noise_and_shifts_stay_within_100_ms(name: str) -> None:
    noises = [np.full(16_000, 1e-3, np.float32), np.full(20_000, 2e-3, np.float32)]
    wave = np.zeros(16_000, np.float32)
    wave[8_000] = 0.5
    found = np.stack([changed(name, wave, noises, generator(seed)) for seed in range(600)])
    assert (found[:, 3000] != 0).mean() == pytest.approx(0.8, abs=0.05)
    shifts = found.argmax(1) - 8_000
    assert -1600 <= shifts.min() < -1500
    assert 1500 < shifts.max() < 1600


@pytest.mark.parametrize("name", ["gle", "hello-edge"])
def test_clips_are_changed_alike_alone_and_in_company(name: str) -> None:
    waves = generator(1).uniform(-1, 1, (5, 16_000)).astype(np.float32)
    lengths = np.full(5, 16_000) if name == "hello-edge" else np.array([16_000, 9_000, 1, 16_000, 12_345])
    for wave, length in zip(waves, lengths, strict=True):
        wave[length:] = 0
    noises = [generator(2).uniform(-1, 1, 20_000).astype(np.float32)]
    together = AUGMENTATION.AUGMENTATIONS[name](waves, lengths, noises, [generator(seed) for seed in range(5)])
    for seed, (wave, length) in enumerate(zip(waves, lengths, strict=True)):
        np.testing.assert_array_equal(together[seed, :length], changed(name, wave[:length], noises, generator(seed)))
        assert not together[seed, length:].any()


@pytest.mark.parametrize("options", [{}, {"front_end": "mfcc-25", "augmentation": "hello-edge"}])
def test_a_sample_is_a_function_of_seed_epoch_and_place(folder: Path, options) -> None:
    train = data(folder, **options).splits["train"]
    chosen = torch.tensor([7, 3, 7, 0])
    first = train.fetch(chosen, 1, 2, 10).inputs
    assert torch.equal(first, data(folder, **options).splits["train"].fetch(chosen, 1, 2, 10).inputs)
    assert torch.equal(first[:, 1:3], train.fetch(chosen[1:3], 1, 2, 11).inputs)  # whatever batches it comes in
    assert not torch.equal(first[:, 0], first[:, 2])  # the same clip, drawn twice
    for other in [(2, 2, 10), (1, 3, 10), (1, 2, 14)]:
        assert not torch.equal(first, train.fetch(chosen, *other).inputs)


def test_held_out_clips_are_always_the_same(folder: Path) -> None:
    for options in ({}, {"front_end": "mfcc-49", "augmentation": "hello-edge"}):
        for part in ("validation", "test"):
            split = data(folder, **options).splits[part]
            everything = torch.arange(len(split))
            first = split.fetch(everything, 1, 0).inputs
            assert torch.equal(first, split.fetch(everything, 2, 5, 9).inputs)
            assert torch.equal(first[:, 3:5], data(folder, **options).splits[part].fetch(everything[3:5], 0, 0).inputs)


def test_held_out_features_are_computed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = data(folder).splits["validation"]
    split.fetch(torch.arange(len(split)), 1, 0)

    def computed(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(CLIPS, "features", computed)
    monkeypatch.setattr(CLIPS, "read_wav", computed)
    assert split.fetch(torch.arange(3), 1, 0).inputs.shape == (1, 3, 820, 32)


def test_files_of_training_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = data(folder).splits["train"]
    split.fetch(torch.arange(len(split)), 1, 0)
    monkeypatch.setattr(CLIPS, "read_wav", None)
    split.fetch(torch.arange(len(split)), 1, 1)


def test_silence_is_faint_to_gle_and_nothing_to_hello_edge(folder: Path) -> None:
    for options, expected in [({}, 1e-9), ({"front_end": "mfcc-49", "augmentation": "hello-edge"}, 0.0)]:
        split = data(folder, **options).splits["test"]
        silent = (split.targets == SILENCE).nonzero()[:1, 0]
        own = FEATURES.features(
            options.get("front_end", "mel"), torch.full((1, 16_000), expected), torch.tensor([16_000])
        )
        expected_steps = FEATURES.stretched(own, options.get("front_end", "mel"))
        assert torch.equal(split.fetch(silent, 1, 0).inputs[0], expected_steps)


@pytest.mark.parametrize("samples", [9_000, 30_000])
def test_clips_of_other_lengths(tmp_path: Path, samples: int) -> None:
    write_tree(tmp_path / "gsc" / TREE)
    every = sorted((tmp_path / "gsc" / TREE / "yes").glob("*.wav"))
    for path in every:
        write_wav(path, 0.1 * generator().standard_normal(samples))
    for options in ({}, {"front_end": "mfcc-25", "augmentation": "hello-edge"}):
        for split in data(tmp_path / "gsc", **options).splits.values():
            found = split.fetch((split.targets == 2).nonzero()[:, 0], 1, 0).inputs
            assert found.isfinite().all()
            if samples == 9_000 and not options and split.targets.numel() < 40:  # mel, held out: zeros after 23 frames
                assert (found[0, :, 24 * 20 :] == 0).all()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_corrupt_clip_is_named(tmp_path: Path, part: str) -> None:
    write_tree(tmp_path / "gsc" / TREE)
    for path in (tmp_path / "gsc" / TREE / "go").glob("*.wav"):
        path.write_bytes(b"RIFF")
    split = data(tmp_path / "gsc").splits[part]
    with pytest.raises(GleBenchError, match=r"go/\w+_nohash_0.wav cannot be read as sound"):
        split.fetch(torch.arange(len(split)), 1, 0)


def test_noise_that_is_missing_or_too_short_is_named(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "gsc" / TREE) / "_background_noise_"
    (noise,) = root.glob("*.wav")
    write_wav(noise, np.zeros(15_999))
    with pytest.raises(GleBenchError, match=r"hiss.wav is shorter than a second"):
        data(tmp_path / "gsc")
    noise.unlink()
    with pytest.raises(GleBenchError, match="no noise"):
        data(tmp_path / "gsc")
    assert data(tmp_path / "gsc", augmentation="none").splits["train"].fetch(torch.arange(2), 1, 0).inputs.any()


def test_threads_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picks = [Pick(0, torch.arange(n, n + 6), n) for n in range(0, 36, 6)]

    def inputs(threads: int) -> torch.Tensor:
        monkeypatch.setattr("gle_bench.training.data.MOST_THREADS", threads)
        split = data(folder).splits["train"]
        members = [(split, seed, picks) for seed in (1, 2)]
        return torch.stack([batch.inputs for batch in Loader(members, torch.float32)])

    alone = inputs(1)
    assert alone.shape == (6, 2, 6, 820, 32)
    assert torch.equal(alone, inputs(7))
    split, before = data(folder).splits["train"], torch.get_num_threads()
    plain = [split.fetch(pick.indices, 2, 0, pick.place).inputs[0] for pick in picks]
    assert torch.equal(alone[:, 1], torch.stack(plain))
    assert torch.get_num_threads() == before


def test_a_loader_may_be_left_early(folder: Path) -> None:
    split = data(folder).splits["train"]
    picks = [Pick(0, torch.arange(2), 0)] * 50
    assert next(iter(Loader([(split, 1, picks)], torch.float64))).inputs.dtype == torch.float64


def test_balanced_sampling_gives_every_class_the_same_chance(folder: Path) -> None:
    loaded = data(folder)
    training = TrainingConfig(epochs=60, batch_size=16, sampling="balanced")
    feed = Feed(
        {None: loaded}, [1], training, shuffle=True, evaluation="validation", first_round=0, dtype=torch.float32
    )
    rounds = [feed._picks(1, number) for number in range(1, 61)]
    labels = loaded.splits["train"].targets
    drawn = torch.cat([labels[pick.indices] for picks in rounds for pick in picks])
    share = drawn.bincount().double() / len(drawn)
    assert share.tolist() == pytest.approx([1 / 12] * 12, abs=0.02)
    assert all(a.place + len(a.indices) == b.place for picks in rounds for a, b in pairwise(picks))
