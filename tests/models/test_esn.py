"""Tests of echo state networks: the random reservoir, its steps against ReservoirPy, and learned readouts."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gle_bench import registry
from gle_bench.contracts import Shape
from gle_bench.errors import UsageError
from gle_bench.models.modules.ridge import Readout, fold, solve

SHAPE = Shape(60, 2, 1)
PAIRS = {pair.task: pair for pair in registry.pairs() if pair.model == "esn"}
NETWORK = PAIRS["mackey-glass"].configure("paper").network


def changed(**fields: Any) -> Any:
    return type(NETWORK).model_validate({**NETWORK.model_dump(), **fields})


def built(shape: Shape = SHAPE, seed: int = 1, **fields: Any) -> Readout:
    return changed(**fields).build(shape, seed).double()


def signal(steps: int, channels: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(1, steps, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sizes(model: Readout) -> Tensor:
    return torch.linalg.eigvals(model.recurrent.weight).abs()


# The reservoir -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 1.09])
@pytest.mark.parametrize("neurons", [20, 186])
def test_the_spectral_radius_is_what_it_is_said_to_be(radius: float, neurons: int) -> None:
    model = built(neurons=neurons, spectral_radius=radius, connect_prob=0.3)
    assert sizes(model).max().item() == pytest.approx(radius, rel=1e-5)  # drawn in float64, kept in float32


def test_scaling_by_the_first_eigenvalue_leaves_the_largest_larger() -> None:
    found = [sizes(built(neurons=40, connect_prob=0.5, scaling="first", seed=seed)).max().item() for seed in range(8)]
    assert min(found) >= NETWORK.spectral_radius * (1 - 1e-5)
    assert max(found) > 1.05 * NETWORK.spectral_radius
    one, other = (
        built(neurons=40, connect_prob=0.5, scaling=scaling).recurrent.weight for scaling in ("first", "largest")
    )
    ratio = one[other != 0] / other[other != 0]
    assert ratio.std() < 1e-5 * ratio.mean()


def test_weights_are_drawn_as_they_are_described() -> None:
    model = built(Shape(10, 3, 1), neurons=400, connect_prob=0.11, bias_scale=0.68, input_scale=0.85)
    driving, recurrent = model.driving.weight, model.recurrent.weight
    assert (driving[:, 0].abs().max() / 0.34).item() == pytest.approx(1, abs=0.02)
    assert (driving[:, 1:].abs().max() / 0.425).item() == pytest.approx(1, abs=0.02)
    assert (recurrent != 0).double().mean().item() == pytest.approx(0.11, abs=0.01)
    weights = recurrent[recurrent != 0] / recurrent.std() * 0.11**0.5
    assert weights.mean().item() == pytest.approx(0, abs=0.05)
    assert weights.pow(4).mean().item() == pytest.approx(3, rel=0.1)  # a Gaussian's


def test_a_reservoir_without_a_loop_is_refused() -> None:
    for seed in range(3):
        with pytest.raises(UsageError, match=r"connect_prob = 0\.01 leaves 3 neurons with an eigenvalue of 0"):
            built(neurons=3, connect_prob=0.01, seed=seed)


@pytest.mark.parametrize("field", ["neurons", "leak", "connect_prob", "spectral_radius"])
def test_impossible_values_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        changed(**{field: 0})
    if field in ("leak", "connect_prob"):
        with pytest.raises(ValueError, match=field):
            changed(**{field: 1.5})


# Its steps -----------------------------------------------------------------------------------------------------------


def test_steps_are_those_of_reservoirpy() -> None:
    """ReservoirPy, with the same weights, has the same states, and learns the same readout of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, at import
        from reservoirpy.nodes import Reservoir, Ridge
    model, inputs = built(neurons=50, ridge=1e-3), signal(300)
    wanted = inputs.cumsum(1).sin().sum(2, keepdim=True)
    seen = NETWORK.shift + NETWORK.scale * inputs[0].numpy()
    driving, recurrent = (layer.weight.detach().numpy() for layer in (model.driving, model.recurrent))
    theirs = Reservoir(lr=NETWORK.leak, W=recurrent, Win=driving[:, 1:], bias=driving[:, 0])
    states = np.stack([theirs(x) for x in seen])
    features = model.features(inputs)
    np.testing.assert_allclose(features[0, :, 3:].detach(), states, rtol=0, atol=1e-8)
    np.testing.assert_allclose(features[0, :, 1:3].detach(), seen, rtol=0, atol=1e-12)
    rows = torch.cat([features, wanted], 2)[0].detach()
    model.readout.weight.data = solve(fold(torch.zeros(0, 54), rows), 53, 1e-3)
    ridge = Ridge(ridge=1e-3, fit_bias=False).fit(rows[:, :53].numpy(), rows[:, 53:].numpy())
    np.testing.assert_allclose(model(inputs)[0].detach(), ridge.run(rows[:, :53].numpy()), rtol=0, atol=1e-8)


def test_it_sees_the_signal_shifted_and_scaled() -> None:
    model, plain = built(), built(shift=0.0, scale=1.0)
    nn.init.normal_(model.readout.weight)
    plain.readout.weight.data = model.readout.weight.data
    inputs = signal(20)
    torch.testing.assert_close(model(inputs), plain(NETWORK.shift + NETWORK.scale * inputs), rtol=0, atol=1e-12)


def test_it_forgets_how_it_started() -> None:
    """This is the echo state property, by which evaluation can start from any state."""
    model, inputs = built(SHAPE._replace(inputs=1)), 0.5 * signal(400, 1)
    other = torch.cat([signal(100, 1, seed=1), inputs[:, 100:]], 1)
    apart = (model.features(inputs) - model.features(other)).abs().amax((0, 2))
    assert apart[:100].max() > 0.1
    assert apart[-50:].max() < 1e-3 * apart[:100].max()


# Its pairs -----------------------------------------------------------------------------------------------------------


def test_on_mackey_glass_it_is_neurobenchs() -> None:
    """Footprint and connection sparsity equal those of NeuroBench's board, which counts all weights in float64."""
    model = built(Shape(750, 1, 1))
    tensors = [*model.parameters(), *model.buffers()]
    assert sum(x.numel() * x.element_size() for x in tensors) == 281_248
    empty = np.mean([sum(int((x == 0).sum()) for x in built(Shape(750, 1, 1), seed=s).parameters()) for s in range(5)])
    assert (empty - 188) / 35_156 == pytest.approx(0.876, abs=0.002)  # of a readout that has learned
    assert sum(x.numel() for x in model.parameters() if x.requires_grad) == 188


def test_it_is_on_every_task_with_a_readout_that_fits() -> None:
    assert set(PAIRS) >= {"cifar10", "gsc", "mackey-glass", "mnist1d"}
    for name, count in (("cifar10", 8_550), ("gsc", 12_132), ("mnist1d", 5_020)):
        config = PAIRS[name].configure("paper")
        model = config.network.build(registry.task(name).shape(config.options), 1)
        assert sum(x.numel() for x in model.parameters() if x.requires_grad) == count


def test_it_tells_classes_apart_by_its_mean_state() -> None:
    """Two frequencies in noise with any phase have the same mean, but the reservoir's mean states differ."""
    steps = torch.arange(60, dtype=torch.float64)
    classes = torch.arange(200) % 2
    phases = torch.rand(200, 1, generator=torch.Generator().manual_seed(0)) * 6.28
    waves = ((0.2 + 0.4 * classes[:, None]) * steps + phases).sin()[..., None]
    model = built(Shape(60, 1, 2), neurons=100, input_scale=4.0, reads="mean")
    features, targets = model.read(waves)[:, 0], nn.functional.one_hot(classes).double()
    rows = torch.cat([features, targets], 1)[:100].detach()
    model.readout.weight.data = solve(fold(torch.zeros(0, rows.shape[1]), rows), features.shape[1], 1e-4)
    assert (model(waves[100:]).argmax(1) == classes[100:]).double().mean() > 0.9
