"""Is our number the published one? Equivalence within a margin by two one-sided Welch tests (TOST), and intervals.

All spreads here are sample standard deviations (ddof 1), all intervals 95 %, all values in the metric's own unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from gle_bench.contracts import Published
from gle_bench.report.statistics import welch as student
from gle_bench.report.statistics.welch import Estimate, Interval, Sample, sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["reproduced", "deviates", "inconclusive"]

ALPHA: Final = 0.05
FEWEST_SEEDS: Final = 3  # for a verdict: the spread of two says next to nothing
MOST_SEEDS: Final = 1000  # when asked how many would decide


@dataclass(frozen=True)
class Comparison:
    """Ours beside a published cell.

    Attributes:
        difference: ours minus published.
        interval: Welch's, of the difference; None where a spread is unknown.
        verdict: None where `without` says why there is none.
        decisive_n: with 'inconclusive', the smallest number of our seeds that would decide if the estimates stayed as
            they are; None if 1,000 would not.
    """

    difference: float
    interval: Interval | None = None
    verdict: Verdict | None = None
    without: str = ""
    decisive_n: int | None = None


def published_sample(cell: Published) -> Sample | None:
    """A published cell as the tests need it; None where its spread or its number of seeds is unknown, or one seed.

    A standard error counts as a sample standard deviation over sqrt(n).
    """
    if cell.spread is None or cell.spread_kind == "none" or cell.n is None or cell.n < 2:
        return None
    to_sample_sd = {"population sd": math.sqrt(cell.n / (cell.n - 1)), "sample sd": 1.0, "sem": math.sqrt(cell.n)}
    return Sample(cell.value, cell.spread * to_sample_sd[cell.spread_kind], cell.n)


def mean_interval(ours: Sample) -> Interval | None:
    """Student's interval of a mean; None for a single value."""
    if ours.sd is None:
        return None
    return student.mean(ours).interval(ALPHA)


def compare(cell: Published, values: Sequence[float]) -> Comparison:
    """Our values, one a seed, against a published cell.

    'reproduced': TOST rejects a difference beyond +-margin at 5 %. 'deviates': it does not, and the interval of the
    difference excludes 0. 'inconclusive': neither.
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
    """Welch's, of the difference of two means whose spreads are known."""
    if not ours.sd and not theirs.sd:
        return (ours.mean - theirs.mean,) * 2
    return student.welch(ours, theirs).interval(ALPHA)


def _verdict(ours: Sample, theirs: Sample, margin: float) -> Verdict:
    if not ours.sd and not theirs.sd:  # no spread at all: the difference is known exactly
        return "reproduced" if abs(ours.mean - theirs.mean) < margin else "deviates"
    equivalent, different = _decisions(student.welch(ours, theirs), margin)
    if equivalent[0]:
        return "reproduced"
    return "deviates" if different[0] else "inconclusive"


def _decisions(found: Estimate, margin: float) -> "tuple[NDArray[np.bool_], NDArray[np.bool_]]":
    """Whether TOST passes, and whether the interval of the difference excludes 0."""
    equivalent = (found.p_greater(-margin) < ALPHA) & (found.p_less(margin) < ALPHA)
    return equivalent, found.p_different() < ALPHA


def _decisive_n(ours: Sample, theirs: Sample, margin: float) -> int | None:
    sizes = range(ours.n + 1, MOST_SEEDS + 1)
    equivalent, different = _decisions(student.difference(ours, theirs, sizes, [theirs.n]), margin)
    decided = equivalent | different
    return sizes[int(decided.argmax())] if decided.any() else None
