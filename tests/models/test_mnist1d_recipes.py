"""The recipes of the GLE networks on MNIST-1D: what each budget trains."""

import pytest

from gle_bench import registry
from gle_bench.config import Exponential, Plateau
from gle_bench.recipes.mnist1d import SHORT_RATES


@pytest.mark.parametrize("model", ["gle", "gle-15k", "gle-42k"])
def test_budgets(model: str) -> None:
    smoke, short, paper = (
        registry.pair("mnist1d", model).configure(budget).training for budget in ("smoke", "short", "paper")
    )
    assert (smoke.epochs, short.epochs, paper.epochs) == (1, 20, 150)
    assert paper.schedule == Plateau(factor=0.5, patience=2)
    first, last = SHORT_RATES["gle-15k" if model == "gle-15k" else "gle-42k"]
    assert (short.rate, short.schedule) == (first, Exponential(final=last))
    assert (smoke.average, short.average, paper.average) == ("none", "epoch", "none")
