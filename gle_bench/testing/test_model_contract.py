"""The contract of models: tests that every registered pair of a task and a model must pass."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError

from gle_bench import plugins, registry
from gle_bench.chosen import resolved, run_hash
from gle_bench.config import RunConfig
from gle_bench.contracts import Batch, OfflineModel, OnlineModel, OnlineRule
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import EngineRequest, start
from gle_bench.dynamics.ensemble import pack
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.models.initial import seeded
from gle_bench.overrides import override
from gle_bench.testing.data import load, some
from gle_bench.testing.engines import Tried
from gle_bench.training.data import side_by_side
from gle_bench.training.plan import check_pair
from gle_bench.words import BUDGETS, Protocol

PAIRS = {f"{pair.task} {pair.model}": pair for pair in registry.pairs()}
CONFIGS = {name: pair.configure("paper") for name, pair in PAIRS.items()}


def leaves(config: Any, path: str = "") -> Iterator[tuple[str, Any, bool]]:
    """The path and value of every setting, and whether it may be None."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        where = f"{path}.{name}".lstrip(".")
        if hasattr(type(value), "model_fields"):
            yield from leaves(value, where)
        else:
            yield where, value, type(None) in get_args(field.annotation)


POINTS = [point for kind in registry.KINDS for point in plugins.offered(kind)]
ONLINE = {name: config.network for name, config in CONFIGS.items() if isinstance(config.network, OnlineModel)}
OFFLINE = {name: config.network for name, config in CONFIGS.items() if isinstance(config.network, OfflineModel)}
CLOSED_LOOP = [name for name, family in OFFLINE.items() if family.closed_loop]
EVERY_PAIR = pytest.mark.parametrize("name", PAIRS)
EVERY_ONLINE_PAIR = pytest.mark.parametrize("name", ONLINE)
EVERY_OFFLINE_PAIR = pytest.mark.parametrize("name", OFFLINE)


def samples(config: RunConfig, data: Path) -> Batch:
    """Four training samples as the batch of an ensemble of one network."""
    return _samples(config.task, config.options.model_dump_json(), config.protocol, data)


@cache
def _samples(task: str, options: str, protocol: Protocol, data: Path) -> Batch:
    """The samples of a task with these options in JSON, loaded once for all its models and engines."""
    chosen = registry.task(task)
    train = load(chosen, chosen.options.model_validate_json(options), protocol, data).splits["train"]
    return side_by_side([train.fetch(some(train), 1, 0)], torch.float32)


@cache
def complaints() -> list[str]:
    """The lines that glebench logs on faulty plugins when it loads all of them."""
    code = "from gle_bench import registry as r; r.pairs(); [r.points(kind) for kind in r.KINDS]"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.group} {point.name}")
def test_all_that_a_plugin_offers_is_used(point: EntryPoint) -> None:
    assert [line for line in complaints() if plugins.called(point) in line] == []


def hashes() -> dict[str, str]:
    return {
        f"{name} {budget}": run_hash(pair.configure(budget), "fingerprint")
        for name, pair in PAIRS.items()
        for budget in BUDGETS
    }


@EVERY_PAIR
def test_every_budget_has_a_configuration_that_fits(name: str) -> None:
    pair = PAIRS[name]
    models = {p.model for p in PAIRS.values() if p.task == pair.task}
    for budget in BUDGETS:
        config = pair.configure(budget)
        assert (config.task, config.budget, config.protocol) == (pair.task, budget, "paper")
        assert config.model in models  # another name than the pair's if that is an alias: 'gle' is gle-42k
        assert registry.pair(config.task, config.model).configure(budget) == config
        assert isinstance(config.options, registry.task(pair.task).options)
        check_pair(resolved(config))
    lengths = [pair.configure(budget).training for budget in BUDGETS]
    updates = [training.epochs or training.batches or 0 for training in lengths]
    assert updates == sorted(updates)


@EVERY_PAIR
def test_seeds_are_given_once(name: str) -> None:
    seeds = PAIRS[name].seeds
    assert len(seeds) > 0
    assert len(set(seeds)) == len(seeds)
    assert PAIRS[name].summary


@EVERY_PAIR
def test_the_sizes_that_a_network_has_give_the_same_network(name: str) -> None:
    network = PAIRS[name].configure("paper").network
    sizes = {size: getattr(network, size) for size in type(network).sizes}
    assert not sizes or network.resized(sizes) == network


@EVERY_PAIR
def test_a_configuration_survives_json(name: str) -> None:
    for budget in BUDGETS:
        config = PAIRS[name].configure(budget)
        fields = json.loads(json.dumps(config.model_dump(mode="json"), allow_nan=False))
        parts = {name: type(getattr(config, name)) for name in ("options", "network", "training", "rule_options")}
        again = RunConfig(**{**fields, **{name: kind.model_validate(fields[name]) for name, kind in parts.items()}})
        assert again == config
        assert run_hash(again, "") == run_hash(config, "")


def test_hashes_are_the_same_in_another_process_and_differ_from_each_other() -> None:
    code = "import json; from gle_bench.testing import test_model_contract as t; print(json.dumps(t.hashes()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    own = hashes()
    assert json.loads(printed.stdout) == own
    aliases = tuple(f"{name} " for name in PAIRS if CONFIGS[name].model != PAIRS[name].model)
    apart = {name: value for name, value in own.items() if not name.startswith(aliases)}
    assert len(set(apart.values())) == len(apart)


@EVERY_PAIR
def test_wrong_values_are_refused_in_one_sentence(name: str) -> None:
    config = CONFIGS[name]
    numbers = {
        path: optional
        for path, value, optional in leaves(config)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert "training.rate" in numbers
    wrong = [f"{path}={value}" for path in numbers for value in ("many", "NaN", "Infinity", "[]", "true")]
    wrong += [f"{path}=null" for path, optional in numbers.items() if not optional or path.startswith("training.")]
    wrong += ["nonsense=1", "training.nonsense=1", "rate", "rate=-1", "batch_size=0", "optimizer=adamw", "task=other"]
    wrong += ["network=7", 'network={"nonsense": 1}', "training=[]", "network.version=2", "rate=0", "shuffle=never"]
    for assignment in wrong:
        with pytest.raises(UsageError) as caught:
            override(config, [assignment])
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(".")
    with pytest.raises(ValidationError):
        config.training.rate = 1.0


@EVERY_ONLINE_PAIR
def test_online_parameters_are_a_function_of_the_seed_alone(name: str) -> None:
    config, task = CONFIGS[name], registry.task(CONFIGS[name].task)
    network = ONLINE[name].network(task.shape(config.options), task.learned_by(ONLINE[name]).loss)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first = ONLINE[name].initialise(network, 5)
    assert torch.equal(torch.rand(2), expected)
    again, other = ONLINE[name].initialise(network, 5), ONLINE[name].initialise(network, 6)
    assert torch.equal(pack(network, first), pack(network, again))
    assert not torch.equal(pack(network, first), pack(network, other))
    for block in first:
        assert all(x is None or (x.shape[1] == 1 and x.dtype == torch.float32) for x in block)


@EVERY_ONLINE_PAIR
def test_online_networks_learn_and_infer(engine: Tried, data: Path, name: str) -> None:
    """After a few steps, outputs have the right shape, values are finite, and plastic parameters alone have changed."""
    config, task, batch = CONFIGS[name], registry.task(CONFIGS[name].task), samples(CONFIGS[name], data)
    shape, rule, optimizer = task.shape(config.options), registry.rule(config.rule), Optimizer()
    network = ONLINE[name].network(shape, task.learned_by(ONLINE[name]).loss)
    assert (network.inputs, network.outputs) == (shape.inputs, shape.outputs)
    assert isinstance(rule, OnlineRule)
    feedback = task.feedback(config.options)
    request = EngineRequest(network, rule, "cpu", torch.float32, feedback)
    # What an engine accepts it runs: it may no longer refuse, which would skip this test.
    runner = choice.make(engine.name) if choice.refusal(engine.name, request) is None else engine
    carry = start(network, ONLINE[name].initialise(network, 1), optimizer, 4)
    window = Window(batch.steps, batch.inputs, task.targets(batch, shape.outputs), batch.mask)
    steps = min(8 + 2 * len(network.layers), shape.steps)
    new, outputs = runner.learn(network, rule, optimizer, carry, window.part(0, steps), torch.tensor([1e-3]))
    assert outputs.shape == (1, 4, steps, shape.outputs)
    before, after = pack(network, carry.parameters), pack(network, new.parameters)
    assert after.isfinite().all()
    assert not torch.equal(before, after)
    assert new.optimizer.updates == -(-steps // rule.window_in(steps))
    blind = Window(batch.steps, batch.inputs, None, None).part(0, steps)
    state, outputs = runner.infer(network, new.parameters, new.state, blind, feedback=feedback)
    assert outputs.shape == (1, 4, steps, shape.outputs)
    assert outputs.isfinite().all()
    assert all(x.isfinite().all() for block in (*state, *new.state) for x in block)


@EVERY_OFFLINE_PAIR
def test_offline_networks_answer_and_all_of_them_learns(data: Path, name: str) -> None:
    config, task, batch = CONFIGS[name], registry.task(CONFIGS[name].task), samples(CONFIGS[name], data)
    shape = task.shape(config.options)
    with seeded(0):
        network = OFFLINE[name].build(shape, 1)
        answer = network(batch.inputs[0].expand(-1, shape.steps, -1))
    assert answer.shape in [(4, shape.outputs), (4, shape.steps, shape.outputs)]
    outputs = answer[None, :, None] if answer.dim() == 2 else answer[None]
    torch.autograd.backward(task.learned_by(OFFLINE[name]).losses(outputs, batch).mean())
    for parameter in network.parameters():
        if not parameter.requires_grad:  # fixed, as all of a reservoir is
            assert parameter.grad is None
            continue
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any() or not parameter.numel()


@EVERY_OFFLINE_PAIR
def test_what_normalises_or_drops_out_says_so(name: str) -> None:
    config = CONFIGS[name]
    modules = OFFLINE[name].build(registry.task(config.task).shape(config.options), 0).modules()
    families = tuple(vars(torch.nn.modules)[kind] for kind in ("batchnorm", "dropout", "instancenorm", "normalization"))
    found = [module for module in modules if type(module).__module__ in {family.__name__ for family in families}]
    assert OFFLINE[name].normalised == bool(found)


@EVERY_OFFLINE_PAIR
def test_offline_parameters_are_a_function_of_the_seed_alone(name: str) -> None:
    config = CONFIGS[name]
    shape = registry.task(config.task).shape(config.options)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first, again, other = (OFFLINE[name].build(shape, seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    drawn = [key for key, value in first.items() if value.any()]
    assert not drawn or not all(torch.equal(first[key], other[key]) for key in drawn)


@pytest.mark.parametrize("name", CLOSED_LOOP)
def test_the_steps_of_an_offline_network_are_the_whole_sequence(name: str) -> None:
    config = CONFIGS[name]
    shape = registry.task(config.task).shape(config.options)._replace(steps=20)
    network: Any = OFFLINE[name].build(shape, 1).double()
    inputs = torch.randn(2, shape.steps, shape.inputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    memory, found = network.start(2), []
    for x in inputs.unbind(1):
        output, memory = network.step(x, memory)
        found.append(output)
    steps, whole = torch.stack(found, 1), network(inputs)
    if whole.dim() == 2:  # classes, from the mean over time
        steps = steps.mean(1)
    torch.testing.assert_close(steps, whole, rtol=0, atol=1e-10)
