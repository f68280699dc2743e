"""The data on which a contract is tested."""

from pathlib import Path

import pytest
import torch

from gle_bench.config import TaskOptions
from gle_bench.contracts import Data, Split, Task
from gle_bench.data.files import data_folder
from gle_bench.words import Protocol


def folder_of(task: Task, options: TaskOptions, made: Path) -> Path:
    """The folder with a task's data: prepared under `made`, or where `glebench prepare` puts what is downloaded.

    The test is skipped where data that have to be downloaded are not there.
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
    """A task's data; those of one seed, where every seed has its own."""
    return task.load(folder_of(task, options, made), options, protocol, seed if task.data_per_seed else None)


def some(split: Split, count: int = 4) -> torch.Tensor:
    """Indices of a few samples, again and again where there are fewer."""
    return torch.arange(count) % len(split)
