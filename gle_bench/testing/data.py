"""The data with which contracts are tested."""

from pathlib import Path

import pytest
import torch

from gle_bench.config import TaskOptions
from gle_bench.contracts import Data, Split, Task
from gle_bench.files.disk import data_folder
from gle_bench.words import Protocol


def folder_of(task: Task, options: TaskOptions, made: Path) -> Path:
    """The folder with a task's data, generated under `made` or downloaded earlier by `glebench prepare`.

    The test is skipped if data that need a download are missing.
    """
    if task.downloads:
        folder = data_folder(None) / task.name
        if not task.is_prepared(folder, options):
            pytest.skip(f"{folder} has no data of {task.name}; get them with: glebench prepare {task.name}")
        return folder
    folder = made / task.name
    task.prepare(folder, options, lambda line: None)
    assert task.is_prepared(folder, options)
    return folder


def load(task: Task, options: TaskOptions, protocol: Protocol, made: Path, seed: int = 1) -> Data:
    """A task's data; those of `seed` if every seed has its own."""
    return task.load(folder_of(task, options, made), options, protocol, seed if task.data_per_seed else None)


def some(split: Split, count: int = 4) -> torch.Tensor:
    """The indices of a few samples, repeated if the split has fewer."""
    return torch.arange(count) % len(split)
