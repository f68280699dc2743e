"""Runs of the toy models, trained by `execute`, and the files that they leave."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gle_bench.chosen import resolve, resolved
from gle_bench.config import RunConfig
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder
from gle_bench.training.execute import execute
from gle_bench.training.plan import Settings


def configured(
    task: str, model: str, *assignments: str, rule: str | None = None, protocol: Any = "paper", budget: Any = "paper"
) -> RunConfig:
    """The configuration of a pair of task and model, with overrides."""
    return resolve(task, model, rule, protocol, budget, assignments).config


def run(config: RunConfig, seeds: Sequence[int], runs: Path, **settings: Any) -> list[Record]:
    """Runs the seeds, by the `torch` engine unless `settings` name another, so that no compiler is needed."""
    return execute(
        resolved(config),
        seeds,
        Settings(runs, runs / "data", **{"engine": "torch", "wandb": "off", **settings}),
    )


def seed_folder(runs: Path, seed: int) -> RunFolder:
    """The folder of that seed, of which the store has exactly one run."""
    (folder,) = runs.glob(f"*/*/*/seed-{seed}")
    return RunFolder(folder)


def column(runs: Path, seed: int, name: str) -> list[Any]:
    return [row[name] for row in seed_folder(runs, seed).read_history()]


def checkpoint(runs: Path, seed: int, name: Any = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(seed_folder(runs, seed).checkpoint(name), weights_only=True)
    return content


def parameters(runs: Path, seed: int, name: Any = "last") -> list[Tensor]:
    member = checkpoint(runs, seed, name)["member"]
    return tensors(member["model"] if "model" in member else member["parameters"])


def tensors(content: Any) -> list[Tensor]:
    """Every tensor in a nest of lists and dicts, in order."""
    if isinstance(content, Tensor):
        return [content]
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else []
    return [tensor for part in parts for tensor in tensors(part)]


def close(a: list[Tensor], b: list[Tensor], tolerance: float = 0.0) -> bool:
    return all(torch.allclose(x, y, rtol=0, atol=tolerance) for x, y in zip(a, b, strict=True))


def assert_alike(one: Path, other: Path, seed: int, tolerance: float = 0.0) -> None:
    """Asserts that the runs of a seed in two stores are equal except for times, in all their files."""
    _assert_alike(_left_behind(one, seed), _left_behind(other, seed), tolerance)


def _left_behind(runs: Path, seed: int) -> dict[str, Any]:
    """The results of a run that must repeat exactly, by name."""
    folder, content = seed_folder(runs, seed), checkpoint(runs, seed)
    del content["under"]  # engines that are compared differ in it
    record = folder.read()
    assert record is not None
    return {
        "history": folder.read_history(),
        "predictions": dict(folder.read_predictions()),
        "checkpoint": content,
        "record": record.model_dump(include={"status", "metrics", "best_round", "config_hash"}),
    }


def _assert_alike(a: Any, b: Any, tolerance: float) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a.keys() - {"wall_s", "seed_s"}:
            _assert_alike(a[name], b[name], tolerance)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _assert_alike(x, y, tolerance)
    elif isinstance(a, float | np.ndarray | Tensor):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    else:
        assert a == b
