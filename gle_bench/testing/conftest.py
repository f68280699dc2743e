"""The fixtures of the contract tests."""

import os
from pathlib import Path

import pytest

from gle_bench.testing.engines import NAMES, Tried


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of data that tests generate, shared by all processes of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "data"


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest) -> Tried:
    """Every engine in turn. The test is skipped, with the reason, if the engine is absent or refuses its network."""
    return Tried(request.param)
