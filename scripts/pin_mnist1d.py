#!/usr/bin/env python3
"""Writes tasks/mnist1d_reference.npz, which decides whether generated MNIST-1D data are official.

Run it again only if the data set itself is meant to change: every fingerprint changes with it.
"""

from typing import get_args

import numpy as np

from gle_bench.recipes.mnist1d import Steps
from gle_bench.registry import TASKS, load

SIGNS_SEED = 0


def main() -> None:
    task = load(TASKS["mnist1d"].partition(":")[0])
    lengths = get_args(Steps)
    signs = np.ones((2, max(lengths)), np.int8)
    signs[1] -= 2 * np.random.default_rng(SIGNS_SEED).integers(0, 2, max(lengths), np.int8)
    arrays = {"signs": signs}
    for steps in lengths:
        inputs, labels = task.generate(steps)
        arrays["labels"] = labels.astype(np.uint8)  # the same for every length
        arrays[f"sums_{steps}"] = np.rint(inputs @ signs[:, :steps].T / task.UNIT).astype(np.int64)
        arrays[f"whole_{steps}"] = inputs[task.WHOLE]
    np.savez_compressed(task.REFERENCE, **arrays)
    print(f"{task.REFERENCE}: {task.REFERENCE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
