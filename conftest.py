"""What all tests share, the contract tests included."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: pytest runs a process a core, and more would fight


@pytest.fixture(scope="session", autouse=True)
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of all data, under GLEBENCH_DATA: one for all processes of pytest-xdist, which write whole files.

    What would be downloaded is in it, in small.
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
