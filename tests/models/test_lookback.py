"""Tests of NeuroBench's LSTM: its size, the window of its inputs, and its recipe in our units."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.contracts import Batch, Shape
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.gradient import OfflineModule

SHAPE = Shape(750, 1, 1)
CONFIGS = {
    pair.model: pair.configure("paper")
    for pair in registry.pairs()
    if pair.task == "mackey-glass" and pair.model in ("lstm", "lstm-100")
}
NETWORK = CONFIGS["lstm"].network


def built(shape: Shape = SHAPE, seed: int = 1, **fields: Any) -> nn.Module:
    return type(NETWORK).model_validate({**NETWORK.model_dump(), **fields}).build(shape, seed).double()


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("model", "parameters", "footprint"), [("lstm", 14_861, None), ("lstm-100", 61_001, 490_008)])
def test_sizes_are_neurobenchs(model: str, parameters: int, footprint: int | None) -> None:
    """The footprint counts all parameters and buffers in float64, the memory's included."""
    network = CONFIGS[model].network.build(SHAPE, 0).double()
    assert sum(x.numel() for x in network.parameters()) == parameters
    bytes_ = sum(x.numel() * x.element_size() for x in (*network.parameters(), *network.buffers()))
    assert bytes_ == (footprint or 8 * (parameters + 50 + 2 * 40))


@pytest.mark.parametrize("channels", [1, 2])
def test_steps_are_the_whole_sequence(channels: int) -> None:
    network, inputs = built(Shape(12, channels, 1), hidden=6, window=5), draw(3, 12, channels)
    memory, found = network.start(3), []
    for x in inputs.unbind(1):
        y, memory = network.step(x, memory)
        found.append(y)
    torch.testing.assert_close(torch.stack(found, 1), network(inputs), rtol=0, atol=1e-12)


def test_the_window_starts_empty_and_holds_the_last_values() -> None:
    network, inputs = built(hidden=6, window=5), draw(2, 12, 1)
    signal = NETWORK.shift + NETWORK.scale * inputs[..., 0]
    h, c, found = torch.zeros(2, 6).double(), torch.zeros(2, 6).double(), []
    for t in range(12):
        seen = torch.zeros(2, 5, dtype=torch.float64)
        last = signal[:, max(0, t - 4) : t + 1]
        seen[:, 5 - last.shape[1] :] = last
        h, c = network.cell(network.norm(seen), (h, c))
        found.append((network.readout(h.relu()) - NETWORK.shift) / NETWORK.scale)
    torch.testing.assert_close(network(inputs), torch.stack(found, 1), rtol=0, atol=1e-12)


def test_it_predicts_the_signal_as_it_is() -> None:
    network, plain = built(), built(shift=0.0, scale=1.0)
    inputs = draw(1, 60, 1)
    shift, scale = NETWORK.shift, NETWORK.scale
    torch.testing.assert_close(plain(shift + scale * inputs), shift + scale * network(inputs), rtol=0, atol=1e-12)


def test_its_training_is_neurobenchs_in_our_units() -> None:
    """Theirs: Adam on the mean squared error of the raw signal, weight decay 1e-3. Adam's steps know no common factor,
    so they are the same where gradients and weight decay have one."""
    config = CONFIGS["lstm"]
    ours = OfflineModule(Experiment.of(resolved(config)), [3])
    theirs = built(SHAPE, seed=3, shift=0.0, scale=1.0)
    theirs.load_state_dict(ours.model.state_dict())
    inputs, targets = draw(1, 1, 60, 1), draw(1, 1, 61, 1)[:, :, 1:]
    raw, wanted = (NETWORK.shift + NETWORK.scale * x[0] for x in (inputs, targets))
    nn.functional.mse_loss(theirs(raw), wanted).backward()
    ours.learn(Batch(60, inputs, targets))
    factor = config.training.weight_decay / 1e-3
    gradients = dict(ours.model.named_parameters())
    for name, value in theirs.named_parameters():
        torch.testing.assert_close(gradients[name].grad, factor * value.grad, rtol=1e-9, atol=1e-12)
    (group,) = ours.configure_optimizers().param_groups
    assert (group["lr"], group["weight_decay"]) == (5e-3, config.training.weight_decay)
    assert (config.training.optimizer, config.training.batches, config.precision) == ("adam", 200, "float64")
