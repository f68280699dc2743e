"""Gradients at frozen weights: sums over all steps and means over windows of them, for any rule."""

import pytest
import torch
from networks import make_batch, make_network, make_parameters
from torch.testing import assert_close
from toys import ToyBPTT

from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.state import BlockParameters, Parameters, zero_state
from gle_bench.dynamics.step import step
from gle_bench.errors import UsageError
from gle_bench.rules.gle import GLE

BATCH, MEMBERS, STEPS = 3, 2, 11
NETWORK = make_network((2, 4, 4, 3), learn_tau_m=True, learn_tau_r=True)
PARAMETERS = make_parameters(NETWORK, members=MEMBERS)
START = zero_state(NETWORK, PARAMETERS, BATCH)
WINDOW = make_batch(NETWORK, STEPS, BATCH)


def mean(gradients: list[Parameters]) -> Parameters:
    return tuple(
        BlockParameters(*(torch.stack(same).mean(0) for same in zip(*blocks, strict=True)))
        for blocks in zip(*gradients, strict=True)
    )


def times(gradients: Parameters, factor: float) -> Parameters:
    return tuple(BlockParameters(*(x * factor for x in block if x is not None)) for block in gradients)


def test_sums_and_means_are_those_of_the_steps() -> None:
    state, single = START, []
    for t in range(STEPS):
        result = step(NETWORK, PARAMETERS, state, *WINDOW.at(t, MEMBERS))
        state = result.state
        single.append(result.gradients)
    made = TorchEngine().gradients(NETWORK, GLE(), PARAMETERS, START, WINDOW, every=4)
    assert_close(made.accumulated, times(mean(single), STEPS), rtol=1e-12, atol=1e-14)
    assert len(made.windowed) == 3
    for window, part in zip(made.windowed, (slice(4), slice(4, 8), slice(8, 11)), strict=True):
        assert_close(window, mean(single[part]), rtol=1e-12, atol=1e-14)
    assert_close(made.state, state, rtol=1e-12, atol=1e-14)
    assert TorchEngine().gradients(NETWORK, GLE(), PARAMETERS, START, WINDOW).windowed == ()


def test_a_longer_window_counts_by_its_steps() -> None:
    """The toy returns one gradient for four steps, and for the three that are left over."""
    rule, engine = ToyBPTT(), TorchEngine()
    made = engine.gradients(NETWORK, rule, PARAMETERS, START, WINDOW, every=8)
    first = engine.gradients(NETWORK, rule, PARAMETERS, START, WINDOW.part(0, 8), every=4)
    rest = engine.gradients(NETWORK, rule, PARAMETERS, first.state, WINDOW.part(8, 11), memory=first.memory)
    assert_close(made.windowed[0], mean(list(first.windowed)), rtol=1e-12, atol=1e-14)
    assert_close(made.windowed[1], times(rest.accumulated, 1 / 3), rtol=1e-12, atol=1e-14)
    summed = mean([first.accumulated, rest.accumulated])
    assert_close(made.accumulated, times(summed, 2), rtol=1e-12, atol=1e-14)


CUT = "cuts windows of 4 steps, and the rule gives one gradient for each of them;"


@pytest.mark.parametrize(
    ("every", "sentence"),
    [
        (6, f"every = 6 {CUT} give a multiple of 4."),
        (10, f"every = 10 {CUT} give a multiple of 4."),
        (-1, "every = -1 must be at least 1: it is the number of steps of a window."),
    ],
)
def test_windows_that_cannot_be_had_are_refused_in_a_sentence(every: int, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        TorchEngine().gradients(NETWORK, ToyBPTT(), PARAMETERS, START, WINDOW, every=every)
    assert str(refused.value) == sentence
