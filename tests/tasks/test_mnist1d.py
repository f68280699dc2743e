"""Tests of MNIST-1D: its lengths and splits, and the recognition of official data."""

import random
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from data_trouble import IN_PLACE_OF_FILES, TROUBLE, deadline, put
from pydantic import ValidationError
from shared import mnist1d_folder

from gle_bench import registry
from gle_bench.errors import GleBenchError
from gle_bench.recipes.mnist1d import MNIST1DOptions, Steps

MODULE = registry.load(registry.TASKS["mnist1d"].partition(":")[0])
TASK = registry.task("mnist1d")
LENGTHS = get_args(Steps)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return mnist1d_folder(tmp_path_factory)


def prepared(folder: Path, steps: int = 360) -> Path:
    TASK.prepare(folder, MNIST1DOptions(steps=steps), lambda text: None)
    return folder / f"mnist1d-{steps}.npz"


def loaded(folder: Path, protocol: str = "paper", steps: int = 360):
    return TASK.load(folder, MNIST1DOptions(steps=steps), protocol, None)


@pytest.fixture(scope="session")
def samples(folder):
    return MODULE.read(prepared(folder), 360)


def written(folder: Path, samples, steps: int = 360):
    """The data of a folder whose file has these samples."""
    np.savez(folder / f"mnist1d-{steps}.npz", **samples._asdict())
    return loaded(folder, steps=steps)


@pytest.mark.parametrize("steps", LENGTHS)
def test_every_length_is_official(folder, steps):
    prepared(folder, steps)
    data = loaded(folder, steps=steps)
    assert data.official
    assert TASK.shape(MNIST1DOptions(steps=steps)) == (steps, 1, 10)
    inputs = torch.cat([data.splits[name].inputs for name in ("train", "test")])
    targets = torch.cat([data.splits[name].targets for name in ("train", "test")])
    assert inputs.shape == (5000, steps, 1)
    assert inputs.dtype == torch.float32
    assert targets.dtype == torch.int64
    assert targets.bincount().tolist() == [500] * 10
    assert inputs.mean().item() == pytest.approx(0, abs=1e-6)
    assert inputs.std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_splits_are_disjoint_and_complete(folder):
    prepared(folder)
    paper, clean = loaded(folder, "paper").splits, loaded(folder, "clean").splits
    assert {name: len(split) for name, split in paper.items()} == {"train": 4000, "test": 1000}
    assert {name: len(split) for name, split in clean.items()} == {"train": 3200, "validation": 800, "test": 1000}
    assert torch.equal(clean["test"].inputs, paper["test"].inputs)
    assert torch.equal(torch.cat([clean["train"].inputs, clean["validation"].inputs]), paper["train"].inputs)
    assert torch.equal(torch.cat([clean["train"].targets, clean["validation"].targets]), paper["train"].targets)
    everything = torch.cat([split.inputs for split in clean.values()])
    assert len(everything.unique(dim=0)) == 5000


def test_the_split_that_is_evaluated():
    assert TASK.evaluation_split("paper") == "test"
    assert TASK.evaluation_split("clean") == "validation"


def test_a_batch(folder):
    prepared(folder)
    batch = loaded(folder).splits["train"].fetch(torch.tensor([3, 1]), seed=0, epoch=0)
    assert batch.steps == 360
    assert batch.inputs.shape == (1, 2, 360, 1)
    assert batch.targets.shape == (1, 2)
    assert batch.mask is None


def test_digests_and_fingerprint(folder):
    prepared(folder)
    prepared(folder, 40)
    paper, clean, short = loaded(folder, "paper"), loaded(folder, "clean"), loaded(folder, steps=40)
    assert paper.digests.keys() == paper.splits.keys()
    assert paper.digests["test"] == clean.digests["test"]
    assert len({*paper.digests.values(), *clean.digests.values(), *short.digests.values()}) == 4 + 2
    assert paper.fingerprint == clean.fingerprint != short.fingerprint
    # Changes only with the data set itself: every record carries it.
    assert paper.fingerprint == "005d1d569a7d6ad3ba085a372cb847ab9c2fa7008772ac4f54d0990a112caa91"


def test_last_bits_do_not_matter(folder, samples, tmp_path):
    noise = 1e-12 * np.random.default_rng(0).standard_normal(samples.inputs.shape)
    data = written(tmp_path, samples._replace(inputs=samples.inputs + noise))
    assert data.official
    assert data.fingerprint == loaded(folder).fingerprint
    assert data.digests == loaded(folder).digests


def changed_value(samples):
    samples.inputs[1234, 56] += 2e-6


def missing_value(samples):
    samples.inputs[0, 0] = np.nan


def changed_label(samples):
    samples.labels[4999] = (samples.labels[4999] + 1) % 10


def swapped_samples(samples):
    samples.inputs[[7, 8]] = samples.inputs[[8, 7]]


def shifted_sample(samples):
    samples.inputs[77] = np.roll(samples.inputs[77], 1)


@pytest.mark.parametrize("change", [changed_value, missing_value, changed_label, swapped_samples, shifted_sample])
def test_other_data_are_not_official(folder, samples, tmp_path, change):
    other = type(samples)(samples.inputs.copy(), samples.labels.copy())
    change(other)
    data = written(tmp_path, other)
    assert not data.official
    assert data.fingerprint != loaded(folder).fingerprint
    assert data.fingerprint == loaded(tmp_path).fingerprint


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def another_format(path):
    path.write_text("steps,label\n")


def a_bare_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def too_few_samples(path):
    np.savez(path, inputs=np.zeros((10, 360)), labels=np.zeros(10, np.int64))


def no_labels(path):
    np.savez(path, inputs=np.zeros((5000, 360)))


def pickled(path):
    np.savez(path, inputs=np.array([{}]), labels=np.zeros(1))


@pytest.mark.parametrize(
    "damage",
    [truncated, emptied, flipped, another_format, a_bare_array, too_few_samples, no_labels, pickled],
)
def test_damaged_files_are_told(folder, tmp_path, damage):
    path = tmp_path / "mnist1d-360.npz"
    path.write_bytes(prepared(folder).read_bytes())
    damage(path)
    with pytest.raises(GleBenchError) as caught:
        loaded(tmp_path)
    assert str(path) in str(caught.value)
    assert "delete it and run `glebench prepare mnist1d`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_data_are_told(tmp_path):
    path = tmp_path / "mnist1d-360.npz"
    path.mkdir()
    with pytest.raises(GleBenchError, match=r"Cannot read .*mnist1d-360\.npz: Is a directory"):
        loaded(tmp_path)


def test_missing_data_are_told(tmp_path):
    assert not TASK.is_prepared(tmp_path, MNIST1DOptions())
    with pytest.raises(GleBenchError, match="glebench prepare mnist1d") as caught:
        loaded(tmp_path)
    assert str(tmp_path / "mnist1d-360.npz") in str(caught.value)


@pytest.mark.parametrize("kind", IN_PLACE_OF_FILES)
def test_what_is_no_file_is_named_and_left(tmp_path, kind):
    path = tmp_path / "mnist1d-40.npz"
    put(kind, path)
    with deadline(), pytest.raises(GleBenchError, match=f"{path}.*{TROUBLE[kind][1]}"):
        TASK.prepare(tmp_path, MNIST1DOptions(steps=40), [].append)
    assert not path.is_file()


def test_prepare_makes_data_once(folder, tmp_path):
    options, lines = MNIST1DOptions(steps=40), []
    TASK.prepare(tmp_path, options, lines.append)
    assert len(lines) == 1
    assert "40 steps" in lines[0]
    assert TASK.is_prepared(tmp_path, options)
    assert [path.name for path in tmp_path.iterdir()] == ["mnist1d-40.npz"]
    before = (tmp_path / "mnist1d-40.npz").stat()
    TASK.prepare(tmp_path, options, lines.append)
    assert len(lines) == 1
    assert (tmp_path / "mnist1d-40.npz").stat() == before


def test_prepare_tells_when_a_generator_makes_other_data(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setitem(MODULE.GENERATOR, "seed", 43)
    TASK.prepare(tmp_path, MNIST1DOptions(steps=40), lines.append)
    assert "not count as official" in lines[-1]
    assert not loaded(tmp_path, steps=40).official


def test_generating_leaves_random_numbers_alone():
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    MODULE.generate(40)
    assert (random.random(), np.random.rand()) == expected


@pytest.mark.parametrize("steps", [50, 0, "many"])
def test_other_lengths_are_refused(steps):
    with pytest.raises(ValidationError, match="40, 72, 120, 360 or 400"):
        MNIST1DOptions(steps=steps)


def test_the_reference_stays_small():
    assert MODULE.REFERENCE.stat().st_size < 300_000


def test_published_numbers_belong_to_models():
    models = {pair.model for pair in registry.pairs() if pair.task == "mnist1d"}
    assert {published.model for published in TASK.published} <= models
    assert all(p.split == "test" and p.n == 10 and p.spread_kind == "population sd" for p in TASK.published)
    without = {p.model for p in TASK.published if p.margin is None}
    assert without == {"mlp", "tcn-table2"}  # their numbers are those of other networks
    cells = [(p.model, p.selection) for p in TASK.published]
    assert len(cells) == len(set(cells))
