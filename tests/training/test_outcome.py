"""Tests of the status `done`, which a run has only if it did all that was planned, whatever ended its training."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import glebench
from toy_runs import assert_alike, configured, run, seed_folder

from gle_bench.errors import GleBenchError
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder
from gle_bench.training import outcome as bookkeeping
from gle_bench.training import trainer
from gle_bench.training.modules.base import Scores

MODELS = pytest.mark.parametrize("model", ["toy-gle", "toy-mlp", "toy-readout"])


def ended(tmp_path: Path, model: str, **settings: Any) -> Record:
    (record,) = run(configured("toy-classes", model, protocol="clean"), [1], tmp_path, **settings)
    assert record == seed_folder(tmp_path, 1).read()
    return record


@MODELS
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"max_epochs": 2}, r"The run learned from 6 of 9 planned batches\."),
        ({"max_steps": 4}, r"The run learned from \d of 9 planned batches\."),
        ({"limit_train_batches": 1}, r"The run learned from 3 of 9 planned batches\."),
        ({"limit_train_batches": 0}, r"The run learned from 0 of 9 planned batches\."),
        ({"limit_val_batches": 1}, r"An evaluation saw 3 of 4 samples of validation; start the run anew"),
        ({"check_val_every_n_epoch": 2}, r"2 of 4 planned evaluations are not in the history, or others are\."),
        ({"fast_dev_run": 1}, r".* (planned batches|planned samples|samples of validation).*"),
        ({"limit_test_batches": 1}, r"An evaluation saw 3 of 4 samples of test; start the run anew"),
    ],
)
def test_a_loop_that_returned_early_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, changes: dict[str, Any], complaint: str
) -> None:
    plain = trainer.stated
    monkeypatch.setattr(trainer, "stated", lambda **given: plain(**{**given, **changes}))
    record = ended(tmp_path, model)
    assert record.status == "failed"
    assert record.metrics == {}
    assert re.search(complaint, str(record.error)), record.error
    monkeypatch.setattr(trainer, "stated", plain)
    assert ended(tmp_path, model, rerun="always").status == "done"
    ended(tmp_path / "plain", model)
    assert_alike(tmp_path, tmp_path / "plain", 1)


def test_batches_after_which_nothing_was_learned_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trainer.stated
    monkeypatch.setattr(trainer, "stated", lambda **given: plain(**{**given, "accumulate_grad_batches": 2}))
    record = ended(tmp_path, "toy-mlp")
    assert (record.status, record.error) == ("failed", "The run took an optimizer step in 6 of 9 planned batches.")
    monkeypatch.setattr(trainer, "stated", plain)
    with pytest.raises(
        GleBenchError, match=r"last\.ckpt: its optimizer took a step in 6 of 9 batches; .* --rerun always"
    ):
        ended(tmp_path, "toy-mlp", rerun="failed")
    assert ended(tmp_path, "toy-mlp", rerun="always").status == "done"


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", "history.csv", "predictions.npz"])
@pytest.mark.parametrize("how", ["removed", "cut", "replaced"])
def test_what_is_missing_on_the_disk_at_the_end_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    """The reason why files are missing does not matter; a user may have deleted them."""

    def spoil(path: Path) -> None:
        content = path.read_bytes()
        path.unlink()
        if how == "cut":
            path.write_bytes(content[: len(content) // 2])
        if how == "replaced":
            path.mkdir()

    finish = bookkeeping.shortfalls

    def spoilt(run: Any, *arguments: Any) -> Any:
        spoil(run.folder.path / name)
        return finish(run, *arguments)

    monkeypatch.setattr(bookkeeping, "shortfalls", spoilt)
    record = ended(tmp_path, "toy-gle")
    if how == "cut" and name.endswith(".ckpt"):
        return  # that a checkpoint is whole is looked at by whoever reads it
    assert record.status == "failed"
    assert record.error is not None
    assert name in record.error or "predictions" in record.error


def test_predictions_of_another_length_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = RunFolder.write_predictions

    def shorter(self: RunFolder, **arrays: Any) -> None:
        write(self, **{name: np.asarray(values)[:3] for name, values in arrays.items()})

    monkeypatch.setattr(RunFolder, "write_predictions", shorter)
    record = ended(tmp_path, "toy-mlp")
    assert record.status == "failed"
    assert "3 of 4 predictions" in str(record.error)


def test_an_evaluation_of_another_number_of_samples_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add: Callable[..., None] = Scores.add

    def twice(self: Scores, *arguments: Any) -> None:
        add(self, *arguments)
        add(self, *arguments)

    monkeypatch.setattr(Scores, "add", twice)
    record = ended(tmp_path, "toy-mlp")
    assert record.status == "failed"
    assert "8 of 4 samples" in str(record.error)


def test_a_store_that_is_deleted_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends at the next evaluation with exit code 1, and writes nothing in the place of its folder."""
    runs = tmp_path / "runs"
    words = ("run", "toy-classes", "--model", "toy-gle", "--seeds", "1,2", "--wandb", "off", "--runs", runs)
    lost = glebench(*words, TOYS_DELETES=f"1 2 {runs}")
    assert lost.code == 1
    assert lost.err.splitlines()[-1].startswith(f"Error: The run folder {runs}")
    assert "was deleted while its run went on" in lost.err
    assert not list(runs.glob("*/*/*/*/record.json"))
    assert glebench(*words).code == 0


def test_one_lost_folder_costs_its_seed_alone(tmp_path: Path) -> None:
    runs, whole = tmp_path / "runs", tmp_path / "whole"
    words = ["run", "toy-classes", "--model", "toy-gle", "--seeds", "1,2", "--wandb", "off", "--runs"]
    lost = glebench(*words, runs, TOYS_DELETES=f"1 2 {runs}/toy-classes/toy-gle/*/seed-2")
    assert lost.code == 1
    record = seed_folder(runs, 1).read()
    assert record is not None
    assert record.status == "interrupted"
    assert "seed-2 was deleted" in str(record.error)
    assert glebench(*words, runs).code == 0
    assert glebench(*words, whole).code == 0
    for seed in (1, 2):
        assert_alike(runs, whole, seed)


def test_a_run_that_was_taken_over_is_left_alone(tmp_path: Path) -> None:
    """Another process began the same run in the place of the first one's folder."""
    runs = tmp_path / "runs"
    words = ("run", "toy-classes", "--model", "toy-gle", "--seeds", "1", "--wandb", "off", "--runs", runs)
    lost = glebench(*words, TOYS_TAKES_OVER=f"1 2 {runs}")
    assert lost.code == 1
    assert "was taken over by process 1 on elsewhere" in lost.err
    assert seed_folder(runs, 1).read() is None
