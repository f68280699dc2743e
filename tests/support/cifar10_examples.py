"""Small copies of CIFAR-10's python archive, with a few random images in each file."""

import pickle
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TREE = "cifar-10-batches-py"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {f"data_batch_{n}": f"training batch {n} of 5" for n in range(1, 6)} | {"test_batch": "testing batch 1 of 1"}
PER_BATCH = 20


def batch(name: str, **changes: Any) -> dict[bytes, Any]:
    """The content of the file of that name, with random images; `changes` replace fields of it."""
    random = np.random.default_rng(list(BATCHES).index(name))
    whole = {
        "batch_label": BATCHES[name].encode(),
        "labels": [n % 10 for n in range(PER_BATCH)],
        "data": random.integers(0, 256, (PER_BATCH, 3072), np.uint8),
        "filenames": [b"some_%d.png" % n for n in range(PER_BATCH)],
    }
    return {key.encode(): value for key, value in (whole | changes).items()}


def write(path: Path, content: Mapping[bytes, Any], protocol: int = 2) -> None:
    path.write_bytes(pickle.dumps(dict(content), protocol))


def write_tree(root: Path) -> Path:
    """Writes all files of the archive, which appear at once, so that several processes may call it."""
    if root.exists():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=root.parent))
    for name in BATCHES:
        write(partial / name, batch(name))
    write(partial / "batches.meta", {b"label_names": [name.encode() for name in CLASSES], b"num_vis": 3072})
    try:
        partial.rename(root)
    except OSError:
        shutil.rmtree(partial)  # another process was faster
    return root
