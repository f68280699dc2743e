"""Student's and Welch's t for means whose value, spread and number of seeds are known.

They use the distribution functions of `scipy.special`. scipy.stats and statsmodels have the same tests, and our tests
compare these with them; but importing them takes a second, as long as a table of thousands of records takes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # numpy and scipy cost a fifth of a second, and a table without runs needs neither
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]


class Sample(NamedTuple):
    """The mean of a metric over seeds, its sample standard deviation (None: unknown) and the number of seeds."""

    mean: float
    sd: float | None
    n: int


def sample(values: Sequence[float]) -> Sample:
    """The sample of at least one value."""
    from statistics import fmean, stdev

    return Sample(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


class Estimate(NamedTuple):
    """A mean or a difference of means, with its standard errors and degrees of freedom for several numbers of seeds."""

    value: float
    error: "NDArray[np.float64]"
    dof: "NDArray[np.float64]"

    def interval(self, alpha: float) -> Interval:
        """The two-sided confidence interval at level 1 - alpha, for the first number of seeds."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.dof[0], 1 - alpha / 2) * self.error[0])
        return self.value - half, self.value + half

    def p_greater(self, than: float) -> "NDArray[np.float64]":
        """The p of the one-sided test with the alternative that the true value is greater than `than`."""
        return self._p_below(than - self.value)

    def p_less(self, than: float) -> "NDArray[np.float64]":
        """The p of the one-sided test with the alternative that the true value is less than `than`."""
        return self._p_below(self.value - than)

    def p_different(self) -> "NDArray[np.float64]":
        """The p of the two-sided test with the alternative that the true value is not 0."""
        return 2 * self._p_below(-abs(self.value))

    def _p_below(self, distance: float) -> "NDArray[np.float64]":
        from scipy.special import stdtr

        p: NDArray[np.float64] = stdtr(self.dof, distance / self.error)
        return p


def mean(measured: Sample, sizes: Sequence[int] | None = None) -> Estimate:
    """The mean of a sample whose spread is known; `sizes` are other numbers of seeds with the same spread."""
    import numpy as np

    assert measured.sd is not None
    n = np.asarray([measured.n] if sizes is None else sizes, dtype=np.float64)
    return Estimate(measured.mean, measured.sd / np.sqrt(n), n - 1)


def welch(first: Sample, second: Sample) -> Estimate:
    """The first mean minus the second, with unequal spreads; degrees of freedom by Welch and Satterthwaite."""
    return difference(first, second, [first.n], [second.n])


def difference(first: Sample, second: Sample, n: Sequence[int], m: Sequence[int]) -> Estimate:
    """The difference of two means by Welch's test, for n and m seeds with the spreads of the given results."""
    one, two = mean(first, n), mean(second, m)
    variance = one.error**2 + two.error**2
    dof = variance**2 / (one.error**4 / one.dof + two.error**4 / two.dof)
    return Estimate(first.mean - second.mean, variance**0.5, dof)
