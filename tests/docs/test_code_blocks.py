"""Tests of all code blocks in the README and the documentation, which are run, or only parsed if they take minutes."""

import importlib.util
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from code_blocks import DOCUMENTS, SPHINX, Block, Command, blocks, commands, fences, inline_commands, install
from command import glebench
from packaging.requirements import Requirement
from shared import ROOT

from gle_bench import registry
from gle_bench.cli import app

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
COMMANDS = list(
    {
        str(command): command
        for block in BLOCKS
        if block.language in ("bash", "console")
        for command in commands(block)
    }.values()
)
INLINE = [command for document in DOCUMENTS for command in inline_commands(document)]
GROUP: Any = typer.main.get_command(app)
READING = {"compare", "doctor", "figure", "list", "plot", "show", "table"}  # what reads records, in seconds
PARSED = {"bench", "prepare"}  # what takes minutes or the network, and has no --dry-run
PROGRAMS = ("glebench", "scripts/", ".ci/", ".venv/", "pip ", "pytest", "python", "git ", "cd ")


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_block_is_of_a_language_that_is_tested(document: Path) -> None:
    """Blocks without a language show text; directives in braces are built with the documentation."""
    assert fences(document) == 2 * len(blocks(document))
    for block in blocks(document):
        assert block.language in ("bash", "console", "python", "toml", "text", "") or block.language[0] == "{", block
        if block.language in ("text", ""):
            assert not [line for line in block.text.splitlines() if line.startswith(PROGRAMS)], block


@pytest.mark.parametrize("block", of("toml"), ids=place)
def test_toml_is_valid(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", of("python"), ids=place)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(block.document, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / (block.file or "block.py")
    path.write_text(block.text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_works(command: Command, tmp_path: Path, data: Path) -> None:
    program = command.words[0].removeprefix(".venv/bin/")
    known = {"glebench": _glebench, "scripts/glebench": _glebench, **CHECKS}
    assert program in known, f"{command}: no test knows this program"
    known[program](command, tmp_path, data)


@pytest.mark.parametrize("command", INLINE, ids=str)
def test_every_command_in_the_text_is_one_that_the_command_line_takes(
    command: Command, tmp_path: Path, data: Path
) -> None:
    """Runs are tried with --dry-run; other commands, and runs of the placeholder TASK, are parsed."""
    name, *words = command.words[1:]
    assert name in GROUP.commands
    if not words:  # no command line, but the command's name
        return
    parsed = GROUP.commands[name].make_context(name, list(words)).params
    if name == "run" and parsed["task"].islower():
        _glebench(command, tmp_path, data)


def _glebench(command: Command, folder: Path, data: Path) -> None:
    """Runs a command that takes seconds, else runs it with --dry-run, or parses it if it has no --dry-run."""
    name, *words = command.words[1:]
    taken = {option for parameter in GROUP.commands[name].params for option in parameter.opts}
    parsed = GROUP.commands[name].make_context(name, list(words)).params
    if name in PARSED:
        return
    assert name in READING or "--dry-run" in taken, f"{command}: no test knows how to run this without training"
    runs = "smoke" in words  # which takes seconds
    added: dict[str, list[object]] = {"--runs": [folder / "runs"], "--data": [data], "--wandb": ["off"]}
    if name == "run" and parsed["task"] in registry.TASKS and registry.task(parsed["task"]).downloads:
        added |= {"--offline": [], "--accept-data": []}  # `data` has small ones in the place of what is downloaded
    added |= {"--out": [folder / "figure.png"]} if name == "figure" else {}
    added |= {} if runs else {"--dry-run": []}
    for option, values in added.items():
        if option in taken and option not in words:
            words += [option, *map(str, values)]
    (folder / "installed").mkdir()
    install(command.document, folder / "installed")
    done = glebench(name, *words, PYTHONPATH=str(folder / "installed"))
    assert done.code == 0, done.err
    assert done.out


def _script(command: Command, folder: Path, data: Path) -> None:
    """Checks that a bash script is valid and accepts its arguments."""
    script = ROOT / command.words[0]
    subprocess.run(["bash", "-n", script], check=True)
    assert not [word for word in command.words[1:] if word not in script.read_text()]


def _torture(command: Command, folder: Path, data: Path) -> None:
    """Checks that the torture suite's parser accepts the arguments; --count 0 runs no trials."""
    words = [
        sys.executable,
        "-P",
        "-c",
        f"from torture.__main__ import _parser; _parser().parse_args({command.words[1:]})",
    ]
    done = subprocess.run(words, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}/scripts"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _step(command: Command, folder: Path, data: Path) -> None:
    """Checks that a command is a step of scripts/test, or the same tool correcting files."""
    steps = [line.split()[1:] for line in (ROOT / "scripts" / "test").read_text().splitlines() if "step " in line]
    words = [command.words[0].removeprefix(".venv/bin/"), *command.words[1:]]
    assert words in [[word for word in step if word != "--check"] for step in steps]


def _pytest(command: Command, folder: Path, data: Path) -> None:
    (folder / "installed").mkdir()
    install(command.document, folder / "installed")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        *command.words[1:],
    ]
    environment = {"PYTHONPATH": str(folder / "installed"), "HOME": str(folder)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _sphinx(command: Command, folder: Path, data: Path) -> None:
    assert command.words[1:] == (*SPHINX, "docs", "build/docs")  # which test_documentation runs


def _pip(command: Command, folder: Path, data: Path) -> None:
    """Checks that folders to install hold projects, and that requirements and extras exist."""
    action, *words = command.words[1:]
    assert action == "install"
    install(command.document, folder)
    for word in words:
        if word in ("-e", "--editable"):
            continue
        place, _, extras = word.rstrip("]").partition("[") if word.startswith(".") else ("", "", "")
        if not place:
            requirement = Requirement(word)
            assert requirement.name in ("glebench", "pytest"), f"{command}: installs a package that is not ours"
        own = place == "." and (folder / "pyproject.toml").exists()  # the document shows the project itself
        project = tomllib.loads(((folder if own else ROOT / place) / "pyproject.toml").read_text())["project"]
        named = set(filter(None, extras.split(","))) if place else requirement.extras
        assert named <= set(project.get("optional-dependencies", {}))


def _help(command: Command, folder: Path, data: Path) -> None:
    words = [str(Path(sysconfig.get_path("scripts")) / Path(command.words[0]).name), *command.words[1:], "--help"]
    assert subprocess.run(words, capture_output=True).returncode == 0, shlex.join(words)


CHECKS: dict[str, Callable[[Command, Path, Path], None]] = {
    "scripts/setup": _script,
    "scripts/test": _script,
    "scripts/torture/run": _torture,
    "ruff": _step,
    "mypy": _step,
    "lint-imports": _step,
    "pytest": _pytest,
    "sphinx-build": _sphinx,
    "pip": _pip,
    "pre-commit": _help,
}
