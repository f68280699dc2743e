"""Local rules against the exact gradient, where they are exact, and where they are known not to be."""

from dataclasses import replace

import pytest
import torch
from exact import worst
from local_rules import ROWS, gradients, local, retrospective, silent_after, uniform
from networks import FIXED, make_batch, make_network, make_parameters, normal
from torch import Tensor
from torch.testing import assert_close

from gle_bench.dynamics.convolution import Convolution, MaxPool
from gle_bench.dynamics.network import Layer, Network, relay_layer
from gle_bench.dynamics.state import BlockParameters, Parameters, initial_parameters
from gle_bench.dynamics.window import Window
from gle_bench.rules.bptt import BPTT
from gle_bench.words import Loss

BATCH, MEMBERS, STEPS = 3, 2, 30
DEEP = make_network((3, 5, 5, 5, 4))
TAUS = {"learn_tau_m": True, "learn_tau_r": True}
EXACT = ("eprop-full", "gle-e-full")


def with_tail(network: Network, steps: int = STEPS) -> Window:
    """A batch whose targets end so early that all errors have come down, with a mask that has gaps, too."""
    end = steps + 2 * len(network.layers)
    window = make_batch(network, end, BATCH, members=MEMBERS)
    window = window._replace(mask=(normal(MEMBERS, BATCH, end, seed=7) > -1).double())
    return silent_after(window, steps)


def of_layers(blocks: Parameters, network: Network, *layers: int) -> Parameters:
    """What belongs to these layers, counted from 1."""
    kept = []
    for block, tensors in zip(network.blocks, blocks, strict=True):
        numbers = [k for k in range(len(block.layers)) if block.first + k + 1 in layers]
        if numbers:
            kept.append(BlockParameters(*(None if x is None else x[numbers] for x in tensors)))
    return tuple(kept)


# Exact where all layers above have tau_m = tau_r ----------------------------------------------------------------------


@pytest.mark.parametrize("rule", EXACT)
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("learns", [{}, TAUS, {"learn_tau_m": True}, {"learn_tau_r": True}])
def test_a_layer_under_instantaneous_ones_learns_by_the_exact_gradient(
    rule: str, loss: Loss, learns: dict[str, bool]
) -> None:
    """W, b, tau_m and tau_r of every layer, through a stack whose first layer alone remembers."""
    network = replace(retrospective(DEEP, 1), loss=loss, **learns)
    parameters, window = make_parameters(network, members=MEMBERS), with_tail(network)
    exact = gradients(BPTT(), network, parameters, window).accumulated
    assert worst(gradients(local(rule), network, parameters, window).accumulated, exact) < 1e-12


@pytest.mark.parametrize("rule", EXACT)
def test_a_layer_under_one_that_remembers_does_not(rule: str) -> None:
    """The layer that remembers, and those above it, are exact; the error that it sends down is not."""
    network = replace(retrospective(DEEP, 1, 3), **TAUS)
    parameters, window = make_parameters(network, members=MEMBERS), with_tail(network)
    exact = gradients(BPTT(), network, parameters, window).accumulated
    made = gradients(local(rule), network, parameters, window).accumulated
    assert worst(of_layers(made, network, 3, 4), of_layers(exact, network, 3, 4)) < 1e-12
    for layer in (1, 2):
        assert worst(of_layers(made, network, layer), of_layers(exact, network, layer)) > 0.05


def test_without_any_memory_every_rule_with_full_delays_is_exact() -> None:
    network = retrospective(DEEP)
    parameters, window = make_parameters(network, members=MEMBERS), with_tail(network)
    exact = gradients(BPTT(), network, parameters, window).accumulated
    for rule in ("gle-full", "instantaneous-full", "gle-e-full", "eprop-full"):
        assert worst(gradients(local(rule), network, parameters, window).accumulated, exact) < 1e-12


@pytest.mark.parametrize(
    ("rule", "choices"),
    [
        ("eprop", {"delay": "presynaptic"}),  # the slopes of the current step
        ("gle-e", {"delay": "presynaptic"}),
        ("eprop", {}),
        ("eprop-full", {"signal": "jacobian"}),
        ("gle-full", {}),  # the filter of the first layer on its error instead of its rates
        ("instantaneous-full", {}),  # no filter at all
    ],
)
def test_what_lacks_a_part_of_it_is_off_in_the_first_layer(rule: str, choices: dict[str, str]) -> None:
    network = retrospective(DEEP, 1, 2) if "signal" in choices else retrospective(DEEP, 1)
    parameters, window = make_parameters(network, members=MEMBERS), with_tail(network)
    exact = gradients(BPTT(), network, parameters, window).accumulated
    made = gradients(local(rule, **choices), network, parameters, window).accumulated
    assert worst(of_layers(made, network, 1), of_layers(exact, network, 1)) > 0.05


@pytest.mark.parametrize("rule", ROWS)
def test_the_output_layer_is_exact_where_it_is_delayed_and_has_a_trace(rule: str) -> None:
    """It knows its own error at once: one step after the rate that it belongs to."""
    network = retrospective(DEEP, 1, 2, 3)
    parameters, window = make_parameters(network, members=MEMBERS), with_tail(network)
    exact = of_layers(gradients(BPTT(), network, parameters, window).accumulated, network, 4)
    for delay in ("none", "presynaptic", "full"):
        choices = {"delay": delay, "own": "trace"}
        made = of_layers(gradients(local(rule, **choices), network, parameters, window).accumulated, network, 4)
        assert worst(made, exact) < 1e-12 if delay != "none" else worst(made, exact) > 0.05


@pytest.mark.parametrize("rule", EXACT)
def test_it_is_exact_above_fixed_layers_and_without_biases(rule: str) -> None:
    layers = [{"connection": FIXED}, {"bias": False}, {"connection": FIXED}, {}]
    network = retrospective(make_network((3, 5, 4, 4, 3), layers=layers), 1, 2)
    parameters, window = make_parameters(network, members=MEMBERS), with_tail(network)
    exact = gradients(BPTT(), network, parameters, window).accumulated
    assert worst(gradients(local(rule), network, parameters, window).accumulated, exact) < 1e-12


@pytest.mark.parametrize("rule", EXACT)
@pytest.mark.parametrize("tau_r", [(0.2,), tuple([0.2, 0.5, 0.2] * 16)])
def test_it_is_exact_through_convolution_and_pooling(rule: str, tau_r: tuple[float, ...]) -> None:
    """A relay delays rates by a step and errors by none; populations share a trace within one map, too.

    The winners of the pooling stay the same ones: errors go to those of the moment at which they pass.
    """
    convolution, pooling = Convolution((2, 6, 6), 3, 3), MaxPool((3, 4, 4))
    still = ((0.5,), (0.5,))
    network = Network(
        (
            Layer(*convolution.sizes, (0.5,), tau_r, connection=convolution),
            relay_layer(pooling),
            Layer(pooling.sizes[1], 4, *still),
            Layer(4, 3, *still, phi="identity"),
        ),
        dt=0.1,
    )
    weights: list[Tensor | None] = [normal(3, 2, 3, 3, seed=1) / 3, None, normal(4, 12, seed=2) / 3]
    weights.append(normal(3, 4, seed=3))
    biases: list[Tensor | None] = [normal(3, seed=3), None, normal(4, seed=4), normal(3, seed=5)]
    parameters, window = initial_parameters(network, weights, biases), make_batch(network, 26, BATCH)
    mean = normal(1, BATCH, 1, network.inputs, seed=6)
    window = silent_after(window._replace(inputs=mean + window.inputs / 100), 16)
    exact = gradients(BPTT(), network, parameters, window).accumulated
    assert worst(gradients(local(rule), network, parameters, window).accumulated, exact) < 1e-12


# Settled states -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alphas", [(1.0, 1.0, 1.0), (0.4, 1.4, 0.6)])
def test_all_rules_agree_once_everything_is_constant(alphas: tuple[float, ...]) -> None:
    """Every filter then has gain 1, and late signals equal current ones."""
    network, still = uniform(*alphas), set(alphas) == {1.0}
    parameters, steps = make_parameters(network), 60 if still else 180
    window = Window(steps, normal(1, BATCH, 1, 2, seed=1), normal(1, BATCH, 1, 3, seed=2).softmax(-1), None)
    longer = window._replace(steps=2 * steps)
    exact = gradients(BPTT(), network, parameters, longer, every=10).windowed[steps // 10]  # far from both ends
    settled = {row: {} for row in ROWS if row not in ("rflo", "gle-fa", "gle-kp")}
    settled |= {"gle-gain": {"gain_time": 0.5}, "gle-lowpass": {"lowpass_tau": 0.2}, "gle-clipped": {"clip": 3.0}}
    if still:
        settled["eprop"] = {"signal": "jacobian"}
    for row, choices in settled.items():
        late = gradients(local(row, **choices), network, parameters, window, every=10).windowed[-1]
        assert worst(late, exact) < 1e-8, row


@pytest.mark.parametrize("row", ["rflo", "gle-fa", "gle-kp"])
def test_random_feedback_agrees_in_the_output_layer_alone(row: str) -> None:
    network = uniform(1.0, 1.0, 1.0)
    parameters = make_parameters(network)
    window = Window(100, normal(1, BATCH, 1, 2, seed=1), normal(1, BATCH, 1, 3, seed=2).softmax(-1), None)
    exact = gradients(BPTT(), network, parameters, window, every=10).windowed[5]
    late = gradients(local(row), network, parameters, window, every=10).windowed[-1]
    assert worst(of_layers(late, network, 3), of_layers(exact, network, 3)) < 1e-8
    for layer in (1, 2):
        assert worst(of_layers(late, network, layer), of_layers(exact, network, layer)) > 0.3


# Learning signals -----------------------------------------------------------------------------------------------------


def test_the_jacobian_signal_shrinks_by_alpha_in_every_layer_that_it_passes() -> None:
    network = uniform(0.5, 0.4, 0.8, 0.3)
    parameters, window = make_parameters(network), make_batch(network, STEPS, BATCH)
    steady = gradients(local("eprop"), network, parameters, window).accumulated
    jacobian = gradients(local("eprop", signal="jacobian"), network, parameters, window).accumulated
    for layer, factor in ((1, 0.4 * 0.8 * 0.3), (2, 0.8 * 0.3), (3, 0.3), (4, 1.0)):
        ours, theirs = (of_layers(made, network, layer)[0] for made in (jacobian, steady))
        assert_close([x for x in ours if x is not None], [factor * x for x in theirs if x is not None])


# Causality -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["gle", "eprop-full", "gle-gain", "rflo", "gle-kp"])
def test_what_comes_later_changes_nothing_before_it(rule: str) -> None:
    """To the bit: gradients of all steps up to the one at which inputs and targets change."""
    parameters, window, change = make_parameters(DEEP), make_batch(DEEP, STEPS, BATCH), 12
    inputs, mask = window.inputs.clone(), torch.ones(1, BATCH, STEPS, dtype=torch.float64)
    inputs[:, :, change:] += 1
    mask[:, :, change:] = 0.5
    before = gradients(local(rule), DEEP, parameters, window._replace(mask=mask * 0 + 1), every=1).windowed
    after = gradients(local(rule), DEEP, parameters, window._replace(inputs=inputs, mask=mask), every=1).windowed
    pairs = [
        [torch.equal(x, y) for a, b in zip(*step, strict=True) for x, y in zip(a[:2], b[:2], strict=True)]
        for step in zip(before, after, strict=True)
    ]
    assert all(all(same) for same in pairs[:change])
    assert not any(all(same) for same in pairs[change:])


# Feedback weights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "needs"), [("rflo", False), ("eprop", True), ("gle-fa", True), ("gle", True)])
def test_broadcast_errors_need_no_upper_weights(rule: str, needs: bool) -> None:
    """At the same error of the output, another W of the layers above leaves what the first layer learns."""
    parameters, members = make_parameters(DEEP), make_parameters(DEEP, seed=1)
    inputs, error = normal(1, BATCH, STEPS, 3, seed=1), normal(1, BATCH, STEPS, 4, seed=2)
    network = replace(DEEP, loss="mse")
    firsts = []
    for upper in (parameters, members):
        mixed = (*parameters[:1], *upper[1:])
        blank = Window(STEPS, inputs, torch.zeros(1, BATCH, STEPS, 4, dtype=torch.float64), None)
        outputs = gradients(local("gle"), network, mixed, blank).outputs
        made = gradients(local(rule), network, mixed, blank._replace(target=outputs + error))
        firsts.append(of_layers(made.accumulated, network, 1))
    assert (worst(*firsts) > 0.1) if needs else (worst(*firsts) < 1e-12)
