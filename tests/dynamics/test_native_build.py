"""Tests of the build of the native engine: with a compiler, from the present sources, and with a reason if missing."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shared import ROOT

from gle_bench.dynamics.engines.native import build, library
from gle_bench.errors import GleBenchError, UsageError

HAS_COMPILER = any(map(shutil.which, library.COMPILERS))
with_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="there is no C++ compiler here")


@pytest.fixture(autouse=True)
def _nothing_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the native folder with its libraries."""
    return shutil.copytree(library.FOLDER, tmp_path / "gle_bench/dynamics/engines/native")


def libraries(folder: Path) -> list[Path]:
    return [variant.path for variant in library.variants(folder) if variant.path.exists()]


def why_none(folder: Path) -> str:
    """The reason why no library in that folder is loaded."""
    with pytest.raises(GleBenchError) as caught:
        library._load("", folder)
    return str(caught.value)


@with_compiler
def test_where_there_is_a_compiler_every_variant_is_built_and_the_fastest_is_loaded() -> None:
    """If this fails: run scripts/setup, and read .venv-setup.log."""
    names = build.variants(platform.machine())
    problems = {variant.name: variant.problem for variant in library.variants() if variant.name in names}
    assert set(problems.values()) <= {None, "this CPU cannot run it"}
    assert problems["portable"] is None
    assert library.load().variant == next(name for name, problem in problems.items() if problem is None)
    assert len({path.read_bytes() for path in libraries(library.FOLDER)}) == len(names)  # no object file is shared


@with_compiler
@pytest.mark.parametrize("name", ["src/engine.cpp", "build.py", "src/new.hpp"])
def test_a_library_of_other_sources_is_refused(copy: Path, name: str) -> None:
    assert library._load("", copy).path.parent == copy
    library._load.cache_clear()
    with (copy / name).open("a") as file:
        file.write("\n")
    assert "it was built from other sources than those that are here" in why_none(copy)
    assert "install glebench again" in why_none(copy)
    with pytest.raises(GleBenchError, match="GLEBENCH_NATIVE=portable: it was built from other sources"):
        library._load("portable", copy)


@with_compiler
def test_without_its_sources_a_library_is_taken_as_it_is(copy: Path) -> None:
    (copy / build.SOURCE).unlink()
    assert library._load("", copy).path.parent == copy


@with_compiler
def test_a_variant_or_a_path_can_be_forced(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "portable")
    assert library.load().variant == "portable"
    path = library._load("portable", copy).path
    monkeypatch.setenv(library.VARIABLE, str(path))
    assert library.load()[:2] == ("portable", path)


def test_it_can_be_switched_off_and_a_wrong_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "off")
    with pytest.raises(GleBenchError, match="GLEBENCH_NATIVE=off switches it off"):
        library.load()
    monkeypatch.setenv(library.VARIABLE, "avx")
    with pytest.raises(UsageError, match=r"GLEBENCH_NATIVE=avx: Unknown variant 'avx'\. Did you mean 'avx2'\?"):
        library.load()


@pytest.mark.parametrize("compiler", [None, "/usr/bin/c++"])
def test_the_cure_depends_on_whether_there_is_a_compiler(
    compiler: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.shutil, "which", lambda name: compiler)
    (tmp_path / "setup.py").touch()
    said = why_none(tmp_path / "gle_bench/dynamics/engines/native")
    assert said.startswith("it was not built" if compiler else "there is no C++ compiler; install g++")
    assert f"-m pip install -v -e {tmp_path}" in said
    monkeypatch.setattr(library.sys, "prefix", str(tmp_path / ".venv"))
    assert f"run {tmp_path}/scripts/setup" in why_none(tmp_path / "gle_bench/dynamics/engines/native")


def test_a_broken_library_is_told(copy: Path) -> None:
    for variant in build.VARIANTS:
        library._path(variant, copy).write_text("not a library")
    assert "it cannot be loaded" in why_none(copy)


def test_other_machines_build_the_portable_library_alone() -> None:
    assert build.variants("x86_64") == build.variants("AMD64") == ["avx512", "avx2", "portable"]
    assert build.variants("aarch64") == ["portable"]


def test_without_a_compiler_the_build_succeeds_and_leaves_no_library(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    native = tmp_path / "gle_bench/dynamics/engines/native"
    native.mkdir(parents=True)
    old = library._path("portable", native)
    old.write_text("of an earlier build")
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", tmp_path, "--build-temp", tmp_path / "objects"],
        cwd=ROOT,
        env=os.environ | {"CC": "/no/compiler", "CXX": "/no/compiler"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "/no/compiler" in done.stderr
    assert libraries(native) == []
