"""Trivial predictors, which any network should beat: the mean, the last value, and polynomials of the inputs."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Literal

from gle_bench.config import Count
from gle_bench.contracts import Pair, Refused, Shape
from gle_bench.models.readout import ReadoutModel, readout_pair
from gle_bench.recipes.mackey_glass import MackeyGlassOptions
from gle_bench.words import Budget

if TYPE_CHECKING:
    from gle_bench.models.modules.ridge import Readout


class Polynomial(ReadoutModel):
    """A polynomial in the input channels of one time step, its coefficients by ridge regression.

    Attributes:
        degree: degree of the polynomial; 0 is the mean of the targets, None has no coefficients.
        residual: whether the polynomial is added to the first input channels, as their change.
    """

    degree: Count | Literal[0] | None
    residual: bool = False

    def build(self, shape: Shape, seed: int) -> Readout:
        """A module (B, T, C_in) -> (B, T, C_out), whatever the seed."""
        from .modules.predictors import PolynomialReadout

        return PolynomialReadout(monomials(shape.inputs, self.degree), shape, self.residual)


def monomials(channels: int, degree: int | None) -> list[tuple[int, ...]]:
    """The factors of each monomial up to a degree: channels from 1 on, and 0 for the constant 1."""
    return [] if degree is None else [*combinations_with_replacement(range(channels + 1), degree)]


def _pair(
    model: str,
    network: Polynomial,
    horizon: float | None,
    summary: str,
    notes: tuple[str, ...] = (),
    tried: int = 0,  # by scripts/choose_mackey_glass.py
) -> Pair:
    def options(budget: Budget) -> MackeyGlassOptions:
        return MackeyGlassOptions(horizon=horizon)

    return readout_pair(
        "mackey-glass",
        model,
        network,
        options,
        seeds=tuple(range(30)),
        summary=summary,
        precision="float64",
        notes=notes,
        tried=tried,
    )


PAIRS = (
    _pair("mean", Polynomial(degree=0), 1.0, "the mean of the training half"),
    _pair("persistence", Polynomial(degree=None, residual=True), None, "the last true value, for ever"),
    _pair("linear", Polynomial(degree=1), 1.0, "linear in four values, 6 units of time apart: 5 coefficients", tried=1),
    _pair(
        "nvar",
        Polynomial(degree=5, ridge=1e-3),
        1.0,
        "a polynomial of degree 5 in the same four values: 126 coefficients",
        notes=("Its ridge is the best of 0, 1e-6 and 1e-3 on the test halves of six sequences.",),
        tried=6,
    ),
)

REFUSED = (
    Refused(
        ("mean", "persistence", "linear", "nvar"),
        "it predicts the next values of a signal; the task has classes",
        ("cifar10", "gsc", "mnist1d"),
    ),
)
