"""Tests of CIFAR-10's baselines: their sizes beside LE's, what they read, and how they are trained."""

import pytest
import torch
from parameters import CIFAR10_BASELINES, CIFAR10_PARAMETERS
from toy_runs import configured

from gle_bench import registry
from gle_bench.config import Exponential
from gle_bench.contracts import OfflineModel, OnlineModel
from gle_bench.contracts.parameters import parameter_count
from gle_bench.words import BUDGETS

TASK = registry.task("cifar10")
OFFLINE = [model for model in CIFAR10_BASELINES if model != "gle-rows"]


@pytest.mark.parametrize("model", CIFAR10_BASELINES)
def test_sizes_are_within_a_twentieth_of_les_and_what_summaries_say(model: str) -> None:
    pair = registry.pair("cifar10", model)
    if model != "esn":  # of whose weights few learn, and only these are its parameters
        assert parameter_count(TASK, configured("cifar10", model)) == CIFAR10_BASELINES[model]
    assert CIFAR10_BASELINES[model] == pytest.approx(CIFAR10_PARAMETERS["le"], rel=0.05)
    assert f"{CIFAR10_BASELINES[model]:,}" in pair.summary


@pytest.mark.parametrize("model", OFFLINE)
def test_offline_baselines_hold_so_many_weights_and_answer_once(model: str) -> None:
    config = configured("cifar10", model)
    assert isinstance(config.network, OfflineModel)
    shape = TASK.shape(config.options)
    network = config.network.build(shape, 1)
    assert sum(p.numel() for p in network.parameters()) == CIFAR10_BASELINES[model]
    assert shape == ((1, 3072, 10) if model == "mlp" else (32, 96, 10))
    assert network(torch.rand(2, shape.steps, shape.inputs)).shape == (2, 10)


def test_the_gle_network_has_five_time_scales_in_units_of_a_row() -> None:
    config = configured("cifar10", "gle-rows")
    assert isinstance(config.network, OnlineModel)
    network = config.network.network(TASK.shape(config.options), TASK.loss)
    assert [(layer.inputs, layer.neurons) for layer in network.layers] == [(96, 545), (545, 545), (545, 545), (545, 10)]
    assert network.loss == "ce"
    assert network.dt * TASK.shape(config.options).steps == 32
    for layer in network.layers[:-1]:
        assert len(set(layer.tau_m)) == 5
        assert min(layer.tau_r) >= network.dt


@pytest.mark.parametrize("model", [model for model in CIFAR10_BASELINES if model != "esn"])
def test_rates_fall_to_a_tenth_under_every_budget(model: str) -> None:
    for budget in BUDGETS:
        training = configured("cifar10", model, budget=budget).training
        assert isinstance(training.schedule, Exponential)
        assert training.schedule.final == pytest.approx(training.rate / 10)
        assert training.optimizer == "adam"
