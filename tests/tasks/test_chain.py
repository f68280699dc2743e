"""The chain of Fig. 5: its stream, its teacher, and what each rule must reproduce (facts/rules.md, section 3)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.contracts import OnlineRule
from gle_bench.dynamics.engines.choice import absence, make
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.models.chain import Chain, draws
from gle_bench.recipes.chain import CHUNK, STILL, ChainOptions
from gle_bench.training.execute import execute
from gle_bench.training.experiment import network_of
from gle_bench.training.plan import Settings

ENGINE = "torch" if absence("native") else "native"
# Weights, time constants and loss of the independent reproduction at some times: of gle, and of instantaneous errors.
REPRODUCED = {
    "gle": {
        100: (0.610, 1.348, 0.459, 0.796, 1.5e-1),
        200: (0.630, 2.038, 1.002, 1.207, 8.3e-4),
        500: (0.999, 2.001, 1.001, 1.995, 1.0e-9),
    },
    "instantaneous": {100: (0.488, 1.361, 0.402, 0.763, 1.5e-1), 200: (0.051, 2.072, 0.748, 1.098, 1.1e-2)},
}


class Course(NamedTuple):
    """The course of learning, a row a chunk, which ends at t = 4 n: w0, w1, tau0, tau1, and the mean squared error."""

    rows: list[tuple[float, ...]]

    def at(self, time: float) -> tuple[float, ...]:
        return self.rows[round(time * 100 / CHUNK) - 1]


def course(model: str, rule: str | None, until: int, *assignments: str) -> Course:
    """The parameters and losses while a network learns, chunk by chunk, until that time."""
    chosen = resolve("chain", model, rule, "paper", "paper", assignments)
    config, task, learning = chosen.config, chosen.task, chosen.rule
    network, family = network_of(chosen), config.network
    assert network is not None
    assert isinstance(family, Chain)
    assert isinstance(learning, OnlineRule)
    train = task.load(Path(), config.options, "paper", 0).splits["train"]
    engine, optimizer, rows = make(ENGINE), Optimizer(config.training.optimizer), []
    carry = start(network, family.initialise(network, 0), optimizer, 100)
    rates = torch.tensor([config.training.rate], dtype=torch.float64)
    for chunk in range(until * 100 // CHUNK):
        batch = train.fetch(torch.arange(100) + 100 * chunk, 0, 0)
        window, losses = Window(CHUNK, batch.inputs, batch.targets, None), []
        cut = min(max(STILL - chunk * CHUNK, 0), CHUNK)
        for first, end in ((0, cut), (cut, CHUNK)):
            if first < end:
                part = window.part(first, end)
                learned, outputs = engine.learn(network, learning, optimizer, carry, part, rates)
                carry = learned if first == cut else carry._replace(state=learned.state, memory=learned.memory)
                losses.append((outputs - batch.targets[:, :, first:end]).square().mean())
        named = family.named(network, carry.parameters)
        rows.append((*(float(value) for value in named.values()), float(losses[-1])))
    return Course(rows)


def test_the_draws_are_those_of_the_released_code() -> None:
    drawn = draws(0, 5)
    assert_close(drawn.tau_m, torch.tensor([0.307423, 0.634079]), rtol=0, atol=1e-6)
    assert_close(drawn.weights, torch.tensor([0.490093, 0.896445]), rtol=0, atol=1e-6)
    network = Chain().network(registry.task("chain").shape(ChainOptions()), "mse")
    named = Chain().named(network, Chain().initialise(network, 0))
    assert list(named) == ["w0", "w1", "tau0", "tau1"]
    assert_close(torch.cat(list(named.values())), torch.cat([drawn.weights, drawn.tau_m]))


def test_the_answers_are_the_outputs_of_a_network_with_the_teachers_parameters() -> None:
    options = ChainOptions(weights=(0.5, -1.5), tau_m=(1.5, 0.7))
    task, family = registry.task("chain"), Chain(gamma=0.0)
    network = family.network(task.shape(options), "mse")
    parameters = family.given(network, *(torch.tensor(own).double() for own in (options.weights, options.tau_m)))
    batch = task.load(Path(), options, "clean", 3).splits["validation"].fetch(torch.arange(4), 0, 0)
    window = Window(CHUNK, batch.inputs.double(), None, None)
    _, outputs = make("torch").infer(network, parameters, zero_state(network, parameters, 4), window)
    assert_close(outputs, batch.targets.double(), rtol=0, atol=1e-6)


def test_chunks_go_on_where_the_last_ones_ended_and_streams_are_shifted_copies() -> None:
    train = registry.task("chain").load(Path(), ChainOptions(), "paper", 0).splits["train"]
    whole = torch.cat([train.fetch(torch.arange(100) + 100 * chunk, 0, 0).inputs for chunk in range(3)], 2)[0, ..., 0]
    jumps = (whole[:, 201:] - whole[:, 200:-1]).abs().max()  # the released code shifts the end to the start
    assert jumps < 0.2  # no step is steeper than the smoothed edge of a pulse
    assert whole.abs().max() <= 1
    rolls = draws(0, 100).rolls
    later = int(rolls[1] - rolls[0])
    assert later != 0
    assert torch.equal(whole[1, 600:700], whole[0, 600 - later : 700 - later])


@pytest.mark.parametrize("rule", ["gle", "instantaneous"])
def test_the_first_two_hundred_units_of_time_are_those_of_the_independent_reproduction(rule: str) -> None:
    learned = course("gle", rule, 200)
    for time in (100, 200):
        *parameters, loss = REPRODUCED[rule][time]
        assert_close(learned.at(time)[:4], tuple(parameters), rtol=0, atol=2e-3)  # they are printed with three digits
        assert learned.at(time)[4] == pytest.approx(loss, rel=0.1)


@pytest.mark.systems
def test_a_run_follows_parameters_and_its_first_window_of_bptt_is_shorter(tmp_path: Path) -> None:
    """The values after the update at t = 100, the 13th, of an independent reproduction with sums over windows."""
    chosen = resolve("chain", "bptt-4", None, "paper", "paper", ["training.batches=25"])
    settings = Settings(runs=tmp_path, data=tmp_path, wandb="off", report=lambda line: None)
    (record,) = execute(chosen, [0], settings)
    assert record.status == "done"
    measured = record.metrics["last"]["test"]
    found = [measured[name].value for name in ("w0", "w1", "tau0", "tau1")]
    assert_close(found, [0.983, 1.398, 0.121, 0.931], rtol=0, atol=2e-3)


@pytest.mark.systems
def test_gle_finds_the_teacher() -> None:
    learned = course("gle", None, 1400)
    *parameters, loss = REPRODUCED["gle"][500]
    assert_close(learned.at(500)[:4], tuple(parameters), rtol=0, atol=2e-3)
    assert learned.at(500)[4] == pytest.approx(loss, rel=0.2)
    for row in learned.rows[249:]:
        assert_close(row[:4], (1.0, 2.0, 1.0, 2.0), rtol=0, atol=1e-3)
        assert row[4] < 1e-9
    assert min(4 * n for n, row in enumerate(learned.rows, 1) if row[4] < 1e-8) < 600


@pytest.mark.systems
def test_gle_finds_another_teacher_but_for_the_order_of_its_time_constants() -> None:
    """From the first values of seed 0, with the shorter one first. Linear filters commute; these neurons almost do."""
    learned = course("gle", None, 1400, "options.weights=[0.5, 1.5]", "options.tau_m=[1.5, 0.7]")
    w0, w1, tau0, tau1, loss = learned.rows[-1]
    assert_close((w0, w1), (0.5, 1.5), rtol=0, atol=0.03)
    assert_close((tau0, tau1), (0.7, 1.5), rtol=0, atol=0.05)
    assert loss < 1e-5


@pytest.mark.systems
def test_instantaneous_errors_end_at_the_shortest_time_constants() -> None:
    w0, _, tau0, tau1, loss = course("gle", "instantaneous", 3000).rows[-1]
    assert abs(w0) < 0.1
    assert (tau0, tau1) == pytest.approx((0.1, 0.1))
    assert 1e-2 < loss < 2e-2


@pytest.mark.systems
@pytest.mark.parametrize("units", [1, 2, 4])
def test_bptt_needs_windows_as_long_as_the_memory_of_the_chain(units: int) -> None:
    *parameters, loss = course(f"bptt-{units}", None, 3000).rows[-1]
    if units == 1:
        assert loss > 1e-3
        assert abs(parameters[2] - 1) > 1
    elif units == 2:
        assert 1e-7 < loss < 1e-5
        assert 1.65 < parameters[3] < 1.78
    else:
        assert loss < 1e-8
        assert np.abs(np.array(parameters) - [1, 2, 1, 2]).max() < 0.03
