"""Tests of `glebench doctor`, which finds faults, uses no network and creates no files."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gle_bench import doctor, plugins
from gle_bench.config import TaskOptions
from gle_bench.doctor import GIB, Check, as_json, as_text, diagnose
from gle_bench.dynamics.engines.native import library
from gle_bench.errors import GleBenchError


def named(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


@pytest.fixture(autouse=True)
def _without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("doctor asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_sound_installation_fails_nothing_and_stays_as_it_is(tmp_path: Path) -> None:
    checks = diagnose(tmp_path / "runs", tmp_path / "data" / "deep")
    assert not [check for check in checks if check.status == "fail"]
    engines = {f"engine {name}" for name in ("graph", "native", "torch")}
    assert engines | {"python", "torch", "lightning", "sound", "wandb", "runs", "data", "disk", "git"} <= {
        check.name for check in checks
    }
    assert "(will be made)" in named(checks, "runs").text
    assert not list(tmp_path.iterdir())


def test_text_and_json_hold_every_check(tmp_path: Path) -> None:
    checks = diagnose(tmp_path, tmp_path)
    assert [Check(**check) for check in json.loads(json.dumps(as_json(checks)))] == checks
    lines = as_text(checks).splitlines()
    assert len(lines) == len(checks)
    assert all(check.text in line and check.name in line for check, line in zip(checks, lines, strict=True))


def test_without_torchaudio_gsc_alone_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise GleBenchError("torchaudio is missing: pip install torchaudio.")

    monkeypatch.setattr("gle_bench.files.sound.torchaudio", missing)
    found = named(diagnose(tmp_path, tmp_path), "sound")
    assert found.status == "warn"
    assert "pip install torchaudio" in found.text


def test_it_needs_neither_lightning_nor_wandb_to_be_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gle_bench.doctor import diagnose;"
        f"diagnose(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}));"
        "assert not {'pytorch_lightning', 'wandb', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    assert named(diagnose(file, tmp_path), "runs").status == "fail"
    assert named(diagnose(tmp_path, file / "below"), "data").status == "fail"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    refused = named(diagnose(tmp_path / "runs", tmp_path), "runs")
    assert refused.status == "fail"
    assert str(tmp_path) in refused.text


def test_the_native_engine_is_named_or_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLEBENCH_NATIVE", "off")
    found = named(diagnose(tmp_path, tmp_path), "engine native")
    assert found.status == "warn"
    assert "GLEBENCH_NATIVE=off switches it off; unset it" in found.text
    path = tmp_path / "_portable.so"
    monkeypatch.setattr(library, "load", lambda: library.Library("portable", path, None))
    assert named(diagnose(tmp_path, tmp_path), "engine native") == Check("engine native", "ok", f"portable: {path}")


@pytest.mark.parametrize("gpu", [True, False])
def test_the_graph_engine_needs_a_gpu(gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    text = "on H200" if gpu else "there is no GPU: not used"
    assert named(diagnose(tmp_path, tmp_path), "engine graph") == Check("engine graph", "ok", text)


@pytest.mark.parametrize(("free", "status"), [(0, "fail"), (GIB, "warn"), (100 * GIB, "ok")])
def test_disk_space(free: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert named(diagnose(tmp_path, tmp_path), "disk").status == status


@pytest.mark.parametrize("content", [None, "machine api.wandb.ai login user password 0123", "machine ("])
def test_wandb_is_logged_in_or_not(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if content is not None:
        (tmp_path / "netrc").write_text(content)
        (tmp_path / "netrc").chmod(0o600)
    found = named(diagnose(tmp_path, tmp_path), "wandb")
    assert found.status == "ok"
    assert ("; logged in" in found.text) == bool(content and "0123" in content)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert "; logged in" in named(diagnose(tmp_path, tmp_path), "wandb").text


def test_a_broken_plugin_is_named_and_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "rules": (EntryPoint("sound", "gle_bench.rules.gle:GLE", "glebench.rules"),),
        "tasks": (EntryPoint("broken", "no_such_module:Task", "glebench.tasks"),),
    }
    monkeypatch.setattr(plugins, "offered", lambda kind: points.get(kind, ()))
    checks = diagnose(tmp_path, tmp_path)
    assert named(checks, "plugin rules sound").status == "ok"
    assert named(checks, "plugin tasks broken").status == "fail"
    assert "no_such_module" in named(checks, "plugin tasks broken").text
    assert named(checks, "task broken").status == "fail"
    assert named(checks, "git").status != "fail"


def test_a_missing_package_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", missing)
    found = named(diagnose(tmp_path, tmp_path), "lightning")
    assert (found.status, found.text) == ("fail", "missing: pip install pytorch-lightning")


@pytest.mark.parametrize(
    ("is_prepared", "text"),
    [
        (lambda steps: True, "data prepared"),
        (lambda steps: steps == 40, "data prepared for 1 of 5 variants"),
        (lambda steps: False, "data not prepared"),
    ],
)
def test_which_data_are_prepared(
    is_prepared: Callable[[int], bool], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(self: Any, folder: Path, options: TaskOptions) -> bool:
        assert folder == tmp_path / "mnist1d"
        steps = options.model_dump()["steps"]
        return is_prepared(steps)

    monkeypatch.setattr(type(doctor.registry.task("mnist1d")), "is_prepared", asked)
    assert named(diagnose(tmp_path, tmp_path), "task mnist1d").text.startswith(text)
