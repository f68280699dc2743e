"""Where the reference's published figures lie: outside the repository, so not on every machine."""

import os
from pathlib import Path

import pytest


def shared_path(relative: str) -> Path:
    """`relative` under $GLEBENCH_SHARED, else under ../shared beside the checkout; skips the test where it is not."""
    chosen = os.environ.get("GLEBENCH_SHARED")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "shared"
    path = folder / relative
    if not path.exists():
        pytest.skip(f"{path} is missing; set GLEBENCH_SHARED to the folder that has {relative}")
    return path
