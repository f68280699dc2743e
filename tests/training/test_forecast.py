"""Tests of what a run says of its time: before it starts, and in lines of progress."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy_runs import assert_alike, configured, run

from gle_bench.contracts import Pair
from gle_bench.training import preview
from gle_bench.training.callbacks import Display
from gle_bench.training.preview import forecast


@pytest.mark.parametrize("model", ["toy-gle", "toy-mlp"])
def test_a_forecast_changes_nothing_of_a_run(tmp_path: Path, model: str) -> None:
    config, lines = configured("toy-classes", model, "epochs=1", budget="short"), list[str]()
    for folder, before in (("with", partial(forecast, report=lines.append)), ("without", None)):
        run(config, [1], tmp_path / folder, before=before)
    assert_alike(tmp_path / "with", tmp_path / "without", 1)
    (line,) = lines
    assert line.startswith("Budget short takes about ")
    run(config, [1], tmp_path / "with", before=partial(forecast, report=lines.append))
    assert len(lines) == 1  # nothing is left to run


def experiment(budget: Any, *assignments: str) -> Any:
    """An experiment of 100 batches of 10 steps, as far as a forecast asks."""
    config = configured("toy-classes", "toy-mlp", *assignments, budget=budget)
    own = configured("toy-classes", "toy-mlp", budget=budget)
    pair = Pair("toy-classes", "toy-mlp", lambda chosen: configured("toy-classes", "toy-mlp", budget=chosen), [1], "")
    return SimpleNamespace(
        config=config,
        chosen=SimpleNamespace(pair=pair, own=own),
        ends=[0, 50, 100],
        samples=20,
        steps_per_batch=1,
        keeps_test=False,
        any_data=SimpleNamespace(splits={}),
    )


def told(monkeypatch: pytest.MonkeyPatch, of: Any, learned: dict[int, int]) -> list[str]:
    monkeypatch.setattr(preview, "measure", lambda *_: preview.Pace(3.0, 20.0))
    lines: list[str] = []
    forecast(of, learned, lines.append)
    return lines


def test_the_time_is_that_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh,) = told(monkeypatch, experiment("paper"), {1: 0})
    assert fresh.startswith("Budget paper takes about 6 min on this machine, by a few steps measured now")
    assert "--budget smoke, about " in fresh
    (resumed,) = told(monkeypatch, experiment("paper"), {1: 50, 2: 50})
    assert resumed.startswith("About 6 min left on this machine")
    assert told(monkeypatch, experiment("smoke"), {1: 0}) == []
    (changed,) = told(monkeypatch, experiment("paper", "epochs=7"), {1: 0})
    assert "smoke" not in changed  # it would have as many epochs


def test_a_pace_that_cannot_be_measured_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(preview, "measure", broken)
    lines: list[str] = []
    forecast(experiment("paper"), {1: 0}, lines.append)
    assert lines == []


def test_a_line_of_progress_has_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: 100.0)
    display = Display.__new__(Display)
    display._module, display._ends, display._started = SimpleNamespace(batches=30), [0, 50, 100], 40.0  # type: ignore[assignment]
    for first, batches, left in ((0, 30, " · 2 min left"), (20, 30, " · 7 min left"), (0, 100, ""), (30, 30, "")):
        display._first, display._module.batches = first, batches  # type: ignore[misc]
        assert display._left() == left


@pytest.mark.parametrize(("network", "expected"), [(None, [1]), ("online", [1, 2, 3])])
def test_one_seed_is_measured_where_seeds_do_not_learn_side_by_side(
    monkeypatch: pytest.MonkeyPatch, network: object, expected: list[int]
) -> None:
    fed: list[list[int]] = []

    def feed(_: object, seeds: list[int], first_round: int) -> None:
        fed.append(seeds)
        raise StopIteration

    monkeypatch.setattr(preview, "feed_for", feed)
    with pytest.raises(StopIteration):
        preview.measure(SimpleNamespace(network=network, ends=[0, 1, 2]), [1, 2, 3])  # type: ignore[arg-type]
    assert fed == [expected]
