"""What rules with a tape or an influence refuse, from the command line: one sentence, before anything is written."""

from pathlib import Path

import pytest
from command import glebench
from toy_runs import column, configured, run

TOY = ("toy-signal", "toy-gle")


@pytest.mark.parametrize(
    ("pair", "rule", "assignments", "sentence"),
    [
        (TOY, "bptt", ["window=0"], "--set: window: must be a number of steps from 1 on, or 'sample' (got 0)."),
        (TOY, "bptt", ["window=all"], "--set: window: must be a number of steps from 1 on, or 'sample' (got 'all')."),
        (TOY, "bptt", ["window=11"], "window = 11 is longer than a sample, which has 10 steps; lower it."),
        (TOY, "bptt", ["window=1"], "window = 1 is too short, because a weight takes 2 steps to affect the cost"),
        (TOY, "bptt", ["gamma=0.5"], "gamma = 0.5 of layer 1 lets errors of GLE move the membrane"),
        (
            TOY,
            "adjoint",
            ["lookahead=-1"],
            "--set: lookahead: must be a number of steps from 0 on, or 'sample' (got -1).",
        ),
        (TOY, "adjoint", ["lookahead=11"], "lookahead = 11 is longer than a sample, which has 10 steps; lower it."),
        (TOY, "adjoint", ["scheme=exact"], "--set: scheme: Input should be 'discrete' or 'paper' (got 'exact')."),
        (TOY, "snap", ["layers=0"], "--set: layers: Input should be greater than or equal to 1 (got 0)."),
        (TOY, "snap", ["layers=4"], "layers = 4 is more than the 3 layers of the network; lower it."),
        (
            ("mnist1d", "gle-42k"),
            "rtrl",
            [],
            "Rule 'rtrl' cannot train gle-42k on mnist1d: the influence of its parameters needs ",
        ),
        (("cifar10", "gle"), "rtrl", [], "gamma = 1.0 of layer 1 lets errors of GLE move the membrane"),
        (("mackey-glass", "gle"), "bptt", [], "integrator = 'exponential' traverses the layers in order"),
        (("mnist1d", "tcn"), "bptt", [], "Rule 'bptt' needs a network that learns online; tcn learns by backprop."),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(
    tmp_path: Path, pair: tuple[str, str], rule: str, assignments: list[str], sentence: str
) -> None:
    words = [word for assignment in assignments for word in ("--set", assignment)]
    task, model = pair
    refused = glebench("run", task, "--model", model, "--rule", rule, *words, "--runs", tmp_path / "runs")
    assert refused.code == 2
    assert sentence in refused.told
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("rule", ["adjoint", "bptt", "rtrl"])
def test_a_run_that_diverges_ends_as_such(tmp_path: Path, rule: str) -> None:
    config = configured(*TOY, "rate=1e300", "optimizer=sgd", "precision=float64", rule=rule)
    records = run(config, [1, 2], tmp_path)
    assert [record.status for record in records] == ["diverged", "diverged"]


@pytest.mark.parametrize(
    ("rule", "assignments"),
    [
        ("adjoint", []),
        ("adjoint", ["scheme=paper"]),
        ("adjoint", ["lookahead=4"]),
        ("bptt", []),
        ("bptt", ["window=5"]),
        ("rtrl", []),
        ("snap", ["layers=2"]),
    ],
)
def test_a_run_learns(tmp_path: Path, rule: str, assignments: list[str]) -> None:
    config = configured(*TOY, "epochs=8", "rate=0.02", *assignments, rule=rule)
    (record,) = run(config, [1], tmp_path)
    assert record.status == "done"
    first, *_, last = column(tmp_path, 1, "mse")
    assert float(last) < 0.7 * float(first)
