"""`glebench show` describes tasks, models and runs, as plain data and as text."""

import json
from pathlib import Path
from typing import Any

import pytest
from record_examples import example

from gle_bench import registry
from gle_bench.errors import UnknownName, UsageError
from gle_bench.report import results as sources
from gle_bench.report.terminal.run_sheet import TAIL, describe_run
from gle_bench.report.terminal.show import as_text, describe, describe_model, describe_task
from gle_bench.tracking.record import Record, run_id
from gle_bench.tracking.store import RunFolder, Store

# facts/baselines.md section 1, and the paper's Table 2
COUNTS = {"gle-15k": 14956, "gle-42k": 42040, "mlp": 47210, "mlp-published": 23210, "gru": 8974, "tcn": 11210}


@pytest.fixture(autouse=True)
def _without_published_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "none")


def write(root: Path, record: Record) -> RunFolder:
    folder = Store(root).folder(record.task, record.model, None, record.config_hash, record.seed)
    folder.write(record)
    return folder


def test_a_task_names_its_models_with_their_parameters() -> None:
    task = json.loads(json.dumps(describe_task("mnist1d"), allow_nan=False))
    found = {model["name"]: model["parameters"] for model in task["models"]}
    assert found.keys() == {pair.model for pair in registry.pairs() if pair.task == "mnist1d"}
    assert COUNTS.items() <= found.items()
    assert task["shape"] == {"steps": 360, "inputs": 1, "outputs": 10}
    assert task["protocols"]["clean"] == {"evaluated_on": "validation"}
    assert task["published"][0]["value"] == 93.5


def test_the_text_of_a_task_says_all_of_it() -> None:
    task = describe_task("mnist1d")
    text = as_text(task)
    assert max(map(len, text.splitlines())) <= 120
    for model in task["models"]:
        assert model["name"] in text
        assert f"{model['parameters']:,}" in text
    together = " ".join(text.split())
    assert all(note in together for note in task["notes"])
    assert "94.0 ± 1.1" in text


def test_a_model_shows_its_settings() -> None:
    model = describe_model("gle-42k")
    text = as_text(json.loads(json.dumps(model, allow_nan=False)))
    assert [on["task"] for on in model["tasks"]] == ["mnist1d"]
    assert model["tasks"][0]["config"]["training"]["epochs"] == 150
    assert "42,040" in text
    assert "epochs = 150" in text
    with pytest.raises(UnknownName, match="Did you mean 'gle-42k'"):
        describe_model("gle-42")


def test_a_run_is_found_by_id_prefix_and_path(tmp_path: Path) -> None:
    one, two = write(tmp_path, example(1)), write(tmp_path, example(12))
    name = example(12).run_id
    for which in (name, str(two.path), str(two.path / "record.json")):
        assert describe_run(tmp_path, which)["record"]["seed"] == 12
    # a whole id is a run although it begins another's
    assert describe_run(tmp_path, example(1).run_id)["folder"] == str(one.path)
    with pytest.raises(UsageError, match="could be any of 2"):
        describe_run(tmp_path, name[:-2])
    write(tmp_path, example(3, config_hash="f" * 12, run_id=run_id("mnist1d", "gle", None, "f" * 12, 3)))
    assert describe_run(tmp_path, "mnist1d-gle-ff")["record"]["seed"] == 3


def test_unknown_runs_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="There are no runs in"):
        describe_run(tmp_path, "mnist1d-gle")
    for seed in range(5):
        write(tmp_path, example(seed))
    with pytest.raises(UnknownName, match=f"Did you mean '{example(0).run_id}'") as error:
        describe_run(tmp_path, example(0).run_id.replace("gle", "gel"))
    assert "has 5" in str(error.value)
    assert example(4).run_id not in str(error.value)
    with pytest.raises(UnknownName):
        describe_run(tmp_path, "")


def test_describe_finds_tasks_models_and_runs(tmp_path: Path) -> None:
    write(tmp_path, example(0))
    kinds = [describe(which, tmp_path)["kind"] for which in ("mnist1d", "gru", example(0).run_id)]
    assert kinds == ["task", "model", "run"]
    with pytest.raises(UnknownName, match=r"Did you mean 'mnist1d'.* No run in"):
        describe("msint1d", tmp_path)
    with pytest.raises(UnknownName, match="Unknown run"):
        describe("mnist1d-gle-9", tmp_path)
    with pytest.raises(UnknownName, match="Unknown run"):
        describe("no/such/folder", tmp_path)


def test_the_text_of_a_run_says_what_became_of_it(tmp_path: Path) -> None:
    marks = ("budget smoke", "training.epochs=3")
    folder = write(tmp_path, example(0, status="diverged", error="loss is nan [at step 3]", marks=marks))
    history: list[dict[str, Any]] = [
        {"update": step, "epoch": step / 40, "split": "test", "loss": float("nan") if step > 15 else 1 / 3}
        for step in range(20)
    ]
    folder.write_history(history)
    run = json.loads(json.dumps(describe(str(folder.path), tmp_path), allow_nan=False))
    assert run["history"]["rows"] == 20
    assert [row["update"] for row in run["history"]["tail"]] == list(range(20 - TAIL, 20))
    assert run["history"]["tail"][-1]["loss"] == "NaN"
    text = as_text(run)
    assert text.startswith(f"{example(0).run_id}: diverged (loss is nan [at step 3])")
    assert "budget smoke; training.epochs=3" in text
    assert "no compiler" in text
    assert "93.5" in text
    assert "0.33333" in text


def test_a_run_without_history_or_results(tmp_path: Path) -> None:
    write(tmp_path, example(0, status="running", metrics={}))
    text = as_text(describe(example(0).run_id, tmp_path))
    assert "running" in text
    assert "History" not in text
