"""Tests of configurations: the fields that their hashes cover, and the combinations that are refused."""

import pytest
from pydantic import ValidationError

from gle_bench import registry
from gle_bench.chosen import resolved, run_hash
from gle_bench.config import TrainingConfig
from gle_bench.errors import UsageError
from gle_bench.overrides import override
from gle_bench.training.plan import check_pair

CONFIGS = {f"{pair.task} {pair.model}": pair.configure("paper") for pair in registry.pairs()}


def test_there_are_tasks() -> None:
    assert {"mnist1d", "toy-signal"} <= set(registry.places("tasks"))


def test_a_model_stands_once_for_a_task() -> None:
    assert len(CONFIGS) == len(registry.pairs())
    assert {"mnist1d gle-15k", "toy-signal toy-gle"} <= CONFIGS.keys()


def test_a_hash_covers_meaning_alone() -> None:
    config = CONFIGS["toy-classes toy-gle"]
    plain = run_hash(config, "data")
    changed = [
        run_hash(override(config, [change]), "data")
        for change in ("rate=0.5", "epochs=7", "phi=relu", "steps=20", "precision=float64")
    ]
    schedules = [f'schedule={{"kind": "{kind}"}}' for kind in ("plateau", "constant")]
    changed += [run_hash(override(config, schedules[:1]), "data"), run_hash(config, "other")]
    changed += [run_hash(config.model_copy(update={"protocol": "clean"}), "data")]
    assert len({plain, *changed}) == len(changed) + 1
    explicit = override(config, ["epochs=3", "gamma=0.0", "evaluate_every=250", schedules[1]])
    assert run_hash(explicit, "data") == plain  # defaults written out are still the defaults


def test_a_rule_that_a_model_cannot_learn_by_is_refused() -> None:
    for name, rule in (("toy-classes toy-mlp", "gle"), ("toy-classes toy-gle", "backprop")):
        config = CONFIGS[name].model_copy(update={"rule": rule})
        with pytest.raises(UsageError, match="online"):
            check_pair(resolved(config))


def test_what_would_tear_a_task_apart_is_refused() -> None:
    chunks = resolved(override(CONFIGS["toy-stream toy-gle"], ["batch_size=2"]))
    blind = resolved(CONFIGS["toy-signal toy-mlp"])._replace(task=registry.task("toy-loop"))
    for chosen, reason in ((chunks, "one unbroken stream; set both to 1"), (blind, "is evaluated in closed loop")):
        with pytest.raises(UsageError, match=reason):
            check_pair(chosen)


def test_training_has_one_length() -> None:
    for lengths in ({}, {"epochs": 1, "batches": 1}):
        with pytest.raises(ValidationError, match="give one of epochs"):
            TrainingConfig(**lengths)
