"""Every online rule on every network that learns online: it learns, or is refused with a reason and its cure."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.contracts import OnlineModel, OnlineRule, Pair
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import pack
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.window import Window
from gle_bench.training.experiment import network_of

BATCH = 2
PAIRS = [
    pair
    for pair in registry.pairs()
    if pair.task in registry.TASKS and isinstance(pair.configure("smoke").network, OnlineModel)
]
FIRST = {pair.task: pair.model for pair in reversed(PAIRS)}  # a model of each task, for which every rule is tried
RULES = [rule for name in registry.RULES if isinstance(rule := registry.rule(name), OnlineRule)]


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def marked(pair: Pair) -> Any:
    """The pair; with `scripts/test --systems` alone if its task has another model that stands for it."""
    marks = () if FIRST[pair.task] == pair.model else pytest.mark.systems
    return pytest.param(pair, marks=marks, id=f"{pair.task}-{pair.model}")


@pytest.mark.parametrize("pair", [marked(pair) for pair in PAIRS])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_learns_on_a_network_or_says_why_not(rule: OnlineRule, pair: Pair) -> None:
    chosen = resolve(pair.task, pair.model, None, "paper", "smoke", [])
    network = network_of(chosen)
    assert network is not None
    steps = chosen.task.shape(chosen.config.options).steps
    reason = rule.refused(RuleRequest(network, steps, chosen.config.training.batch_size, 1, 4))
    if reason is not None:
        assert "; " in reason  # the reason, then what to choose instead
        return
    model = chosen.config.network
    assert isinstance(model, OnlineModel)
    carry = start(network, model.initialise(network, 1), Optimizer("adam"), BATCH)
    length = 2 * len(network.layers) + 2  # so that an error reaches the lowest layer
    target = torch.softmax(noise(1, BATCH, 1, network.outputs), -1)
    window = Window(length, noise(1, BATCH, length, network.inputs), target, None)
    learned, outputs = TorchEngine().learn(
        network, rule, Optimizer("adam"), carry, window, torch.tensor([1e-3]), seams=Seams(seeds=(1,))
    )
    before, after = pack(network, carry.parameters), pack(network, learned.parameters)
    assert outputs.isfinite().all()
    assert after.isfinite().all()
    moved = (after != before).float().mean()
    # `snap` teaches the output alone; else all layers move, but for weights of rates that are zero.
    assert moved > (0 if rule.name == "snap" else 0.3)
