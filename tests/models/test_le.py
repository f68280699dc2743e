"""Tests of the models of CIFAR-10: the common and the different parts of LE's and backpropagation's networks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from parameters import CIFAR10_PARAMETERS
from toy_runs import configured, parameters, seed_folder

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.config import RunConfig
from gle_bench.contracts import Batch, OfflineModel, OnlineModel, Shape
from gle_bench.contracts.parameters import parameter_count
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.step import step
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.overrides import override
from gle_bench.training.execute import execute
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.gradient import OfflineModule
from gle_bench.training.plan import Settings
from gle_bench.words import BUDGETS

TASK = registry.task("cifar10")
SMALL = ("channels=[2, 3]", "hidden=4")
MODELS = ("le", "bp", "bp-matched")


def config_of(model: str, *changes: str, budget: Any = "paper") -> RunConfig:
    return configured("cifar10", model, *changes, budget=budget)


def built(config: RunConfig, seed: int = 1) -> Any:
    assert isinstance(config.network, OfflineModel)
    return config.network.build(TASK.shape(config.options), seed)


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3072, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("model", CIFAR10_PARAMETERS)
def test_all_have_the_same_number_of_parameters(model: str) -> None:
    assert parameter_count(TASK, config_of(model)) == CIFAR10_PARAMETERS[model]


def test_the_le_network_is_the_fact_sheet_s() -> None:
    config = config_of("le")
    assert isinstance(config.network, OnlineModel)
    network = config.network.network(TASK.shape(config.options), TASK.learned_by(config.network).loss)
    assert [(layer.inputs, layer.neurons, layer.phi) for layer in network.layers] == [
        (3072, 20 * 28 * 28, "hard-sigmoid"),
        (20 * 28 * 28, 20 * 14 * 14, "identity"),
        (20 * 14 * 14, 50 * 10 * 10, "hard-sigmoid"),
        (50 * 10 * 10, 50 * 5 * 5, "identity"),
        (1250, 500, "hard-sigmoid"),
        (500, 10, "identity"),
    ]
    learning = [layer for layer in network.layers if layer.connection.plastic]
    assert [layer.rate_factor for layer in learning] == [1.0, 0.2, 0.2, 0.1]
    assert {(layer.tau_m, layer.tau_r, layer.gamma) for layer in learning} == {((10.0,), (10.0,), 1.0)}
    assert (network.dt, network.beta, network.loss) == (0.1, 0.1, "mse")
    training = config.training
    assert (training.optimizer, training.rate, training.batch_size, training.epochs) == ("sgd", 0.16, 128, 100)
    assert training.rate == pytest.approx(0.125 * 64 / 50 / 0.1 * network.dt)


def test_budgets_and_seeds() -> None:
    for model in MODELS:
        pair = registry.pair("cifar10", model)
        assert pair.seeds == (1, 2, 3, 5, 7, 8, 13, 21, 34, 55)
        assert [pair.configure(budget).training.epochs for budget in BUDGETS] == [1, 4, 100]
        assert [pair.configure(budget).options.images for budget in BUDGETS] == [256, None, None]
    assert config_of("gle") == config_of("le")


def test_the_papers_comparison_is_as_pytorch_leaves_it() -> None:
    config = config_of("bp")
    with torch.random.fork_rng():
        torch.manual_seed(4)
        layers = [torch.nn.Conv2d(3, 20, 5), torch.nn.Conv2d(20, 50, 5), torch.nn.Linear(1250, 500)]
        layers.append(torch.nn.Linear(500, 10))
    network = built(config, 4)
    assert all(torch.equal(a, b.weight) for a, b in zip(network.weights, layers, strict=True))
    assert all(torch.equal(a, b.bias) for a, b in zip(network.biases, layers, strict=True))
    assert (config.training.optimizer, config.training.rate, config.network.phi) == ("sgd", 0.01, "relu")
    assert TASK.learned_by(config.network).loss == "ce"


def test_first_weights_are_normal_and_shared() -> None:
    matched, le = config_of("bp-matched"), config_of("le")
    network = le.network.network(TASK.shape(le.options), "mse")
    drawn = [block for block in le.network.initialise(network, 3) if block.weight is not None]
    module = built(matched, 3)
    for block, weight, bias in zip(drawn, module.weights, module.biases, strict=True):
        assert torch.equal(block.weight[0, 0], weight)
        assert torch.equal(block.bias.flatten(), bias)
    values = torch.cat([p.detach().flatten() for p in module.parameters()])
    assert values.mean().abs() < 2e-4
    assert abs(values.std() / 0.05 - 1) < 0.01


def settled(config: RunConfig, steps: int = 12) -> tuple[Any, ...]:
    """LE's network with frozen weights after an image has passed all layers: network, parameters, state and output."""
    shape = TASK.shape(config.options)
    network = config.network.network(shape, "mse")
    carry = start(network, config.network.initialise(network, 2), Optimizer("sgd"), 3)
    doubled = tuple(type(block)(*(None if x is None else x.double() for x in block)) for block in carry.parameters)
    state = zero_state(network, doubled, 3)
    window = Window(steps, images()[None, :, None], None, None)
    state, outputs = TorchEngine().infer(network, doubled, state, window, errors=False)
    return network, doubled, state, outputs[0, :, -1]


@pytest.mark.parametrize("kernel", [5, 4])  # the latter leaves odd numbers to be pooled
def test_an_image_comes_through_as_in_a_network_without_time(kernel: int) -> None:
    changes = (*SMALL, "std=0.3", f"kernel={kernel}")
    *_, output = settled(config_of("le", *changes))
    module = built(config_of("bp-matched", *changes), 2).double()
    torch.testing.assert_close(output, module(images()[:, None]), rtol=0, atol=1e-10)


def test_gradients_of_le_point_where_those_of_its_match_do() -> None:
    """With frozen weights and a target, the settled errors are a descent of the match's loss, layer by layer."""
    changes = (*SMALL, "std=0.3")
    config = config_of("le", *changes, "beta=1e-4")
    network, drawn, state, _ = settled(config)
    target = torch.nn.functional.one_hot(torch.tensor([[1, 5, 9]]), 10).double()
    for _ in range(40):
        found = step(network, drawn, state, images()[None], target)
        state = found.state
    matched = config_of("bp-matched", *changes)
    module = OfflineModule(Experiment.of(resolved(matched)), [2])
    model = module.model.double()
    batch = Batch(1, images()[None, :, None], torch.tensor([[1, 5, 9]]))
    module.experiment.task.losses(model(batch.inputs[0])[None, :, None], batch).mean().backward()
    groups = matched.network.rate_groups(model)
    steps = {id(group.parameters[0]): group.parameters[0].grad * group.factor for group in groups}
    factors = [layer.rate_factor for layer in network.layers]
    learned = [(g, f) for g, f in zip(found.gradients, factors, strict=True) if g.weight is not None]
    for (gradient, factor), weight, bias in zip(learned, model.weights, model.biases, strict=True):
        for ours, theirs in ((gradient.weight[0, 0], weight), (gradient.bias.flatten(), bias)):
            expected = steps[id(theirs)]
            assert expected.any()
            torch.testing.assert_close(
                ours * factor / network.beta, expected, rtol=1e-2, atol=1e-2 * expected.abs().max()
            )


def test_layer_factors_are_those_of_the_optimizer() -> None:
    config = config_of("bp-matched")
    module = OfflineModule(Experiment.of(resolved(config)), [1])
    rates = [group["lr"] for group in module.configure_optimizers().param_groups]
    expected = [0.1 * f for f in (1, 0.2, 0.2, 0.1, 1 / 28**2, 0.2 / 10**2, 0.2, 0.1)]
    assert rates == pytest.approx(expected)
    plain = OfflineModule(Experiment.of(resolved(config_of("bp"))), [1])
    assert {group["lr"] for group in plain.configure_optimizers().param_groups} == {0.01}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("kernel=31", "kernel = 31 leaves -29 x -29"),
        ("kernel=15", "kernel = 15 leaves -5 x -5"),
        ("image=[1, 28, 28]", "784 values, but the task's have 3072"),
    ],
)
def test_images_that_are_too_small_for_the_kernels_are_refused(model: str, change: str, reason: str) -> None:
    config = config_of(model, change)
    shape = TASK.shape(config.options)
    with pytest.raises(UsageError, match=reason):
        config.network.build(shape, 1) if model != "le" else config.network.network(shape, "mse")


def test_other_images_fit_where_they_are_named() -> None:
    config = config_of("le", "image=[1, 16, 16]", "kernel=3", "hidden=5")
    network = config.network.network(Shape(50, 256, 4), "mse")
    assert network.layers[-2].inputs == 50 * 2 * 2


# Whole runs -----------------------------------------------------------------------------------------------------------

QUICK = (*SMALL, "batch_size=8", "evaluation_batch_size=8", "epochs=2", "images=12", "std=0.3")


def quick(model: str, *changes: str) -> RunConfig:
    steps = ("steps=8",) if model == "le" else ()
    return config_of(model, *QUICK, *steps, *changes, budget="smoke")


@pytest.mark.parametrize("model", MODELS)
def test_runs_end_with_test_errors(tmp_path: Path, data: Path, model: str) -> None:
    (record,) = execute(
        resolved(quick(model)), [1], Settings(tmp_path, data, accept_data=True, engine="torch", wandb="off")
    )
    assert record.status == "done", record.error
    history = seed_folder(tmp_path, 1).read_history()
    assert [row["split"] for row in history] == ["validation"] * 3
    assert record.metrics["last"]["test"]["error"].n == 12
    assert not record.data.official
    assert any("not known to be the official ones" in note for note in record.data.notes)
    moved = [not torch.equal(a, b) for a, b in zip(parameters(tmp_path, 1), _first(quick(model)), strict=True)]
    assert sum(moved) >= 8


def _first(config: RunConfig) -> list[torch.Tensor]:
    shape = TASK.shape(config.options)
    if isinstance(config.network, OfflineModel):
        return list(config.network.build(shape, 1).state_dict().values())
    network = config.network.network(shape, "mse")
    return [x for block in config.network.initialise(network, 1) for x in block if x is not None]


def test_seeds_of_le_learn_side_by_side_as_alone(tmp_path: Path, data: Path) -> None:
    config = override(quick("le"), ["precision=float64"])
    settings = {"data": data, "accept_data": True, "engine": "torch", "wandb": "off"}
    execute(resolved(config), [1, 2], Settings(tmp_path / "both", **settings))
    execute(resolved(config), [2], Settings(tmp_path / "alone", **settings))
    for together, alone in zip(parameters(tmp_path / "both", 2), parameters(tmp_path / "alone", 2), strict=True):
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)
