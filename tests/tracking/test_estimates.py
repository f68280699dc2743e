"""Tests of the estimated time of a run: one formula, and a pace without the time of starting."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from command import glebench
from record_examples import example
from toy_runs import seed_folder

from gle_bench.tracking.estimates import Length, Pace, duration, recorded_pace, seconds
from gle_bench.tracking.history import Row
from gle_bench.tracking.record import Cost, Record

STARTING = 100.0  # seconds, long before a step
PER_BATCH = 2.0


def ran(rounds: Sequence[int], steps_per_batch: int = 10, updates_per_batch: int = 5) -> tuple[Record, list[Row]]:
    """The record and the history of a run whose rounds end after these numbers of batches."""
    rows: list[Row] = [
        {
            "round": number,
            "update": batches * updates_per_batch,
            "wall_s": (STARTING if number else 0.0) + PER_BATCH * batches,
        }
        for number, batches in enumerate((0, *rounds))
    ]
    wall_s = STARTING + PER_BATCH * rounds[-1]
    return example(cost=Cost(wall_s=wall_s, steps=rounds[-1] * steps_per_batch, networks=4)), rows


def test_time_is_length_times_pace() -> None:
    assert seconds(Length(100, 3.0), Pace(0.5, 2.0), 10) == 10 * (100 * 0.5 + 3 * 2.0)


@pytest.mark.parametrize("rounds", [(5, 10), (1, 11, 21), (3, 6, 9)])
def test_the_first_round_does_not_count(rounds: tuple[int, ...]) -> None:
    """Seeds that learned side by side share their time equally."""
    pace = recorded_pace(*ran(rounds), steps_per_batch=10)
    assert pace is not None
    assert pace.step == pytest.approx(PER_BATCH / 10 / 4)
    assert pace.evaluation == 0


@pytest.mark.parametrize("rounds", [(2,), (1, 2), (19,), (5, 9)])
def test_a_run_of_few_batches_has_no_pace(rounds: tuple[int, ...]) -> None:
    assert recorded_pace(*ran(rounds), steps_per_batch=10) is None
    assert recorded_pace(ran(rounds)[0], [], steps_per_batch=10) is None


def test_a_history_that_was_changed_has_no_pace() -> None:
    record, rows = ran((10, 20))
    assert recorded_pace(record, [*rows[:-1], {**rows[-1], "update": "many"}], steps_per_batch=10) is None
    assert recorded_pace(record, [*rows[:-1], {**rows[-1], "wall_s": 0.0}], steps_per_batch=10) is None


@pytest.mark.parametrize(("batches", "known"), [(2, False), (12, True)])
def test_a_run_says_how_long_the_full_one_takes_where_it_is_long_enough(
    tmp_path: Path, batches: int, known: bool
) -> None:
    words = ("run", "toy-classes", "--model", "toy-gle", "--budget", "smoke", "--wandb", "off", "--runs", tmp_path)
    changes = ("--set", "epochs=null", "--set", f"batches={batches}", "--set", "evaluate_every=2")
    told = glebench(*words, *changes, "--engine", "torch").out
    assert "the full run, which budget smoke does not replace" in told
    assert ("replace, about" in told) is known
    if known:  # a history that is gone costs the estimate, not the result
        (seed_folder(tmp_path, 3).path / "history.csv").write_bytes(b"\xff")
        again = glebench(*words, *changes, "--engine", "torch")
        assert again.code == 0
        assert "replace, about" not in again.out


@pytest.mark.parametrize(
    ("value", "text"), [(45, "45 s"), (720, "12 min"), (12_600, "3.5 h"), (2560 * 3600, "2,560 h")]
)
def test_durations_in_words(value: float, text: str) -> None:
    assert duration(value) == text
