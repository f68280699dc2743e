"""How the values of an image are arranged for a network: as one vector, or as rows in an order of rows and channels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gle_bench.recipes.cifar10 import CIFAR10Options, RowOrder

from .batches import PIXELS, SHAPE

ROWS: Final = SHAPE[1]
ROW: Final = PIXELS // ROWS  # values of a row: 32 pixels of three channels
SHUFFLE_SEED: Final = 7  # seed of the shuffled order of rows, the same for all images and all runs


def row_order(name: RowOrder) -> NDArray[np.int64]:
    """The numbers of an image's rows, counted from the top, in the order in which they are shown: (32,)."""
    if name == "shuffled":
        return np.random.RandomState(SHUFFLE_SEED).permutation(ROWS)  # NumPy guarantees its numbers
    return np.arange(ROWS) if name == "top-down" else np.arange(ROWS)[::-1]


def arranged(pixels: NDArray[np.uint8], options: CIFAR10Options) -> NDArray[np.uint8]:
    """Images as the files have them, (M, 3072), plane by plane, in the arrangement that the options name.

    A still image is (M, 1, 3072), row by row, each pixel as red, green and blue. Rows are (M, 32, 96), in their order.
    """
    planes = pixels.reshape(-1, *SHAPE)
    if options.presentation == "still":
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).reshape(-1, 1, PIXELS)
    within = (0, 2, 3, 1) if options.channel_order == "interleaved" else (0, 2, 1, 3)
    rows = planes.transpose(within)[:, row_order(options.row_order)]
    return np.ascontiguousarray(rows).reshape(-1, ROWS, ROW)
