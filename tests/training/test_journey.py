"""Tests of the calls of one `glebench run`: each name is looked up once, and modules follow each other in order."""

import sys
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import toys

from gle_bench import registry
from gle_bench.cli import main
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.models.gle import GLENetwork

MOST_MODULES = 10


def run(monkeypatch: pytest.MonkeyPatch, runs: Path, model: str, *more: str) -> None:
    """The command `glebench run`, called in this process."""
    words = ["run", "toy-classes", "--model", model, "--engine", "torch", "--wandb", "off", "--runs", str(runs), *more]
    monkeypatch.setattr(sys, "argv", ["glebench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


@pytest.mark.parametrize("model", ["toy-gle", "toy-mlp", "toy-readout"])
@pytest.mark.parametrize("protocol", ["paper", "clean"])
def test_one_run_looks_up_each_name_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, protocol: str
) -> None:
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, what: str) -> None:
        plain: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            counts[what] += 1
            return plain(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(registry, "find", "pair")
    count(registry, "task", "task")
    count(registry, "rule", "rule")
    count(toys.ToyClasses, "load", "data")
    count(GLENetwork, "network", "network")
    for family in (toys.ToyPerceptron, toys.ToyTrace):
        count(family, "build", "network")
    run(monkeypatch, tmp_path, model, "--protocol", protocol, "--budget", "smoke")
    # Of an offline model, `clean` looks at the test split by modules of their own, with the last and the best weights.
    networks = 3 if protocol == "clean" and model != "toy-gle" else 1
    assert counts == {"pair": 1, "task": 1, "rule": 1, "data": 1, "network": networks}


def test_few_modules_lie_between_the_command_and_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is one contiguous block of the stack."""
    stacks: list[list[str]] = []
    learn = TorchEngine.learn

    def watched(*arguments: Any, **options: Any) -> Any:
        stacks.append([frame.f_globals["__name__"] for frame, _ in traceback.walk_stack(sys._getframe(1))][::-1])
        return learn(*arguments, **options)

    monkeypatch.setattr(TorchEngine, "learn", watched)
    run(monkeypatch, tmp_path, "toy-gle", "--budget", "smoke")
    ours = [name for name in stacks[0] if name.startswith("gle_bench.")]
    modules = [name for name, _ in groupby(ours[ours.index("gle_bench.cli.running") :])]
    assert modules[0] == "gle_bench.cli.running"
    assert modules[-1] == "gle_bench.training.modules.online"
    assert len(modules) <= MOST_MODULES
    assert len(modules) == len(set(modules)), modules
