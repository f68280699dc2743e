"""Tests of our results against published ones: equivalence within a margin (TOST) and intervals, by Welch's t.

All spreads are sample standard deviations (ddof 1), all intervals 95 %, all values in the metric's own unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from gle_bench.contracts import Published
from gle_bench.report.statistics import welch
from gle_bench.report.statistics.welch import Estimate, Interval, Sample, sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["reproduced", "deviates", "inconclusive"]

ALPHA: Final = 0.05
FEWEST_SEEDS: Final = 3  # that a verdict needs; the spread of two seeds says next to nothing
MOST_SEEDS: Final = 1000  # that are tried, to find how many would decide


@dataclass(frozen=True)
class Comparison:
    """The comparison of our mean with a published value.

    Attributes:
        difference: our mean minus the published value.
        interval: Welch's 95 % interval of the difference; None where a spread is unknown.
        verdict: None where there is none.
        without: why there is no verdict; empty where there is one.
        decisive_n: for the verdict 'inconclusive', the smallest number of our seeds that would decide if means and
            spreads stayed as they are; None if 1,000 seeds would not.
    """

    difference: float
    interval: Interval | None = None
    verdict: Verdict | None = None
    without: str = ""
    decisive_n: int | None = None


def published_sample(cell: Published) -> Sample | None:
    """A published value with its spread as a sample standard deviation; None where one cannot be known.

    It needs the published spread and the number of seeds, at least two. A standard error of the mean is a sample
    standard deviation over sqrt(n).
    """
    if cell.spread is None or cell.spread_kind == "none" or cell.n is None or cell.n < 2:
        return None
    to_sample_sd = {"population sd": math.sqrt(cell.n / (cell.n - 1)), "sample sd": 1.0, "sem": math.sqrt(cell.n)}
    return Sample(cell.value, cell.spread * to_sample_sd[cell.spread_kind], cell.n)


def mean_interval(ours: Sample) -> Interval | None:
    """Student's 95 % interval of a mean; None for a single value."""
    return None if ours.sd is None else welch.mean(ours).interval(ALPHA)


def compare(cell: Published, values: Sequence[float]) -> Comparison:
    """The comparison of our values, one a seed, with a published value.

    Its verdict is 'reproduced' where TOST rejects a difference beyond the margin at 5 %; else 'deviates' where the
    interval of the difference excludes 0, and 'inconclusive' where it does not.
    """
    ours, theirs = sample(values), published_sample(cell)
    difference = ours.mean - cell.value
    if theirs is None:
        return Comparison(difference, without="no spread")
    if ours.sd is None:
        return Comparison(difference, without=f"< {FEWEST_SEEDS} seeds")
    interval = difference_interval(ours, theirs)
    if min(ours.n, theirs.n) < FEWEST_SEEDS:
        return Comparison(difference, interval, without=f"< {FEWEST_SEEDS} seeds")
    if cell.margin is None:
        return Comparison(difference, interval, without="no margin")
    verdict = _verdict(ours, theirs, cell.margin)
    decisive = _decisive_n(ours, theirs, cell.margin) if verdict == "inconclusive" else None
    return Comparison(difference, interval, verdict, decisive_n=decisive)


def difference_interval(ours: Sample, theirs: Sample) -> Interval:
    """Welch's 95 % interval of the difference of two means whose spreads are known."""
    if not ours.sd and not theirs.sd:
        return (ours.mean - theirs.mean,) * 2
    return welch.welch(ours, theirs).interval(ALPHA)


def _verdict(ours: Sample, theirs: Sample, margin: float) -> Verdict:
    if not ours.sd and not theirs.sd:  # without any spread, the difference is known exactly
        return "reproduced" if abs(ours.mean - theirs.mean) < margin else "deviates"
    equivalent, different = _decisions(welch.welch(ours, theirs), margin)
    if equivalent[0]:
        return "reproduced"
    return "deviates" if different[0] else "inconclusive"


def _decisions(difference: Estimate, margin: float) -> "tuple[NDArray[np.bool_], NDArray[np.bool_]]":
    """Whether TOST passes, and whether the interval of the difference excludes 0."""
    equivalent = (difference.p_greater(-margin) < ALPHA) & (difference.p_less(margin) < ALPHA)
    return equivalent, difference.p_different() < ALPHA


def _decisive_n(ours: Sample, theirs: Sample, margin: float) -> int | None:
    sizes = range(ours.n + 1, MOST_SEEDS + 1)
    equivalent, different = _decisions(welch.difference(ours, theirs, sizes, [theirs.n]), margin)
    decided = equivalent | different
    return sizes[int(decided.argmax())] if decided.any() else None
