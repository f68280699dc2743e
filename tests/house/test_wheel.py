"""Tests of the sdist and the wheel, which hold all that is needed: glebench runs from the wheel alone.

A fresh environment downloads nothing, which would take minutes for PyTorch alone. It has links to the
distributions that glebench requires, as they are installed for the developers, and sees neither the developers' tools
nor the checkout.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from shared import ROOT

from gle_bench import __version__
from gle_bench.dynamics.engines.native import build, library

pytestmark = pytest.mark.systems
NATIVE = "gle_bench/dynamics/engines/native"
LIBRARIES = [f"{NATIVE}/_{variant}{build.SUFFIX}" for variant in build.variants(platform.machine())]
INSTALLED = {"gle_bench": "gle_bench", **{name: f"gle_bench/{name}" for name in ("baselines", "leaderboards", "tasks")}}
LOADED = """
import gle_bench, gle_bench.baselines.tcn, gle_bench.leaderboards, gle_bench.tasks.gsc, json, sys
print(json.dumps([module.__file__ for name, module in sys.modules.items() if name.startswith("gle_bench")]))
"""
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, library.COMPILERS)), reason="no C++ compiler here")


class Environment(NamedTuple):
    """A fresh environment, and a folder outside any checkout to run in."""

    python: Path
    folder: Path

    def run(self, *command: str) -> str:
        """The output of a program of the environment, run without any variables of glebench."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("GLEBENCH", "PYTHON"))}
        home = {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}
        return said([self.python.with_name(command[0]), *command[1:]], cwd=self.folder, env=variables | home)

    def install(self, source: Path, *options: str, **variables: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.python]
        said([*pip, "install", "--no-index", "--no-deps", *options, source], env=os.environ | variables)


def said(command: list[str | Path], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tracked() -> list[str]:
    return said(["git", "-C", ROOT, "ls-files", "-z"]).split("\0")[:-1]


def requirements(requirement: Requirement, names: set[str]) -> set[str]:
    """The names of a distribution and of all that it requires, at any depth."""
    names.add(requirement.name)
    for other in map(Requirement, distribution(requirement.name).requires or ()):
        marker, extras = other.marker, ("", *requirement.extras)
        if other.name not in names and (marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)):
            requirements(other, names)
    return names


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean tree: the files that git tracks, with their present content, and nothing that was built."""
    folder = tmp_path_factory.mktemp("clean") / "tree"
    for name in tracked():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(tree: Path) -> tuple[Path, Path]:
    """The paths of the sdist, and of the wheel that is built from it."""
    folder = tree.parent / "dist"
    said([sys.executable, "-m", "build", "--outdir", folder, tree])
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with all that glebench requires, but without glebench."""
    python = tmp_path / "venv/bin/python"
    said([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"])
    links, home = tmp_path / "requirements", tmp_path / "home"
    links.mkdir()
    home.mkdir()
    link(links, requirements(Requirement("glebench"), set()) - {"glebench"})
    site = said([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    Path(site, "requirements.pth").write_text(f"{links}\n")
    return Environment(python, home)


def link(folder: Path, names: set[str]) -> None:
    """Fills a folder with links to the files of distributions."""
    for name in names:
        files = distribution(name)
        for top in {file.parts[0] for file in files.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(files.locate_file(top)))


def test_the_sdist_holds_what_a_build_needs_and_what_is_installed(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {name for name in tracked() if name.partition("/")[0] in INSTALLED}
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", *needed} <= names


@needs_compiler
def test_the_wheel_holds_the_package_and_the_libraries_and_is_for_every_python(built: tuple[Path, Path]) -> None:
    wheel = built[1]
    assert wheel.name.startswith(f"glebench-{__version__}-py3-none-{sys.platform}_{platform.machine()}")
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    parts = [name.partition("/") for name in tracked()]
    package = [f"{INSTALLED[top]}/{rest}" for top, _, rest in parts if top in INSTALLED]
    assert sorted(names) == sorted(package + LIBRARIES)


@needs_compiler
def test_glebench_runs_from_the_wheel(built: tuple[Path, Path], environment: Environment) -> None:
    environment.install(built[1])
    files = json.loads(environment.run("python", "-c", LOADED))
    assert len(files) >= 4
    assert all(Path(file).is_relative_to(environment.python.parents[1]) for file in files)

    environment.run("glebench", "run", "mnist1d", "--model", "gle", "--budget", "smoke", "--wandb", "off")
    (record,) = environment.folder.glob("runs/mnist1d/**/record.json")
    content = json.loads(record.read_text())
    assert (content["status"], content["environment"]["engine"]) == ("done", "native")
    libraries = environment.python.parents[1].rglob("_*.so")
    assert any(f": {path}" in environment.run("glebench", "doctor") for path in libraries)
    assert "gle-15k" in environment.run("glebench", "table", "2")
    tasks = environment.run("glebench", "list", "tasks").splitlines()[1:]
    assert {line.split()[0] for line in tasks} == {
        *("chain", "cifar10", "gsc"),
        *("mackey-glass", "mnist1d", "small-nets"),
    }


def test_offline_and_without_a_compiler_it_is_installed_without_the_native_engine(
    tree: Path, environment: Environment
) -> None:
    environment.install(tree, "--no-build-isolation", CC="/no/compiler", CXX="/no/compiler")
    assert not list(environment.python.parents[1].rglob("_*.so"))
    (wheel,) = environment.python.parents[1].rglob("glebench-*.dist-info/WHEEL")
    assert "Tag: py3-none-any\n" in wheel.read_text()
    doctor = environment.run("glebench", "doctor").splitlines()
    (native,) = [line for line in doctor if "engine native" in line]
    assert native.startswith("warn")
    assert "install glebench again" in native


def test_the_examples_run_and_keep_their_contracts_beside_the_wheel(
    built: tuple[Path, Path], tree: Path, environment: Environment
) -> None:
    environment.install(built[1])
    runs = {"rule": "mnist1d --model gle-15k --rule sign-gle", "task": "pitch --model gle"}
    runs["baseline"] = "mnist1d --model leaky-rnn"
    for example, arguments in runs.items():
        environment.install(tree / "examples" / example, "--no-build-isolation")
        environment.run("glebench", "run", *arguments.split(), "--budget", "smoke", "--wandb", "off")
    records = [json.loads(path.read_text()) for path in environment.folder.glob("runs/**/record.json")]
    assert sorted(record["status"] for record in records) == ["done"] * 3

    with pytest.raises(AssertionError, match="pytest, which is missing: pip install pytest"):
        environment.run("python", "-m", "gle_bench.testing")
    link(environment.python.parents[2] / "requirements", requirements(Requirement("pytest"), set()))
    for name in ("sign-gle", "pitch", "leaky-rnn", "gsc"):
        tested = environment.run("python", "-m", "pytest", "--pyargs", "gle_bench.testing", "-k", name, "-rs")
        assert " passed" in tested
        assert ("get them with: glebench prepare gsc" in tested) == (name == "gsc")
