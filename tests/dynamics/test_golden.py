"""Tests of the golden trajectories, replayed by scripts/check_golden.py."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared import ROOT, shared_path

from gle_bench.dynamics.engines.choice import ENGINES

SCRIPT = ROOT / "scripts/check_golden.py"
ONE = "feedback_gamma_mse.npz"

spec = importlib.util.spec_from_file_location("check_golden", SCRIPT)
assert spec is not None
assert spec.loader is not None
check_golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_golden)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of one golden file."""
    shutil.copyfile(shared_path("golden") / ONE, tmp_path / ONE)
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The script in this process: exit code, output and errors."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(folder)])
    code = check_golden.main()
    said = capsys.readouterr()
    return code, said.out, said.err


def change(path: Path, array: str, by: float | None) -> None:
    """Adds to one value of an array, or drops the array."""
    with np.load(path) as file:
        arrays = dict(file)
    if by is None:
        del arrays[array]
    else:
        arrays[array].flat[-1] += by
    np.savez(path, **arrays)


def said_of(engine: str, out: str) -> list[str]:
    """The results in an engine's lines of output, without the names of file and engine."""
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    return [verdict for _, name, verdict in lines if name == engine]


@pytest.fixture(
    scope="module", params=[[], pytest.param(["--ensemble"], marks=pytest.mark.systems)], ids=["alone", "ensemble"]
)
def replayed(request: pytest.FixtureRequest) -> str:
    """The output of the script for all golden files."""
    command = [SCRIPT, shared_path("golden"), *request.param]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_golden_trajectories_are_reproduced(engine: Any, replayed: str) -> None:
    """Every engine that is present reproduces them, or says which it does not support."""
    verdicts = said_of(engine.name, replayed)
    assert len(verdicts) == len(list(shared_path("golden").glob("*.npz")))
    assert {verdict.split()[-1] for verdict in verdicts} <= {"ok", *(["unsupported"] if engine.name != "torch" else [])}
    assert any(verdict.endswith("ok") for verdict in verdicts)


def test_every_engine_has_a_line_a_file(replayed: str) -> None:
    files = sorted(path.name for path in shared_path("golden").glob("*.npz"))
    expected = [(name, engine) for name in files for engine in ENGINES]
    assert [tuple(line.split()[:2]) for line in replayed.splitlines()] == expected


def test_an_engine_that_is_absent_is_told_and_fails_nothing(copy: Path, monkeypatch, capsys) -> None:
    reasons = {"native": "it is not built here: there is no C++ compiler"}
    monkeypatch.setattr(check_golden.choice, "absence", reasons.get)
    code, out, _ = run(copy, monkeypatch, capsys)
    assert code == 0
    assert said_of("native", out) == ["absent: it is not built here: there is no C++ compiler"]
    assert said_of("torch", out)[0].endswith("ok")


def test_a_corrupted_file_fails_the_command(copy: Path) -> None:
    change(copy / ONE, "outputs", 1e-9)
    done = subprocess.run([SCRIPT, copy], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(ONE)


@pytest.mark.parametrize("array", ["outputs", *(f"{name}_final_1" for name in check_golden.COMPARED)])
@pytest.mark.parametrize("by", [1e-9, np.nan])
def test_every_deviation_is_found(copy: Path, array: str, by: float, monkeypatch, capsys) -> None:
    change(copy / ONE, array, by)
    code, out, _ = run(copy, monkeypatch, capsys)
    assert code == 1
    assert all(line.startswith(ONE) for line in out.splitlines())
    assert said_of("torch", out)[0].endswith("DEVIATES")
    assert not any(line.endswith("ok") for line in out.splitlines())


def test_a_file_without_its_final_states_does_not_pass(copy: Path, monkeypatch, capsys) -> None:
    change(copy / ONE, "r_final_1", None)
    code, out, _ = run(copy, monkeypatch, capsys)
    assert code == 1
    assert "unreadable: KeyError: 'r_final_1'" in out


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_an_unreadable_file_is_one_sentence(copy: Path, content: bytes | None, monkeypatch, capsys) -> None:
    whole = (copy / ONE).read_bytes()
    (copy / ONE).write_bytes(whole[: len(whole) // 2] if content is None else content)
    code, out, err = run(copy, monkeypatch, capsys)
    assert (code, err) == (1, "")
    assert all(line.startswith(f"{ONE} ") for line in out.splitlines())


def test_a_folder_without_golden_files(tmp_path: Path, monkeypatch, capsys) -> None:
    assert run(tmp_path, monkeypatch, capsys) == (1, "", f"No golden file (*.npz) in '{tmp_path}'.\n")
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path / "missing", monkeypatch, capsys)


RULES = "small_mse.npz"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with a copy of one file of golden gradients."""
    shutil.copyfile(shared_path("golden-rules") / RULES, tmp_path / RULES)
    return tmp_path


def test_all_golden_gradients_of_rules_are_reproduced(monkeypatch, capsys) -> None:
    """Every rule of every file, by `torch`; what another engine cannot run it says."""
    folder = shared_path("golden-rules")
    code, out, _ = run(folder, monkeypatch, capsys)
    assert code == 0
    counted = 0
    for path in folder.glob("*.npz"):
        with np.load(path) as file:
            counted += len(json.loads(str(file["meta"]))["rules"])
    assert len(said_of("torch", out)) == counted
    assert all(verdict.endswith(" ok") for verdict in said_of("torch", out))
    assert len(out.splitlines()) == counted * len(ENGINES)
    assert all(verdict.endswith(" ok") or "unsupported: " in verdict for verdict in said_of("native", out))


@pytest.mark.parametrize("array", ["bptt/tau_m_1", "instantaneous-trace-full/weight_0", "outputs"])
def test_a_gradient_that_differs_fails_the_command(array: str, rules: Path, monkeypatch, capsys) -> None:
    change(rules / RULES, array, 1e-6)
    code, out, _ = run(rules, monkeypatch, capsys)
    assert code == 1
    deviating = [verdict for verdict in said_of("torch", out) if verdict.endswith("DEVIATES")]
    concerned = out.count("small_mse.npz") // len(ENGINES) if array == "outputs" else 1
    assert len(deviating) == concerned
