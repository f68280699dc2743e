"""Tests of the package: what is installed, what the command line imports, and where modules lie."""

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
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
print("LOADED", *sys.modules)
sys.exit(code)
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
    assert not heavy & modules_loaded(arguments)


@pytest.mark.parametrize("refused", ["--set epochs=x", "--set phi1=x", "--set nothing=1", "--rule x", "--seeds x"])
def test_what_is_refused_loads_nothing_heavy(refused: str) -> None:
    assert not HEAVY & modules_loaded(f"run mnist1d --model gle {refused}", code=2)


def test_completion_loads_nothing_heavy() -> None:
    asked = {"_GLEBENCH_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert not HEAVY & modules_loaded("", **asked, _TYPER_COMPLETE_ARGS="glebench run mnist1d --set ")


def modules_loaded(arguments: str, code: int = 0, **more: str) -> set[str]:
    """The names of all modules that a command has loaded when it ends with this exit code."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more  # without the toys
    command = [sys.executable, "-c", COMMAND, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert done.returncode == code, done.stderr
    marker, *loaded = done.stdout.splitlines()[-1].split()
    assert marker == "LOADED"
    return set(loaded)
