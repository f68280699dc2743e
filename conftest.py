"""Fixtures of all tests, those of the contracts included."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: pytest runs one process on each core


@pytest.fixture(scope="session", autouse=True)
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of all data, set as GLEBENCH_DATA, with small substitutes for what would be downloaded.

    All processes of pytest-xdist share it, since they write whole files.
    """
    import cifar10_examples
    import gsc_examples

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "data"
    gsc_examples.write_tree(folder / "gsc" / gsc_examples.TREE)
    cifar10_examples.write_tree(folder / "cifar10" / cifar10_examples.TREE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLEBENCH_DATA", str(folder))
        yield folder
