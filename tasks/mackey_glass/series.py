"""The series: a pinned solution of a delay differential equation, or NeuroBench's own file if the user has it."""

import io
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gle_bench.errors import GleBenchError, UsageError
from gle_bench.files.disk import sha256
from gle_bench.files.foreign import content, opened, sentence_if_unreadable
from gle_bench.files.foreign_arrays import ArrayForm, array, arrays
from gle_bench.recipes.mackey_glass import HALF, LYAPUNOV, POINTS, Grid

# x'(t) = BETA x(t - DELAY) / (1 + x(t - DELAY)^POWER) - GAMMA x(t) (Eq. 55), from the constant PAST. The series begins
# one delay later, which is where jitcdde begins after the discontinuity at the end of that past.
DELAY: Final = 17.0
BETA: Final = 0.2
GAMMA: Final = 0.1
POWER: Final = 10
PAST: Final = 0.7206597
TIMES: Final = 50  # length of the series in Lyapunov times
PINNED: Final = Path(__file__).with_name("series.npz")  # made by scripts/pin_mackey_glass.py
DIGEST: Final = "410825b5f4d1a4078985e804ba06a4fc6af369f2c183df2d1d6d7f44089a8ac5"  # SHA-256 of the pinned values
NEUROBENCH: Final = "mg_17.npy"  # name of NeuroBench's file
# SHA-256 of NeuroBench's file as others published it (github.com/keskival/sleeping_machines, of 2026, in its
# neurobench_mg_data_manifest.json); we could not download the original.
NEUROBENCH_DIGEST: Final = "5a38b38eca91667c120a3fbbe1a27859ef6071c521a03753ef1cace39d3ce745"
SEQUENCE: Final = 2 * HALF  # length of a sequence in Lyapunov times

Values = NDArray[np.float64]


class Series(NamedTuple):
    """The signal on a grid, (M,).

    Attributes:
        source: SHA-256 of the pinned values, or of NeuroBench's file.
        official: whether it is the pinned series or NeuroBench's own.
        notes: for the records: how it differs from the pinned series.
    """

    values: Values
    source: str
    official: bool
    notes: tuple[str, ...]


def series(folder: Path, grid: Grid) -> Series:
    """The series on a grid: NeuroBench's if its file is in the folder, else the pinned one.

    Raises:
        GleBenchError: a file cannot be read, or is no such series.
    """
    file = folder / NEUROBENCH
    if not file.exists():
        return Series(_pinned(grid), DIGEST, True, ())
    values, source = _neurobench(file)
    note = f"The series is that of {NEUROBENCH}, not the pinned one."
    if grid != "neurobench":
        note += " Between its 75 points a Lyapunov time it is a cubic spline, which is off by 3e-3 at most."
    return Series(_regridded(values, "neurobench", grid), source, source == NEUROBENCH_DIGEST, (note,))


def sequence(whole: Series, grid: Grid, number: int) -> Values:
    """Sequence `number` of a series: 20 Lyapunov times and one point, half a Lyapunov time after sequence `number` - 1.

    Raises:
        UsageError: the series is too short for it.
    """
    length = SEQUENCE * POINTS[grid] + 1
    start = number * POINTS[grid] // 2
    if start + length > len(whole.values):
        most = max(k for k in range(2 * TIMES) if k * POINTS[grid] // 2 + length <= len(whole.values))
        raise UsageError(
            f"Seed {number} must be at most {most}: the series of {TIMES} Lyapunov times has no later sequence. "
            f"Sequence k starts k/2 Lyapunov times after the beginning, and is {SEQUENCE} long."
        )
    return whole.values[start : start + length]


@cache
def _pinned(grid: Grid) -> Values:
    """The pinned series, which is on the fine grid; on another grid by a cubic spline."""
    with sentence_if_unreadable(PINNED, "it comes with glebench, so install glebench anew"), opened(PINNED) as file:
        values: Values = arrays(file, {"series": ArrayForm("f", (None,))})["series"].astype("<f8")
    if sha256(values.tobytes()) != DIGEST:
        raise GleBenchError(f"{PINNED} is not the series that glebench came with; install glebench anew.")
    return _regridded(values, "fine", grid)


def _neurobench(file: Path) -> tuple[Values, str]:
    """The values of a file in NeuroBench's format, and the SHA-256 of the file."""
    with sentence_if_unreadable(file, "replace it by NeuroBench's, or delete it"):
        raw = content(file)
        values = array(io.BytesIO(raw))
    least = SEQUENCE * POINTS["neurobench"] + 1
    if values.ndim != 1 or values.dtype.kind != "f" or len(values) < least or not np.isfinite(values).all():
        raise GleBenchError(
            f"{file} is no series of {least} numbers or more; replace it by NeuroBench's, of 3,751, or delete it."
        )
    return values.astype(np.float64), sha256(raw)


def _regridded(values: Values, grid: Grid, other: Grid) -> Values:
    """The values on another grid, by a cubic spline."""
    from scipy.interpolate import CubicSpline  # slow to import, and not needed by commands that only list tasks

    if grid == other:
        return values
    old_step, new_step = (LYAPUNOV / POINTS[name] for name in (grid, other))
    points = (len(values) - 1) * POINTS[other] // POINTS[grid] + 1
    regridded: Values = CubicSpline(old_step * np.arange(len(values)), values)(new_step * np.arange(points))
    return regridded
