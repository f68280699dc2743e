"""Verdicts agree with scipy and statsmodels on raw data, and keep their promises over many simulated experiments."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from gle_bench.contracts import Published
from gle_bench.report.statistics.equivalence import compare, mean_interval, published_sample
from gle_bench.report.statistics.welch import Sample, sample

THEIRS = np.array([93.1, 94.2, 92.5, 93.9, 95.0, 92.8, 93.3, 94.4, 92.2, 93.6])
OURS = np.array([93.4, 92.9, 94.0, 93.8, 92.6, 94.3, 93.0])


def cell(theirs: Sequence[float] = THEIRS, **changes: Any) -> Published:
    data = np.asarray(theirs)
    own = Published("gle", data.mean(), "a table", data.std(), n=len(data), margin=1.0)
    return replace(own, **changes)


def test_published_spreads_become_sample_deviations() -> None:
    sd, n = THEIRS.std(ddof=1), len(THEIRS)
    for kind, spread in {"population sd": THEIRS.std(), "sample sd": sd, "sem": stats.sem(THEIRS)}.items():
        found = published_sample(cell(spread=spread, spread_kind=kind))
        assert found is not None
        assert found.sd == pytest.approx(sd, rel=1e-12)
        assert found.n == n


@pytest.mark.parametrize("changes", [{"spread": None}, {"spread_kind": "none"}, {"n": None}, {"n": 1}])
def test_no_verdict_without_a_published_spread(changes: dict[str, Any]) -> None:
    found = compare(cell(**changes), [*OURS])
    assert (found.verdict, found.interval, found.without) == (None, None, "no spread")
    assert found.difference == pytest.approx(OURS.mean() - THEIRS.mean())


def test_no_verdict_without_a_margin_or_with_two_seeds() -> None:
    assert compare(cell(margin=None), [*OURS]).without == "no margin"
    assert compare(cell(margin=None), [*OURS]).interval is not None
    assert compare(cell(), [93.0, 94.0]).without == "< 3 seeds"
    assert compare(cell(), [93.0, 94.0]).interval is not None
    alone = compare(cell(), [93.0])
    assert (alone.verdict, alone.interval, alone.without) == (None, None, "< 3 seeds")
    assert compare(cell(THEIRS[:2]), [*OURS]).without == "< 3 seeds"


def test_intervals_are_those_of_the_raw_data() -> None:
    assert mean_interval(sample([*OURS])) == pytest.approx(DescrStatsW(OURS).tconfint_mean(), rel=1e-12)
    welch = stats.ttest_ind(OURS, THEIRS, equal_var=False).confidence_interval(0.95)
    assert compare(cell(), [*OURS]).interval == pytest.approx(tuple(welch), rel=1e-9)
    assert mean_interval(Sample(93.0, None, 1)) is None


@pytest.mark.parametrize("shift", [0.0, 0.3, -0.45, 0.8, 1.5, -3.0])
@pytest.mark.parametrize("margin", [0.2, 0.6, 1.0, 2.0])
def test_verdicts_are_those_of_statsmodels_on_the_raw_data(shift: float, margin: float) -> None:
    ours = OURS + shift
    means = CompareMeans(DescrStatsW(ours), DescrStatsW(THEIRS))
    low, high = means.tconfint_diff(usevar="unequal")
    expected = "inconclusive" if low <= 0 <= high else "deviates"
    if means.ttost_ind(-margin, margin, usevar="unequal")[0] < 0.05:
        expected = "reproduced"
    assert compare(cell(margin=margin), [*ours]).verdict == expected


def test_the_number_of_seeds_that_decides() -> None:
    """The first size at which two one-sided tests or the interval, asked one by one, decide."""
    known = cell(margin=0.6)
    found = compare(known, [*OURS])
    theirs = published_sample(known)
    assert found.verdict == "inconclusive"
    assert theirs is not None
    mean, sd = OURS.mean(), OURS.std(ddof=1)

    def decided(n: int) -> bool:
        error = math.sqrt(sd**2 / n + theirs.sd**2 / theirs.n)
        dof = error**4 / (sd**4 / n**2 / (n - 1) + theirs.sd**4 / theirs.n**2 / (theirs.n - 1))
        difference = abs(mean - theirs.mean)
        return difference + stats.t.ppf(0.95, dof) * error < 0.6 or difference > stats.t.ppf(0.975, dof) * error

    expected = next((n for n in range(len(OURS) + 1, 1001) if decided(n)), None)
    assert found.decisive_n == expected
    assert expected is not None


def test_no_number_of_our_seeds_makes_up_for_their_spread() -> None:
    found = compare(cell(margin=0.1), [*OURS])
    assert (found.verdict, found.decisive_n) == ("inconclusive", None)


def test_without_any_spread_the_difference_is_exact() -> None:
    known = cell([93.0] * 5)
    assert compare(known, [93.5] * 3).verdict == "reproduced"
    assert compare(known, [95.0] * 3).verdict == "deviates"
    assert compare(known, [93.5] * 3).interval == (0.5, 0.5)
    assert compare(cell(), [93.5] * 3).verdict in ("reproduced", "inconclusive")


def verdicts(gap: float, margin: float, times: int, seed: int) -> list[Any]:
    """Many experiments of ten against twelve seeds whose true means are `gap` apart."""
    draw = np.random.default_rng(seed)
    return [
        compare(cell(draw.normal(90, 1.0, 10), margin=margin), [*draw.normal(90 + gap, 1.5, 12)]) for _ in range(times)
    ]


def test_intervals_cover_the_truth() -> None:
    found = verdicts(gap=0.7, margin=5.0, times=1000, seed=1)
    covered = np.mean([f.interval[0] <= 0.7 <= f.interval[1] for f in found])
    assert covered == pytest.approx(0.95, abs=0.02)  # three standard errors


def test_a_difference_at_the_margin_is_rarely_called_reproduced() -> None:
    found = verdicts(gap=2.0, margin=2.0, times=1000, seed=2)
    assert np.mean([f.verdict == "reproduced" for f in found]) == pytest.approx(0.05, abs=0.02)


def test_no_difference_is_rarely_called_a_deviation() -> None:
    found = verdicts(gap=0.0, margin=1e-6, times=400, seed=3)
    assert np.mean([f.verdict == "deviates" for f in found]) == pytest.approx(0.05, abs=0.033)


values = st.lists(st.integers(-400, 400).map(lambda i: i / 100), min_size=3, max_size=12)
spread_out = values.filter(lambda v: max(v) - min(v) >= 0.05)


@settings(max_examples=40, deadline=None)
@given(ours=spread_out, theirs=spread_out, shift=st.integers(-50, 50), margin=st.sampled_from([0.5, 1.0, 2.0]))
def test_shifting_both_changes_nothing(ours: list[float], theirs: list[float], shift: int, margin: float) -> None:
    moved = compare(cell(np.array(theirs) + shift, margin=margin), [v + shift for v in ours])
    still = compare(cell(theirs, margin=margin), ours)
    assert moved.difference == pytest.approx(still.difference, abs=1e-9)
    assert moved.interval == pytest.approx(still.interval, abs=1e-9)
    assert moved.verdict == still.verdict


@settings(max_examples=40, deadline=None)
@given(ours=spread_out, theirs=spread_out)
def test_mirroring_both_mirrors_the_difference(ours: list[float], theirs: list[float]) -> None:
    there, back = compare(cell(theirs), ours), compare(cell([-v for v in theirs]), [-v for v in ours])
    assert back.difference == pytest.approx(-there.difference)
    assert there.interval is not None
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]), abs=1e-9)
    assert (back.verdict, back.decisive_n) == (there.verdict, there.decisive_n)


@settings(max_examples=40, deadline=None)
@given(ours=spread_out, theirs=spread_out)
def test_changing_sides_mirrors_the_difference(ours: list[float], theirs: list[float]) -> None:
    there, back = compare(cell(theirs), ours), compare(cell(ours), theirs)
    assert back.difference == pytest.approx(-there.difference)
    assert back.verdict == there.verdict


@settings(max_examples=40, deadline=None)
@given(ours=spread_out, theirs=spread_out)
def test_a_wider_margin_never_takes_a_reproduction_back(ours: list[float], theirs: list[float]) -> None:
    found = [compare(cell(theirs, margin=margin), ours).verdict == "reproduced" for margin in (0.3, 0.6, 1.2, 2.4, 4.8)]
    assert all(later or not earlier for earlier, later in pairwise(found))
