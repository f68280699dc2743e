"""The golden trajectories, replayed by the command that anyone can run."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shared import shared_path

SCRIPT = Path(__file__).parents[1] / "scripts/check_golden.py"
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


@pytest.mark.parametrize("options", [[], ["--ensemble"]])
def test_all_golden_trajectories_are_reproduced(options: list[str]) -> None:
    folder = shared_path("golden")
    done = subprocess.run([SCRIPT, folder, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for path in folder.glob("*.npz"):
        assert [line.split()[-1] for line in lines if line.startswith(f"{path.name} ") and " torch " in line] == ["ok"]


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
    assert all(line.startswith(ONE) and line.endswith("DEVIATES") for line in out.splitlines())


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
