"""What every pair of task and model keeps to, ours and a stranger's: all that join the registry are tested."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from command import ENVIRONMENT
from pydantic import ValidationError

from gle_bench import registry
from gle_bench.config import RunConfig, TrainingConfig
from gle_bench.contracts import Batch, OfflineModel, OnlineModel
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import Job, Window, start
from gle_bench.dynamics.ensemble import pack
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.errors import UsageError
from gle_bench.models.initial import seeded
from gle_bench.overrides import override
from gle_bench.training.data import side_by_side
from gle_bench.training.plan import check_pair
from gle_bench.words import BUDGETS

PAIRS = {f"{pair.task} {pair.model}": pair for pair in registry.pairs()}
CONFIGS = {name: pair.configure("paper") for name, pair in PAIRS.items()}


def of_kind(kind: type) -> list[str]:
    return [name for name, config in CONFIGS.items() if isinstance(config.network, kind)]


EVERY_PAIR = pytest.mark.parametrize("name", PAIRS)
EVERY_ONLINE_PAIR = pytest.mark.parametrize("name", of_kind(OnlineModel))
EVERY_OFFLINE_PAIR = pytest.mark.parametrize("name", of_kind(OfflineModel))


def samples(config: RunConfig, data: Path) -> Batch:
    task = registry.task(config.task)
    task.prepare(data / task.name, config.options, lambda line: None)
    found = task.load(data / task.name, config.options, config.protocol, 1 if task.data_per_seed else None)
    train = found.splits["train"]
    return side_by_side([train.fetch(torch.arange(4) % len(train), 1, 0)], torch.float32)


def hashes() -> dict[str, str]:
    found = {}
    for name, pair in PAIRS.items():
        for budget in BUDGETS:
            found[f"{name} {budget}"] = registry.run_hash(pair.configure(budget), "fingerprint")
    return found


def test_a_model_stands_once_for_a_task() -> None:
    assert len(PAIRS) == len(registry.pairs())
    assert {"mnist1d gle-15k", "toy-signal toy-gle"} <= set(PAIRS)


@EVERY_PAIR
def test_every_budget_has_a_configuration_that_fits(name: str) -> None:
    pair = PAIRS[name]
    known = {p.model for p in PAIRS.values() if p.task == pair.task}
    for budget in BUDGETS:
        config = pair.configure(budget)
        assert (config.task, config.budget, config.protocol) == (pair.task, budget, "paper")
        assert config.model in known  # 'gle' is gle-42k under a short name
        assert registry.pair(config.task, config.model).configure(budget) == config
        assert isinstance(config.options, registry.task(pair.task).options)
        check_pair(registry.resolved(config))
    lengths = [pair.configure(budget).training for budget in BUDGETS]
    updates = [training.epochs or training.batches for training in lengths]
    assert updates == sorted(updates)


@EVERY_PAIR
def test_seeds_are_given_once(name: str) -> None:
    seeds = PAIRS[name].seeds
    assert len(seeds) > 0
    assert len(set(seeds)) == len(seeds)
    assert PAIRS[name].summary


@EVERY_PAIR
def test_a_configuration_survives_json(name: str) -> None:
    for budget in BUDGETS:
        config = PAIRS[name].configure(budget)
        fields = json.loads(json.dumps(config.model_dump(mode="json"), allow_nan=False))
        parts = {name: type(getattr(config, name)) for name in ("options", "network", "training")}
        again = RunConfig(**{**fields, **{name: kind.model_validate(fields[name]) for name, kind in parts.items()}})
        assert again == config
        assert registry.run_hash(again, "") == registry.run_hash(config, "")


def test_hashes_are_the_same_in_another_process_and_differ_from_each_other() -> None:
    code = f"import json, runpy; print(json.dumps(runpy.run_path({__file__!r})['hashes']()))"
    environment = {**os.environ, **ENVIRONMENT, "PYTHONHASHSEED": "1"}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ours = hashes()
    assert json.loads(printed.stdout) == ours
    second = tuple(f"{name} " for name in PAIRS if CONFIGS[name].model != PAIRS[name].model)  # 'gle' is gle-42k, or le
    apart = {name: value for name, value in ours.items() if not name.startswith(second)}
    assert len(set(apart.values())) == len(apart)


def test_a_hash_covers_meaning_alone() -> None:
    config = CONFIGS["toy-classes toy-gle"]
    plain = registry.run_hash(config, "data")
    changed = [
        registry.run_hash(override(config, [change]), "data")
        for change in ("rate=0.5", "epochs=7", "phi=relu", "steps=20", "precision=float64")
    ]
    schedules = [f'schedule={{"kind": "{kind}"}}' for kind in ("plateau", "constant")]
    changed += [registry.run_hash(override(config, schedules[:1]), "data"), registry.run_hash(config, "other")]
    changed += [registry.run_hash(config.model_copy(update={"protocol": "clean"}), "data")]
    assert len({plain, *changed}) == len(changed) + 1
    explicit = override(config, ["epochs=3", "gamma=0.0", "evaluate_every=250", schedules[1]])
    assert registry.run_hash(explicit, "data") == plain  # defaults written out are still the defaults


def leaves(config: Any, path: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Every setting's path and value, and whether it may be none."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        where = f"{path}.{name}".lstrip(".")
        if hasattr(type(value), "model_fields"):
            yield from leaves(value, where)
        else:
            yield where, value, type(None) in get_args(field.annotation)


@EVERY_PAIR
def test_wrong_values_are_refused_in_one_sentence(name: str) -> None:
    config = CONFIGS[name]
    numbers = {
        path: optional
        for path, value, optional in leaves(config)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert "training.rate" in numbers
    wrong = [f"{path}={value}" for path in numbers for value in ("many", "NaN", "Infinity", "[]")]
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
    network = config.network.network(task.shape(config.options), task.learned_by(config.network).loss)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first = config.network.initialise(network, 5)
    assert torch.equal(torch.rand(2), expected)
    again, other = config.network.initialise(network, 5), config.network.initialise(network, 6)
    assert torch.equal(pack(network, first), pack(network, again))
    assert not torch.equal(pack(network, first), pack(network, other))
    for block in first:
        assert all(x is None or (x.shape[1] == 1 and x.dtype == torch.float32) for x in block)


@EVERY_ONLINE_PAIR
def test_online_networks_learn_and_infer(engine: Any, data: Path, name: str) -> None:
    """A few samples for a few steps: shapes fit, all is finite, what learns has moved and all else has not."""
    config, task, batch = CONFIGS[name], registry.task(CONFIGS[name].task), samples(CONFIGS[name], data)
    shape, rule, optimizer = task.shape(config.options), registry.rule(config.rule), Optimizer()
    network = config.network.network(shape, task.learned_by(config.network).loss)
    assert (network.inputs, network.outputs) == (shape.inputs, shape.outputs)
    feedback = task.feedback(config.options)
    job = Job(network, rule, rule.engines, "cpu", torch.float32, feedback is not None)
    # What an engine accepts it runs: it may no longer refuse, which would skip this test.
    runner = choice.make(engine.name) if choice.refusal(engine.name, job) is None else engine
    carry = start(network, config.network.initialise(network, 1), optimizer, 4)
    window = Window(batch.steps, batch.inputs, task.targets(batch, shape.outputs), batch.mask)
    steps = min(8 + 2 * len(network.layers), shape.steps)
    new, outputs = runner.learn(network, rule, optimizer, carry, window.part(0, steps), torch.tensor([1e-3]))
    assert outputs.shape == (1, 4, steps, shape.outputs)
    before, after = pack(network, carry.parameters), pack(network, new.parameters)
    assert after.isfinite().all()
    assert not torch.equal(before, after)
    assert new.optimizer.updates == -(-steps // rule.window)
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
        network = config.network.build(shape, 1)
        answer = network(batch.inputs[0].expand(-1, shape.steps, -1))
    assert answer.shape in [(4, shape.outputs), (4, shape.steps, shape.outputs)]
    outputs = answer[None, :, None] if answer.dim() == 2 else answer[None]
    task.learned_by(config.network).losses(outputs, batch).mean().backward()
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
    modules = config.network.build(registry.task(config.task).shape(config.options), 0).modules()
    families = tuple(vars(torch.nn.modules)[kind] for kind in ("batchnorm", "dropout", "instancenorm", "normalization"))
    found = [module for module in modules if type(module).__module__ in {family.__name__ for family in families}]
    assert config.network.normalised == bool(found)


@EVERY_OFFLINE_PAIR
def test_offline_parameters_are_a_function_of_the_seed_alone(name: str) -> None:
    config = CONFIGS[name]
    shape = registry.task(config.task).shape(config.options)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first, again, other = (config.network.build(shape, seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    drawn = [key for key, value in first.items() if value.any()]
    assert not drawn or not all(torch.equal(first[key], other[key]) for key in drawn)


@pytest.mark.parametrize("name", [name for name in of_kind(OfflineModel) if CONFIGS[name].network.closed_loop])
def test_the_steps_of_an_offline_network_are_the_whole_sequence(name: str) -> None:
    config = CONFIGS[name]
    shape = registry.task(config.task).shape(config.options)._replace(steps=20)
    network: Any = config.network.build(shape, 1).double()
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


def test_a_rule_that_a_model_cannot_learn_by_is_refused() -> None:
    for name, rule in (("toy-classes toy-mlp", "gle"), ("toy-classes toy-gle", "backprop")):
        config = CONFIGS[name].model_copy(update={"rule": rule})
        with pytest.raises(UsageError, match="online"):
            check_pair(registry.resolved(config))


def test_what_would_tear_a_task_apart_is_refused() -> None:
    chunks = registry.resolved(override(CONFIGS["toy-stream toy-gle"], ["batch_size=2"]))
    blind = registry.resolved(CONFIGS["toy-signal toy-mlp"])._replace(task=registry.task("toy-loop"))
    for chosen, reason in ((chunks, "one unbroken stream; set both to 1"), (blind, "is evaluated in closed loop")):
        with pytest.raises(UsageError, match=reason):
            check_pair(chosen)


def test_rules_are_called_as_they_are_registered() -> None:
    for name in registry.places("rules"):
        rule = registry.rule(name)
        assert rule.name == name
        assert rule.window >= 1
        assert "torch" in rule.engines


def test_training_has_one_length() -> None:
    for lengths in ({}, {"epochs": 1, "batches": 1}):
        with pytest.raises(ValidationError, match="give one of epochs"):
            TrainingConfig(**lengths)
