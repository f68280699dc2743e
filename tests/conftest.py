"""What the tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: pytest runs a process a core, and more would fight
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all data: one for all workers, which write to it without disturbing each other.

    What would be downloaded is in it, in small.
    """
    import cifar10_examples
    from gsc_examples import TREE, write_tree

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "data"
    write_tree(folder / "gsc" / TREE)
    cifar10_examples.write_tree(folder / "cifar10" / cifar10_examples.TREE)
    return folder


@pytest.fixture(params=["graph", "native", "torch"])
def engine(request: pytest.FixtureRequest) -> Any:
    """Every engine in turn. A test is skipped, with the reason, where one is absent or refuses what the test asks."""
    from networks import Tried

    return Tried(request.param)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the commands have: a checkpoint is resumed under as many threads as it was made under."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
