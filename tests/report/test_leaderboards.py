"""What is committed as measured: readable, marked, and in agreement with the reference's curves."""

import csv
import math
from collections import defaultdict
from pathlib import Path
from statistics import mean, variance

import pytest
from shared import ROOT, shared_path

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.table import table
from gle_bench.tracking.record import OTHER_DATA
from gle_bench.tracking.store import RunFolder, Store
from gle_bench.training.execute import execute
from gle_bench.training.plan import Settings

LEADERBOARDS = ROOT / "leaderboards"
FOUND, SKIPPED = Store(LEADERBOARDS / "records").records()


def curves(path: Path, model: str, column: str) -> dict[int, list[float]]:
    """Accuracies of all seeds, by epoch."""
    found = defaultdict(list)
    for row in csv.DictReader(path.read_text().splitlines()):
        if row.get("model", model) == model:
            found[round(float(row[column]))].append(float(row["accuracy"]))
    return found


def test_every_committed_record_is_read() -> None:
    assert FOUND
    assert not SKIPPED


@pytest.mark.parametrize(("folder", "record"), FOUND, ids=lambda found: getattr(found, "run_id", ""))
def test_a_committed_record_stands_where_it_belongs(folder, record) -> None:
    assert folder.path.name == f"seed-{record.seed}"
    assert folder.path.parent.name == record.config_hash
    assert record.data.official is (OTHER_DATA not in record.marks)
    rows = folder.read_history()
    assert rows[0]["update"] == 0
    if record.status == "done":
        watched, metric = rows[-1]["split"], registry.task(record.task).metric.name
        assert record.metrics["last"][watched][metric].value == rows[-1][metric]
        splits = {watched, *record.metrics["last"]}
        assert "test" in splits
        whole = {f"{split}_{of}" for split in splits for of in ("decisions", "targets")}
        assert set(folder.read_predictions()) in (whole, set())  # scripts/publish leaves large ones out


@pytest.mark.parametrize("model", ["mlp-0", "tcn-0", "gru-0", "mlp", "gle-15k"])
def test_a_shipped_run_is_repeated_up_to_rounding_until_chaos_takes_over(
    tmp_path: Path, data: Path, model: str
) -> None:
    """See docs/reliability.md: before the first update, and after one batch, the evaluation loss is that of the record
    to 1e-6 of itself on any machine; later on, rounding decides. Bits are promised on one machine only."""
    folder, record = next(
        (folder, record)
        for folder, record in FOUND
        if (record.task, record.model, record.protocol) == ("mnist1d", model, "paper")
    )
    shortest = "epochs=1" if model == "gle-15k" else "batches=1"
    chosen = resolve("mnist1d", model, None, "paper", "paper", [shortest])
    (again,) = execute(chosen, [record.seed], Settings(tmp_path, data, wandb="off"))
    assert again.data.fingerprint == record.data.fingerprint
    rounds = 1 if model == "gle-15k" else 2  # an epoch is 14,400 updates of a GLE network
    repeated = RunFolder(next(tmp_path.glob(f"*/*/*/seed-{record.seed}"))).read_history()
    for ours, shipped in zip(repeated[:rounds], folder.read_history()[:rounds], strict=True):
        assert ours["update"] == shipped["update"]
        assert ours["loss"] == pytest.approx(shipped["loss"], rel=1e-6)
        assert ours["accuracy"] == pytest.approx(shipped["accuracy"], abs=0.101)  # a sample in a thousand, at a tie


@pytest.mark.parametrize("epoch", [10, 20, 50, 100, 149])
@pytest.mark.parametrize("model", ["gle-15k", "gle-42k", "lagnet-le"])
def test_gle_networks_learn_as_fast_as_the_references(model: str, epoch: int) -> None:
    """Difference of ten-seed means within twice its standard error; epoch 0 of the curves is before training."""
    name = model.replace("-", "_")
    reference = curves(shared_path("reference/mnist1d_gle_curves.csv"), name, "epoch")[epoch]
    ours = []
    for folder, record in FOUND:
        if (record.task, record.model, record.protocol, record.budget) == ("mnist1d", model, "paper", "paper"):
            ours += curves(folder.path / "history.csv", name, "epoch")[epoch]
    assert len(ours) == len(reference) == 10
    error = math.sqrt(variance(ours) / 10 + variance(reference) / 10)
    assert abs(mean(ours) - mean(reference)) <= 2 * error


@pytest.mark.parametrize("task", sorted({record.task for _, record in FOUND}))
def test_a_committed_table_is_the_one_that_the_records_give(tmp_path: Path, task: str) -> None:
    built, _ = table(task, tmp_path / "none")
    assert (LEADERBOARDS / f"{task}.md").read_text() == markdown(built) + "\n"
