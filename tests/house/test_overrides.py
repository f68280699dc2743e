"""Tests of `--set` where it reaches into lists, and of sizes that several fields share."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.errors import UsageError
from gle_bench.models.gle import apportioned
from gle_bench.overrides import override, path_of

OWN = registry.pair("mnist1d", "gle-15k").configure("short")


def network(*assignments: str, own: RunConfig = OWN) -> Any:
    return override(own, assignments).network


@pytest.mark.parametrize("key", ["populations.1.tau_m", "network.populations.1.tau_m"])
def test_an_element_of_a_list_is_set_by_its_number(key: str) -> None:
    one, two, three = network(f"{key}=2.5").populations
    assert (one, three) == (OWN.network.populations[0], OWN.network.populations[2])
    assert two == OWN.network.populations[1].model_copy(update={"tau_m": 2.5})


def test_a_whole_element_is_set_as_json() -> None:
    assert network('populations.2={"neurons": 4, "tau_m": 1, "tau_r": 1}').width == 18 + 18 + 4


def test_a_field_is_meant_before_an_element_of_the_same_name() -> None:
    assert path_of(OWN, "dt") == ("network", "dt")
    assert path_of(OWN, "tau_output") == ("network", "tau_output")
    assert path_of(OWN, "populations.0.neurons") == ("network", "populations", "0", "neurons")


@given(st.integers(3, 500), st.integers(1, 40))
def test_a_width_is_kept_to_the_neuron_and_a_depth_to_the_layer(width: int, depth: int) -> None:
    made = network(f"width={width}", f"depth={depth}")
    assert (made.width, made.depth, made.hidden_layers) == (width, depth, depth)
    assert [population.tau_m for population in made.populations] == [0.6, 1.2, 1.2]


def test_the_networks_own_sizes_change_nothing() -> None:
    assert override(OWN, ["width=53", "depth=6"]) == OWN


@given(st.lists(st.integers(1, 99), min_size=1, max_size=6), st.integers(0, 500))
def test_shares_sum_up_and_follow_their_weights(weights: list[int], more: int) -> None:
    shares = apportioned(len(weights) + more, weights)
    assert sum(shares) == len(weights) + more
    assert min(shares) >= 1
    assert apportioned(sum(weights), weights) == weights
    ranked = sorted(zip(weights, shares, strict=True))
    assert all(a <= b for (x, a), (y, b) in pairwise(ranked) if x < y)


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        (
            ["populations.3.neurons=9"],
            "network.populations has the elements 0 to 2; choose one of them, or set network",
        ),
        (["populations.00.neurons=9"], "has the elements 0 to 2"),
        (["populations.\u00b2.neurons=9"], "Unknown setting"),
        (["disturbances.0.std=1"], "disturbances is empty; set disturbances as a whole."),
        (["populations.0.neuron=9"], "Unknown setting 'populations.0.neuron'"),
        (["neurons=9"], "ambiguous; it could be network.populations.0.neurons or "),
        (["0=9"], "Unknown setting '0'"),
        (["populations.0.neurons=0"], "neurons: Input should be greater than or equal to 1"),
        (["populations.0=9"], "populations.0: Input should be an object, in JSON"),
        (["populations=[]", "populations.0.neurons=9"], "set one of the two."),
        (["width=2"], "--set width=2: give a whole number from 3 on, a neuron for each population."),
        (["width=wide"], "--set width=wide: give a whole number from 3 on"),
        (["depth=true"], "--set depth=True: give a whole number from 1 on."),
        (["width=99999999999"], "neurons: Input should be less than"),
        (["width=9", "populations.0.neurons=30"], "--set width=9: the other settings make it 36; set one of the two."),
        (["depth=3", "hidden_layers=2"], "--set depth=3: the other settings make it 2; set one of the two."),
    ],
)
def test_what_cannot_be_set_is_told_in_a_sentence(assignments: list[str], reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        override(OWN, assignments)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_networks_without_populations_have_no_width() -> None:
    with pytest.raises(UsageError, match="Unknown setting 'width'"):
        override(registry.pair("mnist1d", "mlp").configure("short"), ["width=9"])
