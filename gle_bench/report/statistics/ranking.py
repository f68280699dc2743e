"""Tests of models against each other: Welch's or the paired t test of each pair, Holm's correction, and groups.

All spreads are sample standard deviations (ddof 1), all intervals 95 %, all values in the metric's own unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from string import ascii_lowercase

from gle_bench.report.statistics import welch
from gle_bench.report.statistics.equivalence import ALPHA, FEWEST_SEEDS, MOST_SEEDS, difference_interval, mean_interval
from gle_bench.report.statistics.welch import Estimate, Interval, Sample, sample

Values = Mapping[int, float]  # {seed: value}


@dataclass(frozen=True)
class Test:
    """The test of two models against each other.

    Attributes:
        paired: whether the two were compared seed by seed.
        seeds: the numbers of seeds of both; where the test is paired, the number that they have in common, twice.
        difference: the first mean minus the second.
        interval: the 95 % interval of the difference; None with fewer than three seeds.
        effect: Hedges' g; in a paired test, the mean difference over the standard deviation of the differences. None
            where nothing varies.
        p: two-sided; None with fewer than three seeds.
        holm: the same, corrected for all pairs that were tested.
        needed: how many seeds of each model would tell the two apart, before any correction, if means and spreads
            stayed as they are; None where they are told apart, or where 1,000 would not be enough.
    """

    paired: bool
    seeds: tuple[int, int]
    difference: float
    interval: Interval | None = None
    effect: float | None = None
    p: float | None = None
    holm: float | None = None
    needed: int | None = None

    @property
    def separate(self) -> bool:
        """Whether the difference is significant after correction."""
        return self.holm is not None and self.holm < ALPHA


def compare_two(first: Values, second: Values, paired: bool) -> Test:
    """The test of one pair before correction: the paired test over common seeds, or Welch's over all seeds."""
    if paired:
        common = sorted(first.keys() & second.keys())
        return _paired([first[seed] - second[seed] for seed in common])
    return _welch(sample([*first.values()]), sample([*second.values()]))


def corrected(tests: Sequence[Test]) -> list[Test]:
    """The same tests with Holm's p: the smallest of m is multiplied by m, the next by m - 1, never decreasing."""
    ranked = sorted((test.p, place) for place, test in enumerate(tests) if test.p is not None)
    scaled = accumulate((min(1.0, (len(ranked) - k) * p) for k, (p, _) in enumerate(ranked)), max)
    holm = {place: p for (_, place), p in zip(ranked, scaled, strict=True)}
    return [replace(test, holm=holm.get(place)) for place, test in enumerate(tests)]


def letters(count: int, apart: Sequence[tuple[int, int]]) -> list[str]:
    """The letters of the models 0 to count - 1: two models share a letter exactly if their pair is not in `apart`.

    By Piepho's insert-and-absorb: a group of all models is split at each pair, and a group within another is dropped.
    """
    groups = [set(range(count))]
    for i, j in apart:
        split = [group - {other} for group in groups if {i, j} <= group for other in (i, j)]
        groups = [group for group in groups if not {i, j} <= group] + split
        groups = [g for k, g in enumerate(groups) if not any(g < h or (g == h and m < k) for m, h in enumerate(groups))]
    groups.sort(key=sorted)
    names = [ascii_lowercase[k % 26] * (1 + k // 26) for k in range(len(groups))]
    return [
        "".join(name for name, group in zip(names, groups, strict=True) if model in group) for model in range(count)
    ]


def _welch(first: Sample, second: Sample) -> Test:
    difference, seeds = first.mean - second.mean, (first.n, second.n)
    if first.sd is None or second.sd is None or min(seeds) < FEWEST_SEEDS:
        return Test(False, seeds, difference)
    interval = difference_interval(first, second)
    spread = (((first.n - 1) * first.sd**2 + (second.n - 1) * second.sd**2) / (sum(seeds) - 2)) ** 0.5
    if not spread:  # where nothing varies, the difference is known exactly
        return Test(False, seeds, difference, interval, p=0.0 if difference else 1.0)
    effect = difference / spread * (1 - 3 / (4 * sum(seeds) - 9))  # Hedges' correction for few seeds
    p = float(welch.welch(first, second).p_different()[0])
    later = range(max(seeds) + 1, MOST_SEEDS + 1)
    needed = None if p < ALPHA else _first(later, welch.difference(first, second, later, later))
    return Test(False, seeds, difference, interval, effect, p, needed=needed)


def _paired(differences: Sequence[float]) -> Test:
    count = len(differences)
    if not count:
        return Test(True, (0, 0), float("nan"))
    ours = sample(differences)
    if ours.sd is None or count < FEWEST_SEEDS:
        return Test(True, (count, count), ours.mean)
    if not ours.sd:
        return Test(True, (count, count), ours.mean, (ours.mean,) * 2, p=0.0 if ours.mean else 1.0)
    effect = ours.mean / ours.sd
    p = float(welch.mean(ours).p_different()[0])
    later = range(count + 1, MOST_SEEDS + 1)
    needed = None if p < ALPHA else _first(later, welch.mean(ours, later))
    return Test(True, (count, count), ours.mean, mean_interval(ours), effect, p, needed=needed)


def _first(sizes: Sequence[int], difference: Estimate) -> int | None:
    """The first number of seeds with which the difference is significant."""
    apart = difference.p_different() < ALPHA
    return int(sizes[int(apart.argmax())]) if apart.any() else None
