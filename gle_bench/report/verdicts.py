"""Is our number the published one? Equivalence within a margin by two one-sided Welch tests (TOST), and intervals.

All spreads here are sample standard deviations (ddof 1), all intervals 95 %, all values in the metric's own unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from gle_bench.protocols import Published

if TYPE_CHECKING:  # both libraries cost seconds, and a table without runs needs neither
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["reproduced", "deviates", "inconclusive"]
Interval = tuple[float, float]

ALPHA: Final = 0.05
FEWEST_SEEDS: Final = 3  # for a verdict: the spread of two says next to nothing
MOST_SEEDS: Final = 1000  # when asked how many would decide


class Sample(NamedTuple):
    """What a test looks at: mean, sample standard deviation (None: unknown) and how many seeds."""

    mean: float
    sd: float | None
    n: int


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


def sample(values: Sequence[float]) -> Sample:
    """Mean and sample standard deviation of at least one value."""
    from statistics import fmean, stdev

    return Sample(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


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
    low, high = _described(ours).tconfint_mean(ALPHA)
    return float(low), float(high)


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


def _described(known: Sample) -> Any:
    """A weighted sample of two points with that mean, spread and size, which is all that the t statistics look at."""
    from statsmodels.stats.weightstats import DescrStatsW

    assert known.sd is not None
    half = known.sd * math.sqrt((known.n - 1) / known.n)
    return DescrStatsW([known.mean - half, known.mean + half], weights=[known.n / 2, known.n / 2])


def difference_interval(ours: Sample, theirs: Sample) -> Interval:
    """Welch's, of the difference of two means whose spreads are known."""
    from statsmodels.stats.weightstats import CompareMeans

    if not ours.sd and not theirs.sd:
        return (ours.mean - theirs.mean,) * 2
    low, high = CompareMeans(_described(ours), _described(theirs)).tconfint_diff(ALPHA, usevar="unequal")
    return float(low), float(high)


def _verdict(ours: Sample, theirs: Sample, margin: float) -> Verdict:
    if not ours.sd and not theirs.sd:  # no spread at all: the difference is known exactly
        return "reproduced" if abs(ours.mean - theirs.mean) < margin else "deviates"
    equivalent, different = _decisions(ours, theirs, margin, [ours.n])
    if equivalent[0]:
        return "reproduced"
    return "deviates" if different[0] else "inconclusive"


def _decisions(
    ours: Sample, theirs: Sample, margin: float, sizes: Sequence[int]
) -> "tuple[NDArray[np.bool_], NDArray[np.bool_]]":
    """For each number of our seeds: whether TOST passes, and whether the interval of the difference excludes 0."""
    import numpy as np
    from scipy.stats import ttest_ind_from_stats

    n = np.asarray(sizes)

    def p(shift: float, alternative: str) -> Any:
        mean, sd = np.full(n.shape, ours.mean - shift), np.full(n.shape, ours.sd)
        return ttest_ind_from_stats(mean, sd, n, *theirs, equal_var=False, alternative=alternative).pvalue

    return np.maximum(p(-margin, "greater"), p(margin, "less")) < ALPHA, p(0.0, "two-sided") < ALPHA


def _decisive_n(ours: Sample, theirs: Sample, margin: float) -> int | None:
    sizes = range(ours.n + 1, MOST_SEEDS + 1)
    equivalent, different = _decisions(ours, theirs, margin, sizes)
    decided = equivalent | different
    return sizes[int(decided.argmax())] if decided.any() else None
