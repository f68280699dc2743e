"""Table 1 is read off the configurations, and no disagreement with the paper goes without its footnote."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from command import glebench

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.overrides import override
from gle_bench.paper import COLUMNS, SETTINGS
from gle_bench.report.tables import settings
from gle_bench.words import Budget

LINES = list(settings.compared_settings())


def test_every_network_has_every_setting() -> None:
    assert [(line.column, line.parameter) for line in LINES] == [(c, s.name) for c in COLUMNS for s in SETTINGS]
    assert all(line.paper and line.ours for line in LINES)


def test_what_disagrees_has_a_footnote() -> None:
    differing = [line for line in LINES if line.paper != line.ours]
    assert {line.parameter for line in differing} == {
        *("T", "tau_m", "tau_r", "activation", "hidden layer size", "learning rate", "epochs")
    }
    assert all(line.note for line in differing)


@pytest.mark.parametrize(
    ("assignment", "name", "text"),
    [
        ("dt=0.1", "dt", "0.1"),
        ("phi1=tanh", "activation", "tanh"),
        ("hidden_layers=4", "hidden layers", "4"),
        ("gamma=0.5", "gamma", "0.5"),
        ("beta=2.0", "beta", "2.0"),
        ("rate=0.25", "learning rate", "0.25"),
        ("optimizer=sgd", "optimizer", "gradient descent"),
        ("batch_size=7", "batch size", "7"),
        ("epochs=3", "epochs", "3"),
    ],
)
def test_ours_follow_the_configuration(assignment: str, name: str, text: str) -> None:
    pair = registry.pair("mnist1d", "gle-42k")

    def changed(configure: Callable[[Budget], RunConfig]) -> Callable[[Budget], RunConfig]:
        return lambda budget: override(configure(budget), [assignment])

    task = registry.task("mnist1d")
    usual = settings.described(task, pair)
    found = settings.described(task, replace(pair, configure=changed(pair.configure)))
    assert found[name] == text != usual[name]


def test_the_command_prints_all_formats() -> None:
    plain = json.loads(glebench("table", "1", "--json").out)
    lines = list(csv.DictReader(io.StringIO(glebench("table", "1", "--format", "csv").out.removesuffix("\n"))))
    assert len(plain["rows"]) == len(lines) == len(LINES)
    assert [line["ours"] for line in lines] == [row["ours"] for row in plain["rows"]] == [r.ours for r in LINES]
    for format, start in (("md", "## Table 1"), ("tex", "%"), ("html", "<section>")):
        done = glebench("table", "1", "--format", format)
        assert (done.code, done.err, done.out.startswith(start)) == (0, "", True)
    assert max(map(len, glebench("table", "1").out.splitlines())) <= 120


def test_an_unknown_table_is_told_with_all_there_are() -> None:
    done = glebench("table", "9")
    assert done.code == 2
    assert "Tables: 1, 2, 3, " in done.told
