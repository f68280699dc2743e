"""The house is in order: what is installed is what lies on disk, and the command line starts light."""

import importlib.util
import os
import subprocess
import sys
import tomllib

import pytest
from shared import ROOT

TOP_LEVEL = {"gle_bench": "gle_bench", **{name: f"gle_bench.{name}" for name in ("tasks", "baselines", "leaderboards")}}

COMMAND = """
import sys
from gle_bench.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *sys.modules)
"""
# What takes long to import, and is not needed to read: PyTorch alone takes a second.
HEAVY = {"pandas", "pytorch_lightning", "torch", "torchaudio", "wandb"}


def packages_on_disk() -> set[str]:
    return {
        ".".join([package, *init.parent.relative_to(ROOT / folder).parts])
        for folder, package in TOP_LEVEL.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }


def test_the_listed_packages_are_the_folders_on_disk() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == packages_on_disk()
    assert listed == sorted(set(listed))


@pytest.mark.parametrize("folder", TOP_LEVEL)
def test_imports_resolve_to_the_folders(folder: str) -> None:
    spec = importlib.util.find_spec(TOP_LEVEL[folder])
    assert spec is not None
    assert spec.origin == str(ROOT / folder / "__init__.py")


def test_scripts_are_executable() -> None:
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    assert all(os.access(path, os.X_OK) for path in [*scripts, ROOT / ".ci/run"])


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        ("--help", HEAVY | {"numpy", "scipy"}),
        ("list models", HEAVY | {"scipy"}),
        ("table mackey-glass", HEAVY | {"matplotlib"}),
        ("compare mnist1d gle-15k gru", HEAVY),
        ("suite table2 --dry-run", HEAVY | {"scipy"}),
    ],
)
def test_what_reads_loads_nothing_heavy(arguments: str, heavy: set[str]) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # without the toys
    command = [sys.executable, "-c", COMMAND, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert loaded[0] == "LOADED"
    assert not heavy & set(loaded)
