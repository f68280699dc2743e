"""What several tests need from outside: the reference's published figures, and data made once for all of them."""

import os
from pathlib import Path

import pytest

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]


def shared_path(relative: str) -> Path:
    """`relative` under $GLEBENCH_SHARED, else under ../shared beside the checkout; skips the test where it is not."""
    chosen = os.environ.get("GLEBENCH_SHARED")
    folder = Path(chosen) if chosen else ROOT.parent / "shared"
    path = folder / relative
    if not path.exists():
        pytest.skip(f"{path} is missing; set GLEBENCH_SHARED to the folder that has {relative}")
    return path


def mnist1d_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder of MNIST-1D data for all of pytest's processes: `prepare` writes whole files, so they may race."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mnist1d"
