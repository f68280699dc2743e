"""The contract of rules: tests that every registered rule must pass, online rules on small networks in float64."""

from contextlib import suppress
from typing import ClassVar, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gle_bench import registry
from gle_bench.contracts import ClosedFormRule, Footing, GradientRule, OnlineRule, Shape
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, cloned, join, pack, select
from gle_bench.dynamics.ensemble import learned as learned_names
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.noise import generators
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import SIGNALS, Disturbance, Moment, Observer, Seams, Signal
from gle_bench.dynamics.state import BlockParameters
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.models.gle import GLENetwork, Population
from gle_bench.words import Loss

RULES = list(registry.places("rules"))


def online_rules() -> list[str]:
    """The names of the online rules; a rule that cannot be loaded is left out, and fails the first test."""
    names = []
    for name in RULES:
        with suppress(Exception):  # a stranger's code may raise anything
            if isinstance(registry.rule(name), OnlineRule):
                names.append(name)
    return names


EVERY_RULE = pytest.mark.parametrize("name", RULES)
EVERY_ONLINE_RULE = pytest.mark.parametrize("name", online_rules())
EVERY_LOSS = pytest.mark.parametrize("loss", get_args(Loss))
FAMILY = GLENetwork(
    populations=(Population(neurons=3, tau_m=1.0, tau_r=0.4), Population(neurons=2, tau_m=1.0, tau_r=1.0)),
    hidden_layers=2,
    dt=0.2,
    tau_output=0.4,
)
BATCH, SEEDS, RATE = 3, (5, 6), 0.01
SAMPLE = 6  # steps of a sample of a rule that learns from whole samples


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network_for(loss: Loss) -> Network:
    return FAMILY.network(Shape(1, 2, 3), loss)


def begin(network: Network, seed: int) -> Carry:
    parameters = tuple(
        BlockParameters(*(None if x is None else x.double() for x in block))
        for block in FAMILY.initialise(network, seed)
    )
    return start(network, parameters, Optimizer("sgd"), BATCH)


def sequence(network: Network, steps: int) -> Window:
    """A window of inputs and targets, different for both members."""
    inputs, signals = (draw(2, BATCH, steps, width, seed=width) for width in (network.inputs, network.outputs))
    classes = torch.nn.functional.one_hot(signals[:, :, :1].argmax(-1), network.outputs).double()
    return Window(steps, inputs, classes if network.loss == "ce" else signals, None)


def of_member(window: Window, member: int) -> Window:
    inputs, target = (None if x is None else x[member : member + 1] for x in (window.inputs, window.target))
    assert inputs is not None
    return Window(window.steps, inputs, target, None)


def online_rule(name: str) -> OnlineRule:
    rule = registry.rule(name)
    assert isinstance(rule, OnlineRule)
    return rule


def learn(
    name: str,
    network: Network,
    carry: Carry,
    window: Window,
    seeds: tuple[int, ...] = SEEDS,
    observers: tuple[Observer, ...] = (),
    disturbances: tuple[Disturbance, ...] = (),
) -> tuple[Carry, Tensor]:
    """The ensemble after the rule has learned from a window, and its outputs; whole samples follow one another."""
    rates = torch.full((carry.state[0].u.shape[1],), RATE, dtype=torch.float64)
    rule, engine, outputs = online_rule(name), TorchEngine(), []
    length = SAMPLE if rule.window is None else window.steps
    seams = Seams(observers, disturbances, seeds)
    for begin in range(0, window.steps, length):
        sample = window.part(begin, begin + length)
        carry, answers = engine.learn(network, rule, Optimizer("sgd"), carry, sample, rates, seams=seams)
        outputs.append(answers)
    return carry, torch.cat(outputs, 2)


class InputSteps(Observer):
    """An observer that notes the steps at which it sees the input's rates."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        if (signal, layer) == ("rate", 0):
            self.steps.append(moment.step)


def windows_of(name: str, count: int) -> int:
    return count * online_rule(name).window_in(SAMPLE)


@EVERY_RULE
def test_it_is_called_as_it_is_registered(name: str) -> None:
    rule = registry.rule(name)
    assert rule.name == name
    assert rule.version >= 1
    assert isinstance(rule.footing, Footing)
    assert rule.options() == rule.chosen
    assert rule.options.model_validate(rule.options().model_dump(mode="json")) == rule.chosen
    assert sum(isinstance(rule, kind) for kind in (OnlineRule, GradientRule, ClosedFormRule)) == 1
    for pair in registry.pairs():
        reason = rule.refusal(pair.configure("smoke").network)
        assert reason is None or reason.strip()
    if isinstance(rule, OnlineRule):
        assert rule.window is None or rule.window >= 1
        assert "torch" in rule.engines


@EVERY_ONLINE_RULE
@EVERY_LOSS
def test_what_is_plastic_learns_and_all_is_finite(name: str, loss: Loss) -> None:
    network = network_for(loss)
    ensemble = join(network, [begin(network, seed) for seed in SEEDS])
    steps = windows_of(name, 4)
    learned, outputs = learn(name, network, ensemble, sequence(network, steps))
    assert outputs.shape == (2, BATCH, steps, network.outputs)
    before, after = pack(network, ensemble.parameters), pack(network, learned.parameters)
    assert outputs.isfinite().all()
    assert after.isfinite().all()
    assert (before != after).any(-1).all()  # in both members
    for old, new in zip(ensemble.parameters, learned.parameters, strict=True):
        assert [x is None for x in old] == [x is None for x in new]
        assert all(x.shape == y.shape for x, y in zip(old, new, strict=True) if x is not None and y is not None)


@EVERY_ONLINE_RULE
def test_what_watches_and_disturbs_a_run_is_handed_to_every_step(name: str) -> None:
    """A rule that dropped its `seams` would learn without the noise that the record says it had."""
    network, observer = network_for("mse"), InputSteps()
    ensemble = join(network, [begin(network, seed) for seed in SEEDS])
    window = sequence(network, windows_of(name, 2))
    rates = torch.full((len(SEEDS),), RATE, dtype=torch.float64)
    seams = Seams((observer,), seeds=SEEDS)
    TorchEngine().learn(network, online_rule(name), Optimizer("sgd"), ensemble, window, rates, seams=seams)
    assert set(observer.steps) == set(range(window.steps))


class Seen(Observer):
    """An observer that notes the layers of each signal, and spoils what it is given."""

    def __init__(self) -> None:
        self.layers: set[tuple[Signal, int]] = set()

    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        self.layers.add((signal, layer))
        tensor.fill_(torch.nan)


class Shaken(Disturbance):
    """A disturbance that adds the same noise to one signal of every layer at every step."""

    signals: ClassVar[frozenset[Signal]] = frozenset()

    def __init__(self, signal: Signal) -> None:
        self.signals = frozenset({signal})  # type: ignore[misc]

    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        draws = [draw.standard_normal(tensor.shape[1:]) for draw in generators(seeds, signal, layer, moment)]
        return tensor + 0.1 * torch.from_numpy(np.stack(draws)).abs()  # time constants stay above dt


@EVERY_ONLINE_RULE
def test_every_signal_that_it_has_is_seen_and_watching_changes_nothing(name: str) -> None:
    network, observer = network_for("mse"), Seen()
    ensemble, window = join(network, [begin(network, seed) for seed in SEEDS]), sequence(network, windows_of(name, 2))
    plain, _ = learn(name, network, ensemble, window)
    watched, _ = learn(name, network, ensemble, window, observers=(observer,))
    assert torch.equal(pack(network, watched.parameters), pack(network, plain.parameters))
    layers = {(signal, layer) for signal in SIGNALS for layer in range(len(network.layers) + 1)}
    expected = {(s, n) for s, n in layers if s not in online_rule(name).lacks and (n > 0 or s == "rate")}
    assert observer.layers >= expected


@EVERY_ONLINE_RULE
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_disturbance_changes_what_it_learns_or_is_refused(name: str, signal: Signal) -> None:
    """Each member also gets the random numbers of its own seed, whatever other members are in the ensemble."""
    network, shaken = network_for("mse"), (Shaken(signal),)
    members, window = [begin(network, seed) for seed in SEEDS], sequence(network, windows_of(name, 10))
    if signal in online_rule(name).lacks:
        with pytest.raises(UsageError, match=f"Shaken changes {signal}, which its steps do not use"):
            learn(name, network, join(network, members), window, disturbances=shaken)
        return
    plain, _ = learn(name, network, join(network, members), window)
    disturbed, _ = learn(name, network, join(network, members), window, disturbances=shaken)
    assert not torch.equal(pack(network, disturbed.parameters), pack(network, plain.parameters))
    alone, _ = learn(name, network, members[1], of_member(window, 1), SEEDS[1:], disturbances=shaken)
    ours = pack(network, select(network, disturbed, [1]).parameters)
    assert_close(ours, pack(network, alone.parameters), rtol=0, atol=1e-10)


@EVERY_ONLINE_RULE
@EVERY_LOSS
def test_a_member_learns_as_it_would_alone(name: str, loss: Loss) -> None:
    network = network_for(loss)
    members = [begin(network, seed) for seed in SEEDS]
    window = sequence(network, windows_of(name, 3))
    together, outputs = learn(name, network, join(network, members), window)
    for number, member in enumerate(members):
        alone, answers = learn(name, network, member, of_member(window, number), (SEEDS[number],))
        ours = pack(network, select(network, together, [number]).parameters)
        assert_close(ours, pack(network, alone.parameters), rtol=0, atol=1e-10)
        assert_close(outputs[number : number + 1], answers, rtol=0, atol=1e-10)


@EVERY_ONLINE_RULE
@EVERY_LOSS
def test_gradients_are_means_over_the_batch_in_the_shapes_of_the_parameters(name: str, loss: Loss) -> None:
    network, rule = network_for(loss), online_rule(name)
    carry = join(network, [begin(network, seed) for seed in SEEDS])
    window = sequence(network, windows_of(name, 4))  # at first there are no errors, or none that has come through
    assert window.target is not None
    twice = window._replace(inputs=window.inputs.repeat(1, 2, 1, 1), target=window.target.repeat(1, 2, 1, 1))
    gradients, seams = [], Seams(seeds=SEEDS)
    for batch in (window, twice):
        made = TorchEngine().gradients(network, rule, carry.parameters, carry.state, batch, seams=seams)
        gradients.append(made.accumulated)
    names = learned_names(network, carry.parameters)
    once, again = ([getattr(blocks[index], field) for index, field in names] for blocks in gradients)
    assert [g.shape for g in once] == [getattr(carry.parameters[index], field).shape for index, field in names]
    assert all(g.isfinite().all() for g in once)
    assert any(g.any() for g in once)
    assert_close(once, again, rtol=0, atol=1e-10)


@EVERY_ONLINE_RULE
def test_what_it_is_given_stays_as_it_was_and_gives_the_same_again(name: str) -> None:
    network = network_for("mse")
    ensemble = join(network, [begin(network, seed) for seed in SEEDS])
    window = sequence(network, windows_of(name, 3))
    parameters, inputs = pack(network, ensemble.parameters).clone(), window.inputs.clone()
    state = cloned(ensemble.state)
    first, _ = learn(name, network, ensemble, window)
    assert torch.equal(pack(network, ensemble.parameters), parameters)
    assert torch.equal(window.inputs, inputs)
    assert_close(ensemble.state, state, rtol=0, atol=0)
    again, _ = learn(name, network, ensemble, window)
    assert torch.equal(pack(network, first.parameters), pack(network, again.parameters))


@EVERY_ONLINE_RULE
def test_all_that_it_remembers_is_in_its_state_and_memory(name: str) -> None:
    """Learning that stops after any window continues to the same result, which checkpoints rely on."""
    network = network_for("mse")
    carry = join(network, [begin(network, seed) for seed in SEEDS])
    steps, cut = windows_of(name, 4), windows_of(name, 1)
    window = sequence(network, steps)
    whole, outputs = learn(name, network, carry, window)
    first, before = learn(name, network, carry, window.part(0, cut))
    rest, after = learn(name, network, first, window.part(cut, steps))
    assert_close(torch.cat([before, after], 2), outputs, rtol=0, atol=1e-10)
    assert_close(pack(network, rest.parameters), pack(network, whole.parameters), rtol=0, atol=1e-10)
