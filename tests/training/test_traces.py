"""Tests of traces, the outputs in rounds that a task names, in uninterrupted and resumed runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_runs import configured, run, seed_folder
from toys import ToyOwnSignal, ToySplit

from gle_bench.tracking.store import RunFolder
from gle_bench.training import checkpoints

CONFIG = configured("toy-own-signal", "toy-gle", "epochs=4")
CLEAN = configured("toy-own-signal", "toy-gle", "epochs=4", protocol="clean")
SEEDS = [1, 2]


class CutOff(RuntimeError):
    """The error that stands for the end of the process."""


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyOwnSignal, "traced", (1, 3, 9))


def traces(runs: Path, seed: int) -> dict[str, np.ndarray]:
    return seed_folder(runs, seed).read_traces()


def names(split: str, *rounds: int) -> set[str]:
    return {f"{split}_targets", *(f"{split}_decisions_{number}" for number in rounds)}


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def cut_off_in_round(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A run that ends in that round, when its traces are written and its checkpoint is not."""
    save, calls = checkpoints.save, []

    def broken(written: Any) -> None:
        calls.append(written)
        if len(calls) == number + 1:  # round 0 has one as well
            raise CutOff
        save(written)

    monkeypatch.setattr(checkpoints, "save", broken)


def test_a_task_that_names_no_rounds_leaves_no_traces(tmp_path: Path) -> None:
    run(CONFIG, SEEDS, tmp_path)
    assert not list(tmp_path.rglob("traces.npz"))


@pytest.mark.usefixtures("traced")
def test_traces_are_those_of_the_named_rounds_and_of_the_last(tmp_path: Path) -> None:
    """A round's trace equals the predictions of a run that ends after it, since the learning rate is constant."""
    run(CONFIG, SEEDS, tmp_path / "long")
    run(configured("toy-own-signal", "toy-gle", "epochs=3"), SEEDS, tmp_path / "short")
    for seed in SEEDS:
        kept, folder = traces(tmp_path / "long", seed), seed_folder(tmp_path / "long", seed)
        assert kept.keys() == names("test", 1, 3, 4)
        predicted = folder.read_predictions()
        np.testing.assert_array_equal(kept["test_decisions_4"], predicted["test_decisions"])
        np.testing.assert_array_equal(kept["test_targets"], predicted["test_targets"])
        earlier = seed_folder(tmp_path / "short", seed).read_predictions()
        np.testing.assert_array_equal(kept["test_decisions_3"], earlier["test_decisions"])
        assert not np.array_equal(kept["test_decisions_3"], kept["test_decisions_1"])
    one, other = (traces(tmp_path / "long", seed)["test_targets"] for seed in SEEDS)
    assert not np.array_equal(one, other)  # each seed its own


@pytest.mark.usefixtures("traced")
def test_under_protocol_clean_the_test_split_is_not_traced(tmp_path: Path) -> None:
    run(CLEAN, SEEDS, tmp_path)
    for seed in SEEDS:
        assert traces(tmp_path, seed).keys() == names("validation", 1, 3, 4)
        assert "test_decisions" in seed_folder(tmp_path, seed).read_predictions()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_a_run_that_was_cut_off_ends_with_the_same_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    run(CONFIG, SEEDS, tmp_path / "unbroken")
    with monkeypatch.context() as patched:
        cut_off_in_round(patched, when)
        assert {record.status for record in run(CONFIG, SEEDS, tmp_path / "broken")} == {"failed"}
    before = {seed: seed_folder(tmp_path / "broken", seed).read_traces().keys() for seed in SEEDS}
    assert all(kept <= names("test", 1, 3, 4) for kept in before.values())
    resumed = run(CONFIG, SEEDS, tmp_path / "broken", rerun="failed")
    assert {(record.status, record.lineage[-1].from_round) for record in resumed} == {("done", when - 1)}
    for seed in SEEDS:
        assert_equal(traces(tmp_path / "broken", seed), traces(tmp_path / "unbroken", seed))


@pytest.mark.usefixtures("traced")
def test_a_run_that_starts_anew_forgets_the_traces_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CONFIG, [1], tmp_path)

    def refuse(*_: Any) -> None:
        raise CutOff

    monkeypatch.setattr(ToySplit, "fetch", refuse)
    (record,) = run(CONFIG, [1], tmp_path, rerun="always")
    assert record.status == "failed"
    assert traces(tmp_path, 1) == {}


@pytest.mark.usefixtures("traced")
def test_a_seed_that_diverges_keeps_what_was_traced_before(tmp_path: Path) -> None:
    """Only finite outputs are traces: the last finite round is the last one kept."""
    config = configured("toy-own-signal", "toy-gle", "epochs=4", "rate=1e38", "optimizer=sgd")
    (record,) = run(config, [1], tmp_path)
    assert record.status == "diverged"
    assert all(np.isfinite(values).all() for values in traces(tmp_path, 1).values())


def test_traces_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.add_traces(a=[1.0], b=[2.0])
    folder.add_traces(b=[3.0], c=[4.0])
    assert {name: values.tolist() for name, values in folder.read_traces().items()} == {"a": [1], "b": [3], "c": [4]}
    assert [path.name for path in tmp_path.iterdir()] == ["traces.npz"]
