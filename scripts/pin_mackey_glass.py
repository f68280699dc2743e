#!/usr/bin/env python3
"""Writes tasks/mackey_glass/series.npz, the series that every run of the task sees, and prints its SHA-256.

It needs jitcdde, `pip install 'glebench[pin]'`, and a C compiler. The equation is chaotic: another solver or tolerance
makes another series after some twenty Lyapunov times, and another machine somewhat later. Run it again only if the data
set itself is meant to change.
"""

import numpy as np
from jitcdde import jitcdde, t, y

from gle_bench.files.disk import sha256
from gle_bench.recipes.mackey_glass import LYAPUNOV, POINTS
from gle_bench.registry import load

TOLERANCE = 1e-13  # absolute and relative, of one step; jitcdde's defaults deviate by 7e-3 after five Lyapunov times
SMALLEST_STEP = 1e-14


def main() -> None:
    of = load("gle_bench.tasks.mackey_glass.series")
    delayed = y(0, t - of.DELAY)
    equation = jitcdde([of.BETA * delayed / (1 + delayed**of.POWER) - of.GAMMA * y(0)], verbose=False)
    equation.set_integration_parameters(atol=TOLERANCE, rtol=TOLERANCE, min_step=SMALLEST_STEP)
    equation.constant_past([of.PAST])
    equation.step_on_discontinuities()
    points = of.TIMES * POINTS["fine"] + 1
    times = equation.t + np.arange(points) * (LYAPUNOV / POINTS["fine"])
    series = np.array([equation.integrate(time)[0] for time in times], "<f8")
    np.savez_compressed(of.PINNED, series=series)
    print(f"{of.PINNED}: {of.PINNED.stat().st_size} bytes, {points} points, SHA-256 {sha256(series.tobytes())}")


if __name__ == "__main__":
    main()
