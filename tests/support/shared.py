"""Files from outside the checkout that tests read, and a folder of data that is made once for all tests."""

import os
from pathlib import Path

import pytest

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]


def shared_path(relative: str) -> Path:
    """`relative` in $GLEBENCH_SHARED, or else in ../shared beside the checkout; skips the test if it is missing."""
    chosen = os.environ.get("GLEBENCH_SHARED")
    folder = Path(chosen) if chosen else ROOT.parent / "shared"
    path = folder / relative
    if not path.exists():
        pytest.skip(f"{path} is missing; set GLEBENCH_SHARED to the folder that has {relative}")
    return path


def mnist1d_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder of MNIST-1D data, which all of pytest's processes share, since `prepare` writes whole files."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mnist1d"
