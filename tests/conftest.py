"""What the tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def data(downloads: Path) -> Path:
    """The folder of all data. What would be downloaded is in it, in small."""
    return downloads


@pytest.fixture(params=["graph", "native", "torch"])
def engine(request: pytest.FixtureRequest) -> Any:
    """Every engine in turn. A test is skipped, with the reason, where one is absent or refuses what the test asks."""
    from gle_bench.testing.engines import Tried

    return Tried(request.param)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the commands have: a checkpoint is resumed under as many threads as it was made under."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
