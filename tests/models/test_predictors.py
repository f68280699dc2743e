"""Tests of trivial predictors: their features, signals that they predict exactly, and closed loops."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gle_bench import registry
from gle_bench.contracts import Shape
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.models.modules.ridge import Readout, fold, solve

PAIRS = {
    pair.model: pair.configure("paper")
    for pair in registry.pairs()
    if pair.task == "mackey-glass" and pair.model in ("mean", "persistence", "linear", "nvar")
}
FAMILY = type(PAIRS["mean"].network)


def built(channels: int, **fields: Any) -> Readout:
    return FAMILY(**fields).build(Shape(10, channels, 1), 1).double()


def fitted(model: Readout, inputs: Tensor, targets: Tensor, ridge: float = 0.0) -> Readout:
    features = model.features(inputs)
    rows = torch.cat([features, targets - model.base(inputs)], -1).flatten(0, 1)
    width = features.shape[-1]
    model.readout.weight.data = solve(fold(torch.zeros(0, width + 1), rows), width, ridge)
    return model


def draw(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def continued(model: Readout, signal: Tensor, forced: int) -> Tensor:
    """The model's predictions of signal[1:], from its own predictions after step `forced`."""
    feedback, memory = DelayedFeedback(1, (0,), forced), model.start(1)
    inputs, outputs = signal[None, None, :-1, None], torch.empty(1, 1, len(signal) - 1, 1, dtype=signal.dtype)
    for t in range(len(signal) - 1):
        outputs[:, :, t], memory = model.step(feedback(t, inputs, outputs[:, :, :t])[0], memory)
    return outputs[0, 0, :, 0]


@pytest.mark.parametrize(("channels", "degree"), [(4, 0), (4, 1), (4, 5), (1, 7), (2, 2)])
def test_every_monomial_is_there_once(channels: int, degree: int) -> None:
    model, x = built(channels, degree=degree), draw(3, 1, channels)
    assert model.readout.in_features == math.comb(channels + degree, degree)
    found = model.features(x)
    assert len(found[0, 0].unique()) == found.shape[-1]
    doubled = (model.features(2 * x) / found).log2()  # the degree of each
    counts = [math.comb(channels + n - 1, n) for n in range(degree + 1)]
    assert doubled[0, 0].round().long().bincount(minlength=degree + 1).tolist() == counts
    torch.testing.assert_close(doubled, doubled.round())


@pytest.mark.parametrize("model", PAIRS)
def test_steps_are_the_whole_sequence(model: str) -> None:
    config, inputs = PAIRS[model], draw(2, 6, 4)
    network = config.network.build(Shape(6, 4, 1), 1).double()
    nn.init.ones_(network.readout.weight)
    steps = torch.stack([network.step(x, network.start(2))[0] for x in inputs.unbind(1)], 1)
    torch.testing.assert_close(steps, network(inputs), rtol=0, atol=1e-12)
    assert steps.shape == (2, 6, 1)


def test_the_mean_is_the_targets_mean() -> None:
    inputs, targets = draw(2, 30, 4), draw(2, 30, 1) ** 2
    model = fitted(built(4, degree=0), inputs, targets)
    torch.testing.assert_close(model(inputs), targets.mean().expand(2, 30, 1))


def test_persistence_learns_nothing_and_repeats_the_last_value() -> None:
    model, signal = built(1, degree=None, residual=True), draw(12)
    assert model.readout.weight.numel() == 0
    found = continued(model, torch.cat([signal[:5], torch.full((7,), torch.nan)]), 5)
    torch.testing.assert_close(found[4:], signal[4].expand(7))
    torch.testing.assert_close(found[:4], signal[:4])


@pytest.mark.parametrize("residual", [False, True])
def test_a_linear_map_is_found_exactly(residual: bool) -> None:
    inputs, weight = draw(2, 30, 4), draw(4, 1) - 0.5
    model = fitted(built(4, degree=1, residual=residual), inputs, inputs @ weight + 0.7)
    torch.testing.assert_close(model(inputs), inputs @ weight + 0.7, rtol=0, atol=1e-12)


def test_a_polynomial_of_its_degree_is_found_exactly_and_one_above_is_not() -> None:
    x = draw(1, 400, 2)
    targets = (x[..., :1] - 2 * x[..., 1:]) ** 3 + x[..., 1:]
    exact, short = (fitted(built(2, degree=degree), x, targets)(x) for degree in (3, 2))
    torch.testing.assert_close(exact, targets, rtol=0, atol=1e-11)
    assert (short - targets).abs().max() > 1e-2


def test_a_closed_loop_follows_the_map_that_made_the_signal() -> None:
    """The map x -> 3.2 x (1 - x) has a stable orbit of period two, so that errors fade."""
    values = [0.3]
    for _ in range(200):
        values.append(3.2 * values[-1] * (1 - values[-1]))
    signal = torch.tensor(values, dtype=torch.float64)
    model = fitted(built(1, degree=2), signal[None, :12, None], signal[None, 1:13, None])
    poisoned = torch.cat([signal[:12], torch.full((189,), torch.nan)])
    torch.testing.assert_close(continued(model, poisoned, 12), signal[1:], rtol=0, atol=1e-9)


def test_they_are_on_the_fine_grid() -> None:
    assert set(PAIRS) == {"mean", "persistence", "linear", "nvar"}
    counts = {}
    for name, config in PAIRS.items():
        assert (config.options.grid, config.precision) == ("fine", "float64")
        assert config.options.horizon_steps == (1 if name == "persistence" else 5)
        network = config.network.build(registry.task("mackey-glass").shape(config.options), 1)
        counts[name] = sum(p.numel() for p in network.parameters())
    assert counts == {"mean": 1, "persistence": 0, "linear": 5, "nvar": 126}
