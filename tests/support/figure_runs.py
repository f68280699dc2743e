"""Recorded runs that figures can draw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_examples import example

from gle_bench import registry
from gle_bench.chosen import run_hash
from gle_bench.report import results as sources
from gle_bench.tracking.history import Row
from gle_bench.tracking.record import DataUsed, run_id
from gle_bench.tracking.store import RunFolder, Store

FINGERPRINT = "f" * 64


EPOCHS = 150


POINTS = 985  # a Lyapunov time of the grid 'fine'


FORCED = 60  # steps before the predicted ones


Curve = Sequence[float]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty store, with no published records beside it."""
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "published")
    return tmp_path / "runs"


def run(
    runs: Path,
    seed: int,
    curve: Curve,
    model: str = "gle-15k",
    task: str = "mnist1d",
    budget: Any = "paper",
    protocol: Any = "paper",
    averages: Curve = (),
    **changes: Any,
) -> RunFolder:
    """A run as `execute` writes it, with one evaluation for each value of `curve`, from round 0 on."""
    config = registry.pair(task, model).configure(budget).model_copy(update={"protocol": protocol})
    split, name = registry.task(task).evaluation_split(protocol), registry.task(task).metric.name
    digest = changes.pop("config_hash", run_hash(config, FINGERPRINT))
    folder = Store(runs).folder(task, model, None, digest, seed)
    rows: list[Row] = [
        {"round": k, "update": k, "epoch": float(k), "split": split, name: value} for k, value in enumerate(curve)
    ]
    rows = [{**row, f"{name}_averaged": value} for row, value in zip(rows, averages, strict=True)] if averages else rows
    folder.write_history([{**row, "rate": 1e-3, "wall_s": 1.0} for row in rows])
    ends = {name: curve[-1], **({f"{name}_averaged": averages[-1]} if averages else {})}
    final = {split: {metric: {"value": float(end), "n": 1} for metric, end in ends.items()}}
    fields = {
        "run_id": run_id(task, model, None, digest, seed),
        "task": task,
        "model": model,
        "rule": config.rule,
        "protocol": protocol,
        "budget": budget,
        "config": config.model_dump(mode="json"),
        "config_hash": digest,
        "metrics": {"last": final, "best": final},
        "data": DataUsed(fingerprint=FINGERPRINT, official=True, digests={}),
        "marks": () if budget == "paper" else (f"budget {budget}",),
    }
    folder.write(example(seed, **(fields | changes)))
    return folder


def signal(count: int, seed: int) -> np.ndarray:
    """A standardised signal, (1, count, 1)."""
    return np.random.default_rng(seed).standard_normal((1, count, 1)).cumsum(1).astype(np.float32) / 30


def fall(end: float, epochs: int = EPOCHS) -> np.ndarray:
    """A curve that falls from 90 to exactly `end`, fast at first."""
    return end + (90 - end) * np.linspace(1, 0, epochs + 1) ** 4


def chaos(
    runs: Path, seed: int, end: float, rounds: Sequence[int] = (40, 138, EPOCHS), model: str = "gle", **changes: Any
) -> RunFolder:
    """A run on Mackey-Glass whose sMAPE falls to `end`, with outputs after these rounds and at the end."""
    clean = changes.get("protocol") == "clean"
    curve = list(fall(end, changes.pop("epochs", EPOCHS)))
    folder = run(runs, seed, curve, model, "mackey-glass", **changes)
    for split, times in {"validation": 1, "test": 10}.items() if clean else [("test", 10)]:
        count = FORCED + times * POINTS
        arrays = {f"{split}_targets": signal(count, seed)}
        if split == ("validation" if clean else "test") and rounds:
            folder.add_traces(**arrays, **{f"{split}_decisions_{n}": signal(count, 1000 * n + seed) for n in rounds})
        last = signal(count, 1000 * EPOCHS + seed)
        folder.write_predictions(**{**folder.read_predictions(), **arrays, f"{split}_decisions": last})
    return folder
