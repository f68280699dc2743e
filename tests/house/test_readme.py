"""Tests that the README is short, and that its examples run and its commands parse."""

import re
import shlex
import sys

import pytest
import torch
import typer
from shared import ROOT

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.cli import app
from gle_bench.config import parse_seeds
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.window import Window

README = ROOT / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    lines = [line.partition("#")[0] for block in blocks("bash") for line in block.splitlines()]
    lines += re.findall(r"`(glebench [^`]+)`", README.read_text().replace("\n", " "))
    return [
        list(words) for words in dict.fromkeys(tuple(shlex.split(line)[1:]) for line in lines if "glebench" in line)
    ]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one_that_the_command_line_takes(words):
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    parsed = command.make_context("glebench", list(words[1:])).params
    if words[0] == "run" and parsed["rule"] is None:
        pair = resolve(parsed["task"], parsed["model"], None, "paper", "short", parsed["set_"] or ()).pair
        assert parse_seeds(parsed["seeds"], pair.seeds)


def test_the_rule_of_the_example_learns(tmp_path, monkeypatch):
    (example,) = blocks("python")
    (entry,) = re.findall(r'"(\w+):(\w+)"', *blocks("toml"))
    (tmp_path / f"{entry[0]}.py").write_text(example)
    monkeypatch.syspath_prepend(str(tmp_path))
    rule = getattr(__import__(entry[0]), entry[1])()
    del sys.modules[entry[0]]
    model = registry.pair("mnist1d", "gle-15k").configure("smoke").network
    network = model.network(registry.task("mnist1d").shape(registry.task("mnist1d").options()), "ce")
    optimizer = Optimizer("sgd")
    carry = start(network, model.initialise(network, 0), optimizer, 2)
    target = torch.eye(10)[None, :2, None]
    window = Window(20, torch.randn(1, 2, 20, 1), target, None)
    after, _ = TorchEngine().learn(network, rule, optimizer, carry, window, torch.tensor([1e-3]))
    moved = (after.parameters[-1].bias - carry.parameters[-1].bias).abs()
    steps = moved / 1e-3
    assert rule.engines == {"torch"}  # others would run what it is derived from
    assert moved.max() > 0
    assert torch.allclose(steps, steps.round(), atol=1e-2)  # whole numbers of signs


def test_the_readme_stays_short():
    assert len(README.read_text().splitlines()) < 150


def test_the_readme_s_table_is_the_measured_one() -> None:
    """The table has the full runs of the first table of MNIST-1D's leaderboard, copied by `scripts/publish`."""
    board = (README.parent / "leaderboards" / "mnist1d.md").read_text()
    measured = next(block for block in board.split("\n\n") if block.startswith("| model "))
    tables = [block for block in README.read_text().split("\n\n") if block.startswith("| model ")]
    assert tables == ["\n".join(line for line in measured.splitlines() if "[budget " not in line)]
