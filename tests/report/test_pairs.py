"""Tests of `glebench list pairs`: every task with every model, as a pair or with the reason why there is none."""

import json
from functools import cache
from typing import Any

import pytest
from command import together

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.contracts.parameters import counted, parameter_count
from gle_bench.errors import UsageError
from gle_bench.words import BUDGETS

GRID, EVERY, JSON, TASK, WRONG = (
    ["list", "pairs"],
    ["list", "pairs", "--all"],
    ["list", "pairs", "--json"],
    ["list", "pairs", "mnist1d"],
    ["list", "rules", "mnist1d"],
)


@cache
def printed() -> list[Any]:
    return together([GRID, EVERY, JSON, TASK, WRONG])


def rows() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(printed()[2].out)
    return listed


def small(config: RunConfig) -> RunConfig:
    """The configuration with a reservoir of a few neurons, whose eigenvalues take no time."""
    few = {"neurons": 20, "connect_prob": 1.0} if hasattr(config.network, "neurons") else {}
    return config.model_copy(update={"network": config.network.model_copy(update=few)})


def test_every_task_and_model_is_one_row_with_a_pair_or_a_reason() -> None:
    names = [(row["task"], row["model"]) for row in rows()]
    assert len(names) == len(set(names))
    assert {pair.task for pair in registry.pairs()} <= {task for task, _ in names}
    of_pairs = {(row["task"], row["model"]) for row in rows() if row["status"] == "pair"}
    assert {(pair.task, pair.model) for pair in registry.pairs()} <= of_pairs
    for row in rows():
        numbers = [row[name] for name in ("parameters", "steps", "inputs", "rule")]
        if row["status"] == "pair":
            assert None not in numbers
            assert row["reason"] is None
            assert row["seconds"].keys() == set(BUDGETS)
        else:
            assert row["reason"]
            assert (row["status"] == "no recipe") == (row["reason"] == registry.NO_RECIPE)


def test_the_tables_have_the_numbers_of_the_json() -> None:
    grid, every, _, task, _ = (each.out.splitlines() for each in printed())
    head, *lines = (line.split() for line in grid)
    cells = {
        (name.lower(), line[0]): cell
        for line in lines[: lines.index([])]
        for name, cell in zip(head[1:], line[1:], strict=True)
    }
    for row in rows():
        shown = (
            f"{row['parameters']:,}" if row["status"] == "pair" else {"refused": "x", "no recipe": "-"}[row["status"]]
        )
        assert cells[row["task"], row["model"]] == shown
        if row["status"] == "pair":
            words = [row["task"], row["model"], shown, str(row["steps"]), str(row["inputs"]), row["rule"]]
            assert sum(line.split()[:6] == words for line in every) == 1
            assert sum(line.split()[:5] == words[1:] for line in task) == (row["task"] == "mnist1d")
    ours = [line for line in every + task if "toy" not in line]
    assert max(map(len, ours)) <= 100


def test_a_task_is_for_pairs_only() -> None:
    assert printed()[4].code == 2
    assert "takes no TASK" in printed()[4].told


def test_declared_refusals_are_of_models_that_there_are_and_of_no_pair() -> None:
    pairs = {(pair.task, pair.model) for pair in registry.pairs()}
    for module in {*registry.MODELS.values()}:
        for entry in getattr(registry.load(module), "REFUSED", ()):
            assert set(entry.models) <= {model for _, model in pairs}
            assert set(entry.tasks or ()) <= registry.TASKS.keys()
            assert not pairs & {(task, model) for task in entry.tasks or () for model in entry.models}


def test_the_reason_is_told_when_such_a_run_is_asked_for() -> None:
    with pytest.raises(UsageError, match="it predicts the next values of a signal"):
        registry.pair("gsc", "nvar")
    with pytest.raises(UsageError, match="no recipe yet"):
        registry.pair("mnist1d", "toy-gle")


def test_parameters_that_are_known_are_those_that_are_counted() -> None:
    known = 0
    for pair in registry.pairs():
        config, task = small(pair.configure("paper")), registry.task(pair.task)
        if config.network.learned_parameters(task.shape(config.options)) is not None:
            known += 1
            assert parameter_count(task, config) == counted(task, config)
    assert known
