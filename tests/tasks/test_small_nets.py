"""The small nets of Fig. 6: the teacher, the courses of learning, and spectra of errors (facts/rules.md, section 4)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.contracts import Batch, OnlineRule
from gle_bench.dynamics.engines.choice import absence, make
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.spectra import adjoint_errors, replayed, responses
from gle_bench.dynamics.state import Parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.models.small_nets import SmallNet
from gle_bench.recipes.small_nets import CHUNK, DT, FREQUENCIES, STEPS, STILL, SmallNetsOptions
from gle_bench.training.experiment import network_of

TARGETS = (-0.5, 1.0)  # the teacher's weights
EARLY = (-0.07, 1.0)  # weights early in learning, at which the paper shows spectra


def chunks(first: int, count: int) -> Batch:
    """Chunks of the stream, one after the other, as one sample."""
    train = registry.task("small-nets").load(Path(), SmallNetsOptions(), "paper", None).splits["train"]
    inputs, targets = train.fetch(torch.arange(first, first + count), 0, 0)[1:3]
    return Batch(count * CHUNK, inputs.reshape(1, 1, -1, 1), targets.reshape(1, 1, -1, 1))


def weighted(weights: tuple[float, float]) -> tuple[Network, Parameters]:
    """The network of the teacher, with these weights, in float64."""
    family = SmallNet(gamma=0.0)
    network = family.network(registry.task("small-nets").shape(SmallNetsOptions()), "mse")
    return network, family.weighted(network, torch.tensor(weights, dtype=torch.float64)[:, None])


class Course(NamedTuple):
    """The weights after each chunk, w_i and w_r, and the mean squared error in the chunk."""

    weights: list[tuple[float, float]]
    losses: list[float]

    def settled(self, which: int) -> int:
        """The chunk from which on a weight is within 0.02 of the teacher's."""
        far = [n for n, own in enumerate(self.weights) if abs(own[which] - TARGETS[which]) > 0.02]
        return far[-1] + 1 if far else 0


def course(model: str, rule: str | None, count: int) -> Course:
    """The course of learning over `count` chunks of the stream."""
    chosen = resolve("small-nets", model, rule, "paper", "paper", ())
    network, family, learning, training = network_of(chosen), chosen.config.network, chosen.rule, chosen.config.training
    assert network is not None
    assert isinstance(family, SmallNet)
    assert isinstance(learning, OnlineRule)
    engine = make("native" if "native" in learning.engines and absence("native") is None else "torch")
    optimizer = Optimizer(training.optimizer)
    carry = start(network, family.initialise(network, 5), optimizer, 1)
    rates, stream, weights, losses = torch.tensor([training.rate]), chunks(0, count), [], []
    for chunk in range(count):
        begin, end, total = chunk * CHUNK, (chunk + 1) * CHUNK, 0.0
        cut = min(max(STILL, begin), end)
        for first, last in ((begin, cut), (cut, end)):
            if first < last:
                inputs, targets = (signal[:, :, first:last] for signal in stream[1:3])
                part = Window(last - first, inputs, targets, None)
                learned, outputs = engine.learn(network, learning, optimizer, carry, part, rates)
                carry = learned if first >= STILL else carry._replace(state=learned.state, memory=learned.memory)
                total += float((outputs - targets).square().sum())
        w_i, w_r = (float(value) for value in family.named(network, carry.parameters).values())
        weights.append((w_i, w_r))
        losses.append(total / CHUNK)
    return Course(weights, losses)


def test_the_seed_of_the_paper_draws_its_first_weights() -> None:
    network = SmallNet().network(registry.task("small-nets").shape(SmallNetsOptions()), "mse")
    named = SmallNet().named(network, SmallNet().initialise(network, 5))
    assert_close(torch.cat(list(named.values())), torch.tensor([0.6605, -0.7478]), rtol=0, atol=1e-4)


def test_the_answers_are_the_outputs_of_a_network_with_the_teachers_weights() -> None:
    network, parameters = weighted(TARGETS)
    batch = chunks(0, 2)
    window = Window(batch.steps, batch.inputs.double(), None, None)
    _, outputs = make("torch").infer(network, parameters, zero_state(network, parameters, 1), window)
    assert_close(outputs, batch.targets.double(), rtol=0, atol=1e-6)
    times = torch.arange(batch.steps, dtype=torch.float64) * STEPS * DT / (STEPS - 1)
    sines: Tensor = torch.stack([(omega * times).sin() for omega in FREQUENCIES]).sum(0)
    assert_close(batch.inputs[0, 0, :, 0].double(), sines, rtol=0, atol=1e-6)


def test_gle_goes_towards_the_teacher_and_instantaneous_errors_go_away() -> None:
    w_i, w_r = course("gle", None, 67).weights[-1]  # t = 201
    assert_close((w_i, w_r), (-0.178, 1.131), rtol=0, atol=0.02)  # with momentum; facts
    assert abs(course("gle", "instantaneous", 67).weights[-1][1] - 1) > 1


def test_a_response_has_the_phase_and_the_gain_of_a_shifted_tone() -> None:
    omega, times = 2 * np.pi * 5 / 40, np.arange(4000) * 0.01
    (ratio,) = responses(3 * np.sin(omega * times + 0.4), np.sin(omega * times), (omega,), 0.01)
    assert abs(ratio) == pytest.approx(3)
    assert np.angle(ratio) == pytest.approx(0.4)


@pytest.mark.systems
def test_gle_finds_the_teacher_and_the_retrospective_weight_first() -> None:
    learned = course("gle", None, 333)
    assert_close(learned.weights[-1], TARGETS, rtol=0, atol=5e-3)
    assert learned.losses[-1] < 1e-6
    assert learned.settled(1) < learned.settled(0)


@pytest.mark.systems
def test_the_adjoint_method_finds_the_teacher() -> None:
    learned = course("adjoint-method", None, 333)
    assert_close(learned.weights[-1], TARGETS, rtol=0, atol=5e-3)


@pytest.mark.systems
def test_errors_of_gle_have_the_phases_of_the_adjoint_and_the_gains_of_theory() -> None:
    """With weights early in learning, at the three frequencies of the input (facts/rules.md, section 4)."""
    network, parameters = weighted(EARLY)
    batch = chunks(0, 27)
    window = Window(STILL, batch.inputs[:, :, :STILL].double(), batch.targets[:, :, :STILL].double(), None)
    _, errors = replayed(network, parameters, window)
    adjoint = adjoint_errors(network, parameters, window)
    output = errors[2][0, : STILL - 1, 0]
    ours, exact = (responses(own[0][0, : STILL - 1, 1], output, FREQUENCIES, DT) for own in (errors, adjoint))
    apart = np.angle(ours / exact)
    assert np.abs(apart).max() < 0.15
    omega = np.array(FREQUENCIES)
    gain = ((1 + omega**2) / (1 + (0.1 * omega) ** 2)) ** 2  # |F|^-4: two retrospective stages, for each |F|^-2
    assert np.abs(np.abs(ours / exact) / gain - 1).max() < 0.2
    assert_close(np.angle(ours), np.array([0.892, 1.674, 1.857]), rtol=0, atol=0.05)
