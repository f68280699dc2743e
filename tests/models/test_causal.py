"""Tests of the networks that learn Mackey-Glass by gradients: sizes, windows, and that none sees the future."""

from typing import Any

import pytest
import torch
from parameters import MACKEY_GLASS_PARAMETERS
from pydantic import ValidationError
from torch import Tensor, nn

from gle_bench import registry
from gle_bench.config import Exponential
from gle_bench.contracts import Shape
from gle_bench.costs.count import state_updates
from gle_bench.words import BUDGETS

TASK = registry.task("mackey-glass")
CONFIGS = {model: registry.pair("mackey-glass", model).configure("paper") for model in MACKEY_GLASS_PARAMETERS}
CAUSAL = type(CONFIGS["tcn"].network)
REACH = {"mlp": 1, "mlp-window": 50, "tcn": 64}  # time steps that an output depends on
EVERY_MODEL = pytest.mark.parametrize("model", CONFIGS)


def built(model: str) -> Any:
    return CONFIGS[model].network.build(TASK.shape(CONFIGS[model].options), 1).double()


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def stepped(network: Any, inputs: Tensor) -> Tensor:
    """The outputs (B, T, C_out) of one step after the other."""
    memory, found = network.start(len(inputs)), []
    for x in inputs.unbind(1):
        y, memory = network.step(x, memory)
        found.append(y)
    return torch.stack(found, 1)


@EVERY_MODEL
def test_sizes_are_that_of_gle_within_about_one_per_cent(model: str) -> None:
    count = sum(parameter.numel() for parameter in built(model).parameters())
    assert count == MACKEY_GLASS_PARAMETERS[model] == pytest.approx(9301, rel=0.011)
    assert f"{count:,} parameters" in registry.pair("mackey-glass", model).summary


@EVERY_MODEL
def test_steps_are_the_whole_sequence_beyond_the_longest_window(model: str) -> None:
    network, inputs = built(model), draw(2, 80, TASK.shape(CONFIGS[model].options).inputs)
    whole = network(inputs)
    torch.testing.assert_close(stepped(network, inputs), whole, rtol=0, atol=1e-12)
    assert whole.std() > 1e-3


@EVERY_MODEL
def test_no_output_depends_on_later_inputs(model: str) -> None:
    network, inputs = built(model), draw(2, 80, TASK.shape(CONFIGS[model].options).inputs)
    poisoned = inputs.clone()
    poisoned[:, 70:] = torch.nan
    found = network(poisoned)
    assert torch.equal(found[:, :70], network(inputs)[:, :70])
    assert found[:, 70:].isnan().all()


@pytest.mark.parametrize(("model", "reach"), REACH.items())
def test_an_output_depends_on_the_inputs_within_reach_and_on_no_others(model: str, reach: int) -> None:
    inputs = draw(1, 80, TASK.shape(CONFIGS[model].options).inputs).requires_grad_()
    (gradient,) = torch.autograd.grad(built(model)(inputs)[0, 75, 0], inputs)
    touched = gradient[0].abs().sum(1) > 0
    assert touched.nonzero().flatten().tolist() == [*range(76 - reach, 76)]


@pytest.mark.parametrize("phi", ["relu", "tanh"])
def test_a_causal_layer_is_pytorchs_convolution_of_a_sequence_padded_on_the_left(phi: str) -> None:
    network: Any = CAUSAL(hidden=(5, 5), taps=(3, 2), dilations=(2, 4), phi=phi, residual=True)
    network = network.build(Shape(30, 2, 1), 1).double()
    values = inputs = draw(2, 30, 2)
    for number, (layer, taps, dilation) in enumerate(zip(network.layers, (3, 2), (2, 4), strict=True)):
        kernel = layer.linear.weight.view(5, taps, -1).transpose(1, 2)
        padded = nn.functional.pad(values.transpose(1, 2), ((taps - 1) * dilation, 0))
        driven = nn.functional.conv1d(padded, kernel, layer.linear.bias, dilation=dilation).transpose(1, 2)
        values = getattr(torch, phi)(driven) + (values if number else 0)
    torch.testing.assert_close(network(inputs), network.readout(values), rtol=0, atol=1e-12)


@EVERY_MODEL
def test_past_values_are_no_states_of_neurons(model: str) -> None:
    assert state_updates(built(model), 10, streamed=True) == (540 if model == "gru" else 0)


@EVERY_MODEL
def test_recipes(model: str) -> None:
    smoke, short, paper = (registry.pair("mackey-glass", model).configure(budget).training for budget in BUDGETS)
    assert smoke.batches < short.batches < paper.batches
    for training in (smoke, short, paper):
        assert (training.batches - 1) % training.evaluate_every == 0
        assert training.schedule == Exponential(final=training.rate / 1000)
    gle = registry.pair("mackey-glass", "gle").configure("paper")
    assert (CONFIGS[model].options == gle.options) == (model == "mlp")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"taps": (1,)}, r"taps = \[1\] are not one for each of 2 hidden layers; give as many"),
        ({"dilations": (1, 1, 1)}, "dilations = .* are not one for each"),
        ({"taps": (0, 1)}, "greater than or equal to 1"),
        ({"hidden": (5, 6), "residual": True}, "residual layers need equal widths"),
    ],
)
def test_wrong_values_are_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        CAUSAL(**{"hidden": (5, 5), "taps": (1, 1), "dilations": (1, 1), **fields})
