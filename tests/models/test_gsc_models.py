"""Tests of the models of Google Speech Commands: sizes, first weights and recipes as in facts (sections 3, 5)."""

import math
from copy import deepcopy

import pytest
import torch
from parameters import GSC_PARAMETERS
from pydantic import ValidationError
from torch import nn

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.config import Phases, Plateau, RunConfig
from gle_bench.contracts import Batch, OfflineModel, OnlineModel, Shape, footing
from gle_bench.contracts.parameters import parameter_count
from gle_bench.errors import UsageError
from gle_bench.overrides import override
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.gradient import OfflineModule
from gle_bench.words import BUDGETS

TASK = registry.task("gsc")
BASELINES = [model for model in GSC_PARAMETERS if model != "gle"]


def configured(model: str, budget: str = "paper") -> RunConfig:
    return registry.pair("gsc", model).configure(budget)


def built(model: str, seed: int = 1) -> nn.Module:
    config = configured(model)
    assert isinstance(config.network, OfflineModel)
    return config.network.build(TASK.shape(config.options), seed)


@pytest.mark.parametrize("model", GSC_PARAMETERS)
def test_parameters_are_those_of_table_3(model: str) -> None:
    assert parameter_count(TASK, configured(model)) == GSC_PARAMETERS[model]


def test_the_gle_network_is_the_references() -> None:
    config = configured("gle")
    assert isinstance(config.network, OnlineModel)
    network = config.network.network(TASK.shape(config.options), TASK.loss)
    assert [(layer.inputs, layer.neurons, layer.phi) for layer in network.layers] == [
        (32, 750, "identity"),
        (750, 750, "tanh"),
        (750, 750, "tanh"),
        (750, 12, "identity"),
    ]
    for layer in network.layers[:-1]:
        assert [layer.tau_m[i] for i in range(0, 750, 150)] == [2.4, 0.6, 1.2, 1.8, 2.4]
        assert [layer.tau_r[i] for i in range(0, 750, 150)] == [2.4, 0.1, 0.1, 0.1, 0.1]
    assert network.layers[-1].tau_m == network.layers[-1].tau_r == (2.4,)
    assert (network.dt, network.beta, network.loss) == (0.05, 1.0, "ce")
    as_written = override(config, ["phi1=tanh"]).network
    assert as_written.network(TASK.shape(config.options), TASK.loss).layers[0].phi == "tanh"


def test_gle_learns_by_the_references_recipe() -> None:
    config = configured("gle")
    training = config.training
    assert (training.epochs, training.batch_size, training.sampling) == (320, 256, "balanced")
    assert training.rate == pytest.approx(1.953e-5, rel=1e-3)
    assert training.schedule == Plateau(factor=0.9, patience=3, eps=1e-20)
    assert (config.options.front_end, config.options.augmentation, config.options.splits) == ("mel", "gle", "paper")
    assert registry.pair("gsc", "gle").seeds == (1, 2, 3, 5, 7, 8, 12, 113, 114, 115)
    assert (TASK.reset, TASK.feedback(config.options)) == ("never", None)


@pytest.mark.parametrize("model", BASELINES)
def test_baselines_learn_by_hello_edges_recipe(model: str) -> None:
    config = configured(model)
    training, options = config.training, config.options
    assert (config.rule, training.optimizer, training.batch_size) == ("backprop", "adam", 100)
    assert (training.sampling, training.evaluate_every) == ("replacement", 400)
    assert (training.rate, training.schedule) == (5e-4, Phases(later=(1e-4, 2e-5)))
    assert training.batches == math.ceil(320 * 36_923 / 100)
    assert (options.front_end, options.augmentation) == ("mfcc-25" if model == "mlp" else "mfcc-49", "hello-edge")
    assert (
        footing(registry.rule(config.rule), config.network).online,
        footing(registry.rule(config.rule), config.network).streamed,
    ) == (False, model in ("gru", "lstm"))


@pytest.mark.parametrize("model", GSC_PARAMETERS)
def test_budgets_grow_and_all_but_smoke_hear_every_clip(model: str) -> None:
    configs = [configured(model, budget) for budget in BUDGETS]
    batches = [c.training.batches or c.training.epochs * 145 for c in configs]
    assert batches == sorted(batches)
    assert [c.options.clips for c in configs] == [256, None, None]
    assert len({c.network for c in configs}) == 1


@pytest.mark.parametrize("model", BASELINES)
def test_baselines_answer_with_logits_and_learn_with_every_parameter(model: str) -> None:
    network, shape = built(model), TASK.shape(configured(model).options)
    logits = network(torch.randn(5, shape.steps, shape.inputs, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (5, 12)
    nn.functional.cross_entropy(logits, torch.arange(5)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


def test_gated_units_are_tensorflows() -> None:
    """As in TensorFlow's equations, the state is reset before the candidate's product, and there is one bias."""
    network = type(configured("gru").network)(hidden=5).build(Shape(7, 3, 4), 1)
    gates, candidate, inputs = network.units.gates, network.units.candidate, torch.randn(2, 7, 3)
    state = torch.zeros(2, 5)
    for now in inputs.unbind(1):
        reset, update = gates(torch.cat([now, state], 1)).sigmoid().chunk(2, 1)
        new = candidate(torch.cat([now, reset * state], 1)).tanh()
        state = update * state + (1 - update) * new
    torch.testing.assert_close(network(inputs), network.readout(state))


def test_lstm_units_have_one_bias() -> None:
    network = type(configured("lstm").network)(hidden=5).build(Shape(7, 3, 4), 1)
    kernel, recurrent = network.units.units.parameters()
    inputs, output, cell = torch.randn(2, 7, 3), torch.zeros(2, 5), torch.zeros(2, 5)
    assert kernel[:, 3].tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10  # of the forget gates alone
    for now in inputs.unbind(1):
        found = now @ kernel[:, :3].t() + kernel[:, 3] + output @ recurrent.t()
        add, forget, new, out = found.chunk(4, 1)
        cell = forget.sigmoid() * cell + add.sigmoid() * new.tanh()
        output = out.sigmoid() * cell.tanh()
    torch.testing.assert_close(network(inputs), network.readout(output))


def bound(weight: torch.Tensor, expected: float) -> bool:
    """Checks that values fill the interval +-expected evenly."""
    inside, spread = float(weight.detach().abs().max()), float(weight.detach().std())
    return 0.95 * expected < inside <= expected and abs(spread / (expected / math.sqrt(3)) - 1) < 0.05


def test_first_weights_of_the_recurrent_networks_are_glorots_of_one_kernel() -> None:
    gru, lstm = built("gru"), built("lstm")
    assert bound(gru.units.gates.weight, math.sqrt(6 / (410 + 800)))
    assert bound(gru.units.candidate.weight, math.sqrt(6 / (410 + 400)))
    assert set(gru.units.gates.bias.tolist()) == {1.0}
    assert set(gru.units.candidate.bias.tolist()) == {0.0}
    for kernel in (lstm.units.units.weight_ih_l0[:, :10], lstm.units.units.weight_hh_l0):
        assert bound(kernel, math.sqrt(6 / (354 + 4 * 344)))
    for network, width in ((gru, 400), (lstm, 344)):
        assert bound(network.readout.weight, math.sqrt(6 / (width + 12)))
        assert not network.readout.bias.any()


def test_first_weights_of_the_perceptron_are_hello_edges() -> None:
    network = built("mlp")
    for layer, width in zip((network.first, *network.middle), (250, 436, 436), strict=True):
        assert bound(layer.weight, math.sqrt(6 / (width + 436)))
        assert 0.9 * math.sqrt(3 / 436) < float(layer.bias.detach().abs().max()) <= math.sqrt(3 / 436)
    assert not network.readout.bias.any()


def test_convolutions_start_from_a_truncated_normal_and_are_normalised_as_in_tensorflow() -> None:
    network = built("tcn")
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [layer for layer in network if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert [tuple(layer.weight.shape) for layer in layers] == [
        (60, 1, 10, 4),
        (76, 60, 10, 4),
        (58, 76 * 16 * 4),
        (128, 58),
        (12, 128),
    ]
    for layer in (layers[0], layers[1], layers[3], layers[4]):
        assert 0.015 < float(layer.weight.detach().abs().max()) <= 0.02
    assert bound(layers[2].weight, math.sqrt(6 / (4864 + 58)))
    assert not any(layer.bias.any() for layer in layers)
    assert [(norm.num_features, norm.eps, norm.momentum) for norm in norms] == [(n, 1e-3, 0.01) for n in (60, 76, 128)]


def test_batch_norms_are_evaluated_by_running_averages_and_by_the_batch() -> None:
    config = configured("tcn")
    module = OfflineModule(Experiment.of(resolved(config)), [1]).eval()
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    whole = Batch(49, torch.randn(1, 8, 49, 10), torch.zeros(1, 8, dtype=torch.int64))
    part, single = (Batch(49, whole.inputs[:, :n], whole.targets[:, :n]) for n in (4, 1))
    with torch.no_grad():
        torch.testing.assert_close(module.evaluate(whole)[:, :4], module.evaluate(part))
        own, of_part = (module.evaluate_otherwise(batch)["by_batch"] for batch in (whole, part))
        assert not torch.allclose(own[:, :4], of_part)
        assert torch.equal(own[0, :, 0], deepcopy(module.model).train()(whole.inputs[0]))
        assert torch.equal(module.evaluate_otherwise(single)["by_batch"], module.evaluate(single))
    assert all(torch.equal(value, before[name]) for name, value in module.model.state_dict().items())
    assert not any(part.training for part in module.model.modules())
    assert OfflineModule(Experiment.of(resolved(configured("gru"))), [1]).evaluate_otherwise(part) == {}


@pytest.mark.parametrize(("model", "macs"), [("gru", 49 * 410 * 1200 + 4800), ("lstm", 49 * 355 * 1376 + 344 * 12)])
def test_work_is_counted_and_leaves_no_trace(model: str, macs: int) -> None:
    config = configured(model)
    assert OfflineModule(Experiment.of(resolved(config)), [1]).macs == (macs, None)


def test_counting_work_moves_no_running_average() -> None:
    config = configured("tcn")
    module = OfflineModule(Experiment.of(resolved(config)), [1])
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    assert module.macs.number == 40 * 7 * 60 * 40 + 16 * 4 * 76 * 2400 + 4864 * 58 + 58 * 128 + 128 * 12
    assert all(torch.equal(value, before[name]) for name, value in module.model.state_dict().items())
    assert module.model.training


def test_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"kernel = \(10, 4\) does not fit into the 5 x 10 inputs .* convolution 1"):
        configured("tcn").network.build(Shape(5, 10, 12), 1)
    with pytest.raises(ValidationError, match="hello-edge"):
        type(configured("mlp").network)(initial="xavier")
