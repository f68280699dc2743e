"""The recipes of the GLE networks on MNIST-1D: what each budget trains."""

import pytest
from toy_runs import configured

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.config import Exponential, Plateau
from gle_bench.recipes.mnist1d import SHORT_RATES
from gle_bench.training.experiment import network_of


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


def test_time_constants_learn_where_a_user_sets_it_and_never_fall_below_dt() -> None:
    networks = [
        network_of(resolved(configured("mnist1d", "gle-15k", *changes)))
        for changes in ((), ("learn_tau_m=true", "learn_tau_r=true"))
    ]
    assert [(net.learn_tau_m, net.learn_tau_r) for net in networks if net] == [(False, False), (True, True)]
    assert all(net is not None and net.tau_range == (net.dt, float("inf")) for net in networks)
