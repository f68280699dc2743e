"""Tests of runs on Google Speech Commands with a synthetic tree: validation in training, the test split at the end."""

import json
from pathlib import Path

import pytest
from command import glebench
from toy_runs import configured, seed_folder

from gle_bench.chosen import resolved
from gle_bench.config import RunConfig
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.table import table
from gle_bench.training.execute import execute
from gle_bench.training.plan import Settings

SMALL = '[{"neurons": 2, "tau_m": 0.6, "tau_r": 0.1}, {"neurons": 2, "tau_m": 2.4, "tau_r": 2.4}]'
CHANGES = {
    "gle": ("batches=1", "evaluate_every=1", "batch_size=8", "hidden_layers=1", f"populations={SMALL}"),
    "mlp": ("batches=3", "evaluate_every=2", "batch_size=8"),
    "tcn": ("batches=2", "evaluate_every=1", "batch_size=8", "channels=[3, 3]", "linear=3", "hidden=3"),
}


def small(model: str, protocol: str = "paper") -> RunConfig:
    return configured("gsc", model, *CHANGES[model], protocol=protocol, budget="smoke")


@pytest.mark.parametrize("protocol", ["paper", "clean"])
@pytest.mark.parametrize("model", CHANGES)
def test_validation_is_watched_and_test_looked_at_once(tmp_path: Path, data: Path, model: str, protocol: str) -> None:
    config = small(model, protocol)
    (record,) = execute(resolved(config), [1], Settings(tmp_path, data, accept_data=True, engine="torch", wandb="off"))
    history, sizes = seed_folder(tmp_path, 1).read_history(), record.data.sizes
    assert record.status == "done", record.error
    assert {row["split"] for row in history} == {"validation"}
    for selection in ("last", "best"):
        found = record.metrics[selection]
        assert {split: found[split]["accuracy"].n for split in found} == {s: sizes[s] for s in ("validation", "test")}
        assert ("accuracy_by_batch" in found["test"]) is (model == "tcn")
    assert record.metrics["last"]["validation"]["accuracy"].value == history[-1]["accuracy"]
    predictions = seed_folder(tmp_path, 1).read_predictions()
    assert {name: len(values) for name, values in predictions.items() if name.endswith("targets")} == {
        "validation_targets": sizes["validation"],
        "test_targets": sizes["test"],
    }
    assert predictions["test_decisions"].shape == (sizes["test"], 12)
    built, _ = table("3", tmp_path)
    row = next(row for row in built.content["rows"] if row["config_hash"] == record.config_hash)
    assert (row["split"], row["watched_split"]) == ("test", "validation")
    assert all(note in built.footnotes for note in record.data.notes)
    assert "other data" in markdown(built)


def test_a_dry_run_estimates_the_full_run_where_it_is_the_same_work(tmp_path: Path, data: Path) -> None:
    words = ["run", "gsc", "--model", "mlp", "--data", data, "--runs", tmp_path, "--accept-data", "--dry-run"]
    preview = json.loads(glebench(*words, "--json").out)
    assert preview["full_seconds"] > preview["seconds"] > 0  # 10 seeds of 118,154 updates, one of 3,001
    text = glebench(*words).out
    assert "estimated from a few steps on this machine" in text
    assert "the full run would take about" in text
    kept = f"--data {data} --runs {tmp_path} --accept-data"
    assert preview["full_command"] == f"glebench run gsc --model mlp {kept} --seeds paper --budget paper"
    assert text.splitlines()[-1].strip() == preview["full_command"]
    smoke = json.loads(glebench(*words, "--budget", "smoke", "--json").out)
    assert smoke["full_seconds"] is None  # of a few clips: says nothing about all of them
    assert not list(tmp_path.iterdir())
