"""Tests that each example package is installed and found, and the task is run; test_wheel.py runs all of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import glebench
from shared import ROOT

EXAMPLES = {"rule": ("rules", "sign-gle"), "task": ("tasks", "pitch"), "baseline": ("models", "leaky-rnn")}


def installed(example: str, folder: Path) -> str:
    """A folder for PYTHONPATH with an installed copy of an example, since a build leaves files in its source."""
    source = shutil.copytree(ROOT / "examples" / example, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", folder / "site", source], check=True, capture_output=True)
    return str(folder / "site")


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_installed_example_is_found_by_its_name(tmp_path: Path, example: str) -> None:
    kind, name = EXAMPLES[example]
    listed = glebench("list", kind, PYTHONPATH=installed(example, tmp_path))
    assert (listed.code, listed.err) == (0, "")
    assert name in listed.out.split()


def test_the_task_of_the_example_is_run(tmp_path: Path) -> None:
    site = installed("task", tmp_path)
    words = ("run", "pitch", "--model", "mlp", "--budget", "short", "--wandb", "off", "--runs", tmp_path / "runs")
    assert glebench(*words, PYTHONPATH=site).code == 0
    (record,) = (tmp_path / "runs").glob("**/record.json")
    assert json.loads(record.read_text())["metrics"]["last"]["test"]["accuracy"]["value"] > 90
