"""Student's t for means of which the value, the spread and the number of seeds are known.

By the distribution functions of `scipy.special`: scipy.stats and statsmodels, which have the same tests and which the
tests hold these to, take a second to import, as long as a table of thousands of records takes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # numpy and scipy cost a fifth of a second, and a table without runs needs neither
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]


class Sample(NamedTuple):
    """What a test looks at: mean, sample standard deviation (None: unknown) and how many seeds."""

    mean: float
    sd: float | None
    n: int


def sample(values: Sequence[float]) -> Sample:
    """Mean and sample standard deviation of at least one value."""
    from statistics import fmean, stdev

    return Sample(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


class Estimate(NamedTuple):
    """A mean or a difference of means: its value, standard errors and degrees of freedom for some numbers of seeds."""

    value: float
    error: "NDArray[np.float64]"
    dof: "NDArray[np.float64]"

    def interval(self, alpha: float) -> Interval:
        """The two-sided confidence interval at level 1 - alpha; of the first number of seeds."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.dof[0], 1 - alpha / 2) * self.error[0])
        return self.value - half, self.value + half

    def p_greater(self, than: float) -> "NDArray[np.float64]":
        """p of the one-sided test whose alternative is: greater than that."""
        return self._p_below(than - self.value)

    def p_less(self, than: float) -> "NDArray[np.float64]":
        """p of the one-sided test whose alternative is: less than that."""
        return self._p_below(self.value - than)

    def p_different(self) -> "NDArray[np.float64]":
        """p of the two-sided test whose alternative is: not 0."""
        return 2 * self._p_below(-abs(self.value))

    def _p_below(self, distance: float) -> "NDArray[np.float64]":
        from scipy.special import stdtr

        p: NDArray[np.float64] = stdtr(self.dof, distance / self.error)
        return p


def mean(known: Sample, sizes: Sequence[int] | None = None) -> Estimate:
    """Of a sample whose spread is known; with other numbers of seeds, if its spread stayed as it is."""
    import numpy as np

    assert known.sd is not None
    n = np.asarray([known.n] if sizes is None else sizes, dtype=np.float64)
    return Estimate(known.mean, known.sd / np.sqrt(n), n - 1)


def welch(first: Sample, second: Sample) -> Estimate:
    """The first mean minus the second, spreads unequal; degrees of freedom by Welch and Satterthwaite."""
    return difference(first, second, [first.n], [second.n])


def difference(first: Sample, second: Sample, n: Sequence[int], m: Sequence[int]) -> Estimate:
    """`welch` with other numbers of seeds, if both spreads stayed as they are."""
    one, two = mean(first, n), mean(second, m)
    variance = one.error**2 + two.error**2
    dof = variance**2 / (one.error**4 / one.dof + two.error**4 / two.dof)
    return Estimate(first.mean - second.mean, variance**0.5, dof)
