"""Fixtures of the tests in this folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


@pytest.fixture(scope="session", autouse=True)
def power_stays_on() -> Iterator[None]:
    """Files are written without waiting for the disk, a tenth of all tests' time; the installed command waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def data(downloads: Path) -> Path:
    """The folder of all data, with small substitutes for what would be downloaded."""
    return downloads


@pytest.fixture(params=["graph", "native", "torch"])
def engine(request: pytest.FixtureRequest) -> Any:
    """Every engine in turn. The test is skipped, with the reason, if the engine is absent or refuses its network."""
    from gle_bench.testing.engines import Tried

    return Tried(request.param)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread, as the tests' commands have, because a checkpoint is resumed under the threads it was made under."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
