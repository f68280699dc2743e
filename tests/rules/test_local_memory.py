"""What local rules remember: feedback weights that learn, members of an ensemble, batches, and runs that are cut."""

import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from command import glebench
from local_rules import REMEMBERING, local
from networks import FIXED, make_batch, make_network, make_parameters
from torch import Tensor
from torch.testing import assert_close
from toy_runs import assert_alike, column, configured, run, seed_folder

from gle_bench.chosen import resolved
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, join, learned, pack, pack_gradients, per_parameter, select, unpack
from gle_bench.dynamics.local_memory import nested
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.rules.local import LocalRule
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.online import OnlineModule
from gle_bench.words import OptimizerName

BATCH, STEPS, SEEDS = 4, 12, (5, 2, 9)
NETWORK = make_network((3, 5, 5, 4), learn_tau_m=True, tau_range=(0.15, 3.0))
LAYERS: list[dict[str, Any]] = [{}, {"rate_factor": 0.5}, {"connection": FIXED}, {}]
PARTLY = make_network((3, 5, 5, 5, 4), layers=LAYERS)


def fresh(network: Network, kind: OptimizerName = "adam", members: int = len(SEEDS), batch: int = BATCH) -> Carry:
    return start(network, make_parameters(network, members=members), Optimizer(kind), batch)


def learn(
    network: Network,
    rule: LocalRule,
    carry: Carry,
    window: Window,
    rate: float = 0.01,
    seeds: tuple[int, ...] = SEEDS,
    kind: OptimizerName = "adam",
    decay: float = 1.0,
) -> Carry:
    rates = rate * torch.arange(1, len(seeds) + 1, dtype=torch.float64)
    return TorchEngine().learn(network, rule, Optimizer(kind), carry, window, rates, decay, Seams(seeds=seeds))[0]


def backs(network: Network, rule: LocalRule, carry: Carry) -> list[Tensor]:
    """B of each block that has one."""
    return [block.back for block in nested(network, rule.choices, carry.memory) if block.back is not None]


def assert_equal(one: Carry, other: Carry, tolerance: float = 0.0) -> None:
    for mine, theirs in ((one.parameters, other.parameters), (one.state, other.state), (one.memory, other.memory)):
        assert_close(mine, theirs, rtol=0, atol=tolerance)


# Feedback weights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_the_feedback_weights_of_kolen_and_pollack_go_to_the_forward_ones(kind: OptimizerName) -> None:
    """Each update brings them nearer by the factor of the decay alone, whatever the gradients are."""
    network = make_network((3, 5, 5, 4))
    rule, carry, window = local("gle-kp", decay=2.0), fresh(network, kind), make_batch(network, STEPS, BATCH)
    distances = []
    for _ in range(4):
        carry = learn(network, rule, carry, window, rate=0.05, kind=kind)
        pairs = zip((p.weight for p in carry.parameters), backs(network, rule, carry), strict=True)
        distances.append(torch.stack([(w - b).square().sum((0, 2, 3)).sqrt() for w, b in pairs if w is not None]))
    factor = (1 - 2 * 0.05 * torch.tensor([1, 2, 3], dtype=torch.float64)) ** STEPS
    for before, after in pairwise(distances):
        assert_close(after, before * factor, rtol=1e-6, atol=1e-12)
    assert distances[0].min() > 0.001
    assert (distances[-1] < distances[0] / 30).all()


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_they_learn_as_by_an_optimizer_of_their_own(kind: OptimizerName) -> None:
    """A second optimizer, with the transposed gradient of W, while W and B decay by the same factor."""
    rule, window, rate, fade = local("gle-kp", decay=0.7), make_batch(PARTLY, STEPS, BATCH), 0.05, 0.9
    first = fresh(PARTLY, kind)
    memory = rule.start(PARTLY, first.parameters, BATCH, SEEDS)
    carry = learn(PARTLY, rule, first, window, rate, kind=kind, decay=fade)
    names, optimizer = learned(PARTLY, first.parameters), Optimizer(kind)
    rates = rate * torch.arange(1, 4, dtype=torch.float64)
    flat, state = pack(PARTLY, first.parameters), first.state
    back_of = [block.back for block in nested(PARTLY, rule.choices, memory)]
    mirror = tuple(
        p._replace(weight=None if back is None else back.transpose(2, 3))
        for p, back in zip(first.parameters, back_of, strict=True)
    )
    mirrored = pack(PARTLY, mirror)
    moments = [optimizer.start(flat), optimizer.start(mirrored)]
    spread = per_parameter(PARTLY, first.parameters, rates)
    for t in range(STEPS):
        parameters, own = unpack(PARTLY, flat, first.parameters), unpack(PARTLY, mirrored, mirror)
        blocks = nested(PARTLY, rule.choices, memory)
        memory_now = tuple(
            block._replace(back=None if block.back is None or p.weight is None else p.weight.transpose(2, 3))
            for block, p in zip(blocks, own, strict=True)
        )
        tensors = tuple(x.transpose(0, 1) for block in memory_now for x in block if x is not None)
        with torch.no_grad():
            result = rule.learn(PARTLY, parameters, state, tensors, window.part(t, t + 1), NO_SEAMS)
        state, memory = result.state, result.memory
        turned = tuple(
            g._replace(weight=None if g.weight is None else g.weight.transpose(2, 3)) for g in result.gradients
        )
        now = spread * fade**t
        moments[0] = optimizer.update(flat, pack_gradients(names, result.gradients), moments[0], now)
        moments[1] = optimizer.update(mirrored, pack_gradients(names, turned), moments[1], now)
        for whole, like in ((flat, first.parameters), (mirrored, mirror)):
            for index, name in names:
                if name == "weight":
                    factor = 1 - 0.7 * PARTLY.blocks[index].like.rate_factor * rates * fade**t
                    unpack(PARTLY, whole, like)[index].weight.mul_(factor.view(1, -1, 1, 1))
    assert_close(pack(PARTLY, carry.parameters), flat, rtol=0, atol=1e-12)
    expected = unpack(PARTLY, mirrored, mirror)
    for own_back, p, block in zip(backs(PARTLY, rule, carry), expected, PARTLY.blocks, strict=True):
        assert_close(own_back, p.weight.transpose(2, 3), rtol=0, atol=1e-12)
        assert block.connection.plastic == (not torch.equal(own_back, back_of[PARTLY.blocks.index(block)]))


@pytest.mark.parametrize("name", ["gle-fa", "rflo"])
def test_random_feedback_is_fixed_and_the_seed_s_alone(name: str) -> None:
    rule, window = local(name), make_batch(NETWORK, STEPS, BATCH)
    carry = learn(NETWORK, rule, fresh(NETWORK), window)
    first = backs(NETWORK, rule, carry)
    later = learn(NETWORK, rule, carry, window)
    other = make_parameters(NETWORK, seed=3, members=1)
    alone = Carry(other, carry.optimizer, zero_state(NETWORK, other, 1), rule.start(NETWORK, other, 1, (2,)))
    for was, now, lone in zip(first, backs(NETWORK, rule, later), backs(NETWORK, rule, alone), strict=True):
        assert torch.equal(was, now)
        assert torch.equal(was[:, 1:2], lone)
        assert not torch.equal(was[:, 0], was[:, 1])
    bounds = [back.abs().max() * back.shape[-1] ** 0.5 for back in first]
    assert name == "rflo" or all(0.8 < bound <= 1 for bound in bounds)


# Company, batches and cuts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_member_learns_as_it_would_without_the_others(name: str) -> None:
    """From the start, and when others leave or join it later."""
    rule, windows = local(name), [make_batch(NETWORK, STEPS, BATCH, seed=seed) for seed in (1, 2)]
    rates = torch.tensor([0.01, 0.02, 0.03], dtype=torch.float64)
    engine, optimizer, first = TorchEngine(), Optimizer(), fresh(NETWORK)

    def go(carry: Carry, window: Window, members: list[int]) -> Carry:
        seams = Seams(seeds=tuple(SEEDS[number] for number in members))
        return engine.learn(NETWORK, rule, optimizer, carry, window, rates[members], seams=seams)[0]

    half = go(first, windows[0], [0, 1, 2])
    whole = go(half, windows[1], [0, 1, 2])
    alone = go(go(select(NETWORK, first, [1]), windows[0], [1]), windows[1], [1])
    assert_equal(select(NETWORK, whole, [1]), alone, 1e-10)
    assert_equal(select(NETWORK, whole, [2, 0]), go(select(NETWORK, half, [2, 0]), windows[1], [2, 0]), 1e-10)
    joined = join(NETWORK, [select(NETWORK, half, [2]), select(NETWORK, half, [0, 1])])
    assert_equal(select(NETWORK, whole, [2, 0, 1]), go(joined, windows[1], [2, 0, 1]), 1e-10)


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_larger_batch_goes_on_with_copies_and_a_smaller_one_with_its_share(name: str) -> None:
    """A batch that holds every sample twice learns by the same means."""
    rule = local(name)
    single = [make_batch(NETWORK, STEPS, BATCH, seed=seed) for seed in (1, 2)]
    double = [replace_samples(window) for window in single]
    ends = [
        learn(NETWORK, rule, learn(NETWORK, rule, fresh(NETWORK, batch=BATCH), one), two)
        for one, two in ((single[0], single[1]), (single[0], double[1]), (double[0], single[1]))
    ]
    for end in ends[1:]:
        assert_close(end.parameters, ends[0].parameters, rtol=0, atol=1e-10)
        for mine, theirs in zip(backs(NETWORK, rule, end), backs(NETWORK, rule, ends[0]), strict=True):
            assert_close(mine, theirs, rtol=0, atol=1e-10)
    anew = learn(NETWORK, rule, learn(NETWORK, rule, fresh(NETWORK), single[0])._replace(memory=()), single[1])
    if name != "gle-fa":  # which remembers nothing but what its seed gives it
        assert (pack(NETWORK, anew.parameters) - pack(NETWORK, ends[0].parameters)).abs().max() > 1e-4


def replace_samples(window: Window) -> Window:
    """The window with every sample twice, a whole batch behind the other."""
    assert window.target is not None
    return window._replace(inputs=torch.cat([window.inputs] * 2, 1), target=torch.cat([window.target] * 2, 1))


@pytest.mark.parametrize("name", REMEMBERING)
def test_layers_that_forget_forget_what_their_rule_remembers_but_not_their_feedback_weights(name: str) -> None:
    layers = tuple(replace(layer, forgets=True) for layer in NETWORK.layers)
    network, rule = replace(NETWORK, layers=layers), local(name)
    windows = [make_batch(network, STEPS, BATCH, seed=seed) for seed in (1, 2)]
    half = learn(network, rule, fresh(network), windows[0])
    end = learn(network, rule, half, windows[1])
    blank = nested(network, rule.choices, rule.start(network, half.parameters, BATCH, SEEDS))
    kept = nested(network, rule.choices, half.memory)
    memory = [new._replace(back=old.back) for new, old in zip(blank, kept, strict=True)]
    tensors = tuple(x.transpose(0, 1) for block in memory for x in block if x is not None)
    rested = half._replace(state=zero_state(network, half.parameters, BATCH), memory=tensors)
    assert_equal(end, learn(network, rule, rested, windows[1]))
    assert (
        any(not torch.equal(x, y) for x, y in zip(tensors, half.memory, strict=True))
        or name == "gle-fa"
        or name == "gle-kp"
    )


@pytest.mark.parametrize("name", REMEMBERING)
def test_steps_in_two_batches_are_steps_in_one(name: str) -> None:
    """To the bit; and at frozen weights, too."""
    rule, window, first = local(name), make_batch(NETWORK, STEPS, BATCH), fresh(NETWORK)
    whole = learn(NETWORK, rule, first, window)
    assert_equal(learn(NETWORK, rule, learn(NETWORK, rule, first, window.part(0, 5)), window.part(5, STEPS)), whole)
    engine, seams = TorchEngine(), Seams(seeds=SEEDS)
    at_once = engine.gradients(NETWORK, rule, first.parameters, first.state, window, every=1, seams=seams)
    part = engine.gradients(NETWORK, rule, first.parameters, first.state, window.part(0, 5), every=1, seams=seams)
    rest = window.part(5, STEPS)
    after = engine.gradients(NETWORK, rule, first.parameters, part.state, rest, memory=part.memory, every=1)
    assert_close((*part.windowed, *after.windowed), at_once.windowed, rtol=0, atol=0)


@pytest.mark.parametrize("name", REMEMBERING)
def test_what_is_remembered_does_not_grow_with_time(name: str) -> None:
    rule, sizes = local(name), []
    for steps in (STEPS, 2 * STEPS):
        carry = learn(NETWORK, rule, fresh(NETWORK), make_batch(NETWORK, steps, BATCH))
        sizes.append([tuple(tensor.shape) for tensor in (*carry.memory, *(x for block in carry.state for x in block))])
    assert sizes[0] == sizes[1]
    assert sum(tensor.numel() for tensor in carry.memory) > 0


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("rule", ["eprop-full", "gle-gain", "gle-kp"])
def test_a_killed_run_ends_bit_identical_to_an_unbroken_one(tmp_path: Path, rule: str) -> None:
    words = ["run", "toy-stream", "--model", "toy-gle", "--rule", rule, "--seeds", "1,2", "--engine", "torch"]
    words += ["--wandb", "off", "--runs", str(tmp_path / "broken")]
    killed = glebench(*words, TOYS_SIGNAL="SIGKILL 1 4")
    assert killed.code == -signal.SIGKILL
    assert glebench(*words).code == 0
    run(configured("toy-stream", "toy-gle", rule=rule, budget="short"), [1, 2], tmp_path / "unbroken")
    for seed in (1, 2):
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", seed)
        assert [part.from_round for part in seed_folder(tmp_path / "broken", seed).read().lineage] == [0, 1]


@pytest.mark.parametrize("rule", ["eprop-full", "gle-gain", "gle-kp"])
def test_a_member_whose_memory_is_not_finite_has_diverged(rule: str) -> None:
    module = OnlineModule(Experiment.of(resolved(configured("toy-signal", "toy-gle", rule=rule))), [1, 2])
    memory = module.rule.start(module.net, module.carry.parameters, 4, (1, 2))
    module.carry = module.carry._replace(memory=memory)
    assert module.finite() == [True, True]
    memory[-1].view(2, -1)[1, 0] = torch.nan
    assert module.finite() == [True, False]


@pytest.mark.parametrize("rule", ["eprop-full", "gle-gain", "gle-kp", "rflo"])
def test_a_run_that_diverges_ends_as_such(tmp_path: Path, rule: str) -> None:
    config = configured("toy-signal", "toy-gle", "rate=1e300", "optimizer=sgd", "precision=float64", rule=rule)
    assert [record.status for record in run(config, [1, 2], tmp_path)] == ["diverged", "diverged"]


@pytest.mark.parametrize("rule", REMEMBERING)
def test_a_run_learns(tmp_path: Path, rule: str) -> None:
    (record,) = run(configured("toy-signal", "toy-gle", "epochs=4", "rate=0.005", rule=rule), [1], tmp_path)
    assert record.status == "done"
    first, *_, last = column(tmp_path, 1, "mse")
    assert float(last) < 0.5 * float(first)
