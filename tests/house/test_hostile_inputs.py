"""Tests of hostile settings, suites, data and credentials, each of which must give one sentence at once."""

import io
import os
import random
import re
import stat
import tarfile
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import glebench, together

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.config import parse_seeds
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.files.content import identify
from gle_bench.files.sound import read_wav
from gle_bench.files.tree import Stamp, stamp
from gle_bench.files.unpack import unpack
from gle_bench.recipes.mackey_glass import MackeyGlassOptions
from gle_bench.recipes.mnist1d import MNIST1DOptions
from gle_bench.suites.file import from_file
from gle_bench.tracking.wandb_mirror import has_credentials

DEEP, LONG = 50_000, "9" * 5000
VALUES = ["[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP, LONG, f"-{LONG}", f"[{LONG}]", f"1e{LONG}", "1e999",
          "NaN", '"\\ud800"', "[1e308]", "9" * 300, "-0.0", "null", "{}", "[]", "\x00"]  # fmt: skip
KEYS = ["epochs", "batches", "rate", "batch_size", "options", "network", "training", "schedule", "precision", "steps"]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_no_setting_gives_another_error(value: str) -> None:
    for task, model, keys in (
        ("mnist1d", "mlp-0", KEYS),
        ("mackey-glass", "gle", ["delays", "horizon", "forced", "washout"]),
    ):
        for key in keys:
            try:
                resolve(task, model, None, "paper", "smoke", [f"{key}={value}"])
            except GleBenchError as error:
                assert re.fullmatch(r"[^\n]{1,1000}", str(error))  # noqa: PT017


@pytest.mark.parametrize(
    "seeds", [LONG, f"0-{LONG}", f"{LONG}-{LONG}", "0," * 20 + LONG, "[" * DEEP, "\u0663", "0-\u0663"]
)
def test_no_seeds_give_another_error(seeds: str) -> None:
    with pytest.raises(UsageError, match=r"\A[^\n]{1,1000}\Z"):
        parse_seeds(seeds, [0])


@pytest.mark.parametrize(
    "content",
    [f"a = {'[' * DEEP}", f"run = {'[' * DEEP}{']' * DEEP}", f"a = {LONG}", f"[[run]]\ntask = {LONG}",
     "run = 1\nrun = 2", "",
     "[[run]]\ntask='mnist1d'\nmodel='mlp-0'\nset=['" + "[" * DEEP + "']",
     f"[[run]]\ntask='mnist1d'\nmodel='mlp-0'\nset=['rate={LONG}']",
     f"[[run]]\ntask='mnist1d'\nmodel='mlp-0'\nseeds='{LONG}'"],
    ids=range(9),
)  # fmt: skip
def test_no_suite_gives_another_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(content)
    finished = glebench("suite", path, "--dry-run", "--runs", tmp_path)
    assert finished.code == 2
    assert len(finished.told) < 1500


def test_a_suite_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_bytes(b"\xef\xbb\xbf[[run]]\ntask = 'mnist1d'\nmodel = 'mlp-0'\n")
    assert len(from_file(path).entries) == 1


def loads(task: str, options: Any, folder: Path) -> Callable[[], object]:
    return lambda: registry.task(task).load(folder, options, "paper", 0)


def made(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    return np.zeros(shape, dtype)


def test_no_mutated_cache_gives_another_error(tmp_path: Path) -> None:
    path, options = tmp_path / "mnist1d-40.npz", MNIST1DOptions(steps=40)
    np.savez(path, inputs=made((5000, 40)), labels=made((5000,), np.int64))
    whole, load, draw = path.read_bytes(), loads("mnist1d", options, tmp_path), random.Random(0)
    load()
    headers = [m.start() for m in re.finditer(b"PK|NUMPY|descr|shape", whole)]
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            place = min(len(content) - 1, draw.choice(headers) + draw.randrange(60))
            content[place : place + 1] = draw.randbytes(draw.choice([0, 1, 1, 1, 2]))
        path.write_bytes(content)
        try:
            load()
        except GleBenchError as error:
            assert re.fullmatch(r"\S+ is damaged \([^\n]+\); delete it and run [^\n]+\.", str(error))  # noqa: PT017


@pytest.mark.parametrize(
    "arrays",
    [
        {"inputs": made((5000, 40))},
        {"inputs": made((40, 5000)), "labels": made((5000,), np.int64)},
        {"inputs": made((5000, 40), np.complex128), "labels": made((5000,), np.int64)},
        {"inputs": made((5000, 40)), "labels": made((5000,))},
        {"inputs": made((5000, 40)), "labels": np.full(5000, 10)},
        {"inputs": made((5000, 40)), "labels": np.full(5000, -1)},
        {"inputs": made((5000, 40)), "labels": np.array([None] * 5000)},
    ],
    ids=range(7),
)
def test_a_cache_of_another_shape_is_a_sentence(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "mnist1d-40.npz", **arrays)
    with pytest.raises(GleBenchError, match=r"\A[^\n]+mnist1d-40\.npz is damaged \([^\n]+\); delete it [^\n]+\.\Z"):
        loads("mnist1d", MNIST1DOptions(steps=40), tmp_path)()


def test_no_mutated_series_gives_another_error(tmp_path: Path) -> None:
    file, draw = io.BytesIO(), random.Random(1)
    np.save(file, np.sin(np.arange(3751.0)))
    whole, load = file.getvalue(), loads("mackey-glass", MackeyGlassOptions(grid="neurobench", delays=(0.0,)), tmp_path)
    for number in range(200):
        content = bytearray(whole)
        place = draw.randrange(130)
        content[place : place + 1] = draw.randbytes(draw.choice([0, 1, 1, 2]))
        (tmp_path / "mg_17.npy").write_bytes(content if number else whole)
        try:
            load()
        except GleBenchError as error:
            assert number
            assert re.fullmatch(r"[^\n]+mg_17\.npy[^\n]+\.", str(error))  # noqa: PT017


def stamped(folder: Path) -> dict[str, Stamp]:
    return {path.name: stamp(path) for path in folder.iterdir()}


def test_no_special_file_in_the_place_of_data_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {
        "mnist1d/mnist1d-40.npz": loads("mnist1d", MNIST1DOptions(steps=40), tmp_path / "mnist1d"),
        "mackey-glass/mg_17.npy": loads("mackey-glass", MackeyGlassOptions(), tmp_path / "mackey-glass"),
        "cifar10/cifar-10-batches-py/batches.meta": lambda: registry.task("cifar10").load(
            tmp_path / "cifar10", registry.task("cifar10").options(), "paper", 0
        ),
        "sound.wav": lambda: read_wav(tmp_path / "sound.wav", 16_000),
        "tree/file": lambda: identify(tmp_path / "tree", stamped(tmp_path / "tree"), tmp_path / "note.json"),
        "suite.toml": lambda: from_file(tmp_path / "suite.toml"),
    }
    for name, read in places.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)
        with pytest.raises(GleBenchError, match=r"\A[^\n]+\.\Z"):
            read()
    (tmp_path / "tree" / "file").unlink()
    os.mkfifo(tmp_path / "note.json")
    identify(tmp_path / "tree", stamped(tmp_path / "tree"), tmp_path / "note.json")
    os.mkfifo(tmp_path / "netrc")
    for variable in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not has_credentials(["api.wandb.ai"])


@pytest.mark.parametrize(
    "note", [b"", b"[]", b"null", b"[" * DEEP, b'{"digest": 1, "listing": 2, "source": 3}', b"\xff", b"{}"]
)
def test_a_note_on_data_that_is_none_is_made_anew(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content")
    fresh = identify(tmp_path / "tree", stamped(tmp_path / "tree"), tmp_path / "one.json")
    (tmp_path / "two.json").write_bytes(note)
    assert identify(tmp_path / "tree", stamped(tmp_path / "tree"), tmp_path / "two.json") == fresh
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def test_sounds_are_read_from_what_was_opened(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.arange(100, dtype="<i2").tobytes())
    assert read_wav(tmp_path / "sound.wav", 16_000).tolist() == list(range(100))
    os.truncate(tmp_path / "sound.wav", 1 << 40)
    with pytest.raises(GleBenchError, match="more than 268,435,456 bytes"):
        read_wav(tmp_path / "sound.wav", 16_000)


def test_no_archive_of_a_thousand_members_takes_long(tmp_path: Path) -> None:
    path = tmp_path / "mnist1d-40.npz"
    with zipfile.ZipFile(path, "w") as made_of:
        for number in range(1000):
            made_of.writestr(f"{number}.npy", b"x")
    with pytest.raises(GleBenchError, match="it holds no array 'inputs'"):
        loads("mnist1d", MNIST1DOptions(steps=40), tmp_path)()


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_what_is_unpacked_is_readable_for_whom_the_umask_lets(tmp_path: Path, mask: int) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        for name, mode in (("folder", 0o755), ("folder/file", 0o444)):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE if name == "folder" else tarfile.REGTYPE, mode
            tar.addfile(member)
    before = os.umask(mask)
    try:
        unpack(tmp_path / "some.tar", tmp_path / "new", lambda _: None, lambda _: None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "folder").stat().st_mode) == 0o777 & ~mask
    assert stat.S_IMODE((tmp_path / "new" / "folder" / "file").stat().st_mode) == 0o666 & ~mask


def test_commands_say_one_sentence(tmp_path: Path) -> None:
    words = ("run", "mnist1d", "--model", "mlp-0", "--dry-run", "--runs", tmp_path, "--data", tmp_path)
    value = "[" * DEEP
    commands = [(*words, "--set", f"rate={value}"), (*words, "--set", f"rate={LONG}"), (*words, "--seeds", LONG)]
    for finished in together(commands):
        assert finished.code == 2
        assert len(finished.told) < 1000
