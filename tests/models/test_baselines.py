"""Tests of the offline baselines of MNIST-1D: their sizes, and their first losses against the reference's."""

import csv
from collections import defaultdict

import numpy as np
import pytest
import torch
from parameters import PARAMETERS
from pydantic import ValidationError
from shared import mnist1d_folder, shared_path
from torch import nn

from gle_bench import registry
from gle_bench.contracts import Footing, GradientRule, Shape
from gle_bench.errors import UsageError
from gle_bench.words import BUDGETS

TASK = registry.task("mnist1d")
BASELINES = [model for model in PARAMETERS if not model.startswith(("gle", "lagnet", "lru", "nla"))]
REFERENCE = {  # its name -> ours
    "mlp": "mlp-0",
    "mlp_super": "mlp-published",
    "cnn": "tcn-0",
    "cnn_super": "tcn",
    "gru": "gru-0",
    "gru_super": "gru",
}
MLP, TCN, Bidirectional = (
    type(registry.pair("mnist1d", model).configure("paper").network) for model in ("mlp", "tcn", "gru")
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return mnist1d_folder(tmp_path_factory)


def built(model: str, seed: int = 1) -> nn.Module:
    config = registry.pair("mnist1d", model).configure("paper")
    return config.network.build(TASK.shape(config.options), seed)


@pytest.mark.parametrize("model", BASELINES)
def test_parameters_are_counted_exactly(model):
    network = built(model)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[model]


@pytest.mark.parametrize("model", BASELINES)
def test_outputs_are_logits(model):
    steps = TASK.shape(registry.pair("mnist1d", model).configure("paper").options).steps
    network = built(model)
    logits = network(torch.randn(3, steps, 1))
    assert logits.shape == (3, 10)
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def reference_losses() -> dict[tuple[str, int], list[float]]:
    losses = defaultdict(list)
    with shared_path("reference/mnist1d_baseline_first_losses.csv").open() as file:
        for row in csv.DictReader(file):
            losses[row["model"], int(row["seed"])].append(float(row["train_loss"]))
    return losses


def first_losses(config, train, seed: int, updates: int) -> list[float]:
    network = config.network.build(TASK.shape(config.options), seed)
    optimizer = torch.optim.Adam(network.parameters(), config.training.rate)
    losses = []
    for update in range(updates):
        batch = train.fetch(torch.arange(100) + 100 * update, seed, 0)
        loss = nn.functional.cross_entropy(network(batch.inputs[0]), batch.targets[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", REFERENCE)
def test_first_losses_are_the_references(folder, name):
    reference = reference_losses()
    config = registry.pair("mnist1d", REFERENCE[name]).configure("paper")
    TASK.prepare(folder, config.options, lambda text: None)
    train = TASK.load(folder, config.options, "paper", None).splits["train"]
    expected = np.array([reference[name, seed] for seed in range(1, 11)])
    deviation = np.abs(np.array([first_losses(config, train, seed, 20) for seed in range(1, 11)]) - expected)
    assert deviation[:, 0].max() < 1e-5
    assert deviation[:, :10].max() < 1e-3
    # A few runs drift apart soon: the last bit of one input moves the TCN's losses by up to 3e-3 within 20 updates.
    assert np.median(deviation, axis=0).max() < 1e-5
    assert deviation.max() < 2e-2


@pytest.mark.parametrize("model", BASELINES)
def test_recipes(model):
    configs = {budget: registry.pair("mnist1d", model).configure(budget) for budget in BUDGETS}
    for config in configs.values():
        assert config.rule == "backprop"
        assert config.training.batch_size == 100
        assert not config.training.shuffle
        assert (config.training.batches - 1) % config.training.evaluate_every == 0
    training = configs["paper"].training
    assert (training.batches, training.evaluate_every) == (6001, 250)
    assert training.rate == {"mlp": 0.005, "mlp-published": 0.005, "lstm": 0.03}.get(model, 0.01)
    assert registry.pair("mnist1d", model).seeds == tuple(range(1, 11))
    assert configs["smoke"].training.batches < configs["short"].training.batches < 6001


@pytest.mark.parametrize("model", BASELINES)
def test_weights_are_a_function_of_the_seed_alone(model):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = built(model, 5).state_dict()
    assert torch.equal(torch.rand(3), expected)
    again, other = built(model, 5).state_dict(), built(model, 6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("network", [MLP(hidden=(8,)), TCN(dilation=1, kernels=(3,)), Bidirectional(hidden=2)])
def test_families_fit_other_tasks(network):
    assert network.build(Shape(20, 3, 4), 0)(torch.randn(5, 20, 3)).shape == (5, 4)


@pytest.mark.parametrize("model", ["gru", "lstm"])
def test_one_direction_reads_from_the_start_and_one_from_the_end(model: str) -> None:
    """Backwards in time, with the weights of the two directions exchanged, the features at each step are the same."""
    units = built(model).units
    mirrored = type(units)(1, 6, batch_first=True, bidirectional=True)
    weights = units.state_dict()
    exchanged = {name: name.removesuffix("_reverse") if "_reverse" in name else f"{name}_reverse" for name in weights}
    mirrored.load_state_dict({exchanged[name]: value for name, value in weights.items()})
    inputs = torch.randn(2, 9, 1)
    forwards, backwards = units(inputs)[0], mirrored(inputs.flip(1))[0].flip(1)
    torch.testing.assert_close(forwards, backwards.roll(6, 2), rtol=0, atol=1e-6)


def test_a_residual_layer_adds_its_input():
    network = MLP(hidden=(4, 4), residual=True).build(Shape(6, 1, 2), 0)
    first, second, readout = network.first, network.middle[0], network.readout
    inputs = torch.randn(3, 6, 1)
    hidden = first(inputs[:, :, 0]).relu()
    assert torch.equal(network(inputs), readout(hidden + second(hidden).relu()))


@pytest.mark.parametrize(
    ("family", "fields", "complaint"),
    [
        (MLP, {"hidden": (100, 50), "residual": True}, "residual layers need equal widths"),
        (MLP, {"hidden": ()}, "at least 1 item"),
        (MLP, {"hidden": (0,)}, "greater than or equal to 1"),
        (MLP, {"width": 3}, "Extra inputs"),
        (TCN, {"kernels": ()}, "at least 1 item"),
        (TCN, {"stride": 0}, "greater than or equal to 1"),
        (TCN, {"padding": -1}, "greater than or equal to 0"),
        (Bidirectional, {"hidden": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_values_are_refused(family, fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        family(**fields)


@pytest.mark.parametrize(("steps", "layer"), [(30, 1), (60, 2)])
def test_sequences_too_short_for_a_convolution_are_refused(steps, layer):
    with pytest.raises(UsageError, match=f"dilation = 9 .* layer {layer} .* lower dilation or raise padding"):
        TCN().build(Shape(steps, 1, 10), 0)


def test_the_rule_leaves_gradients_to_autograd():
    rule = registry.rule("backprop")
    assert rule.name == "backprop"
    assert isinstance(rule, GradientRule)
    assert rule.footing == Footing()
