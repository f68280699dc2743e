"""Backpropagation through time in windows of K steps, against autograd through each window."""

import pytest
import torch
from exact import BATCH, MEMBERS, STEPS, by_autograd, of, worst
from networks import descend, make_batch, make_network, make_parameters, normal
from torch import Tensor
from torch.testing import assert_close

from gle_bench.dynamics.convolution import Convolution, MaxPool
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import pack
from gle_bench.dynamics.network import Layer, Network, relay_layer
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.dynamics.seams import Disturbance, Moment, Observer, Seams, Signal
from gle_bench.dynamics.state import initial_parameters, zero_state
from gle_bench.rules.bptt import BPTT, BPTTOptions
from gle_bench.rules.local import Instantaneous
from gle_bench.testing.engines import Tried

ENGINE = TorchEngine()
NUDGED = {"gamma": 0.8}


def bptt(window: int) -> BPTT:
    return BPTT().with_options(BPTTOptions(window=window))


@pytest.mark.parametrize("length", [2, 7, 25])
def test_each_window_learns_by_its_own_gradient_and_goes_on_from_where_the_one_before_ended(length: int) -> None:
    network, parameters = of("stacked", "ce")
    window = make_batch(network, STEPS, BATCH)
    carry = start(network, parameters, Optimizer("sgd"), BATCH)
    rates = torch.full((MEMBERS,), 0.3, dtype=torch.float64)
    learned, outputs = ENGINE.learn(network, bptt(length), Optimizer("sgd"), carry, window, rates)
    state, answers = carry.state, []
    for begin in range(0, STEPS, length):
        part = window.part(begin, min(begin + length, STEPS))
        gradients = by_autograd(network, parameters, state, part)
        state, answer = ENGINE.infer(network, parameters, state, part, errors=False)
        parameters = descend(parameters, gradients, 0.3)
        answers.append(answer)
    assert_close(pack(network, learned.parameters), pack(network, parameters), rtol=0, atol=1e-12)
    assert not torch.equal(pack(network, parameters), pack(network, carry.parameters))
    assert_close(outputs, torch.cat(answers, 2), rtol=0, atol=1e-12)


def test_parts_of_a_window_add_up_to_its_gradient() -> None:
    """Where the window is the sample, they are what the exact gradient gets from each stretch of it."""
    network, parameters = of("narrowing")
    window, state = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH)
    made = ENGINE.gradients(network, BPTT(), parameters, state, window, every=10)
    expected = by_autograd(network, parameters, state, window)
    assert len(made.windowed) == 3
    summed = [
        [10 * a + 10 * b + 5 * c for a, b, c in zip(*same, strict=True)] for same in zip(*made.windowed, strict=True)
    ]
    assert_close(summed, [[STEPS * x for x in block] for block in expected], rtol=1e-12, atol=1e-14)
    later = ENGINE.gradients(network, bptt(10), parameters, state, window, every=10)
    assert worst(later.windowed[0], made.windowed[0]) > 0.01  # which knows what follows the window, too


def test_images_learn_through_convolution_and_pooling() -> None:
    """Exact through the relay; a bias learns by the mean over positions, as its connection has it."""
    convolution, pooling = Convolution((2, 6, 6), 3, 3), MaxPool((3, 4, 4))
    taus = ((0.5,), (0.2,))
    network = Network(
        (
            Layer(*convolution.sizes, *taus, connection=convolution),
            relay_layer(pooling),
            Layer(pooling.sizes[1], 4, *taus, phi="identity"),
        ),
        dt=0.1,
        learn_tau_m=True,
        learn_tau_r=True,
    )
    shapes = [layer.connection.weight_shape(*layer.connection.sizes) for layer in network.layers[:1]]
    weights: list[Tensor | None] = [normal(*shapes[0], seed=1) / 3, None, normal(4, pooling.sizes[1], seed=2) / 3]
    parameters = initial_parameters(network, weights, [normal(3, seed=3), None, normal(4, seed=4)])
    window, state = make_batch(network, 12, BATCH), zero_state(network, parameters, BATCH)
    made = ENGINE.gradients(network, BPTT(), parameters, state, window, every=12).windowed[0]
    expected = by_autograd(network, parameters, state, window)
    assert expected[0].bias is not None
    expected = (expected[0]._replace(bias=expected[0].bias / 16), *expected[1:])
    assert worst(made, expected) < 1e-12


class Errors(Observer):
    """Keeps the errors of each layer and step."""

    def __init__(self) -> None:
        self.seen: dict[tuple[Signal, int, int], Tensor] = {}

    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        self.seen[signal, layer, moment.step] = tensor


class Doubled(Disturbance):
    """Doubles the errors of the second layer, and the rates of the input."""

    signals = frozenset({"rate", "error"})

    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        return tensor * 2 if (signal, layer) in (("rate", 0), ("error", 2)) else tensor


def test_errors_are_watched_and_disturbed_like_gle_s() -> None:
    network, parameters = of("stacked")
    window, state, errors = make_batch(network, 6, BATCH), zero_state(network, parameters, BATCH), Errors()
    plain = ENGINE.gradients(network, BPTT(), parameters, state, window, seams=Seams((errors,)))
    assert {(layer, step) for signal, layer, step in errors.seen if signal == "error"} == {
        (layer, step) for layer in range(1, 5) for step in range(6)
    }
    assert not errors.seen["error", 4, 5].any()  # nothing that the last step does reaches the window's cost
    assert errors.seen["error", 4, 4].any()
    doubled = ENGINE.gradients(network, BPTT(), parameters, state, window, seams=Seams((), (Doubled(),)))
    louder = window._replace(inputs=2 * window.inputs)
    exact = ENGINE.gradients(network, BPTT(), parameters, state, louder).accumulated
    factors: tuple[tuple[int, ...], ...] = ((2,), (2, 1), (1,))  # of each layer, block by block
    for block, (ours, theirs) in zip(factors, zip(doubled.accumulated, exact, strict=True), strict=True):
        for name in ("weight", "bias", "tau_m"):
            expected = torch.stack([factor * x for factor, x in zip(block, getattr(theirs, name), strict=True)])
            assert_close(getattr(ours, name), expected, rtol=1e-12, atol=1e-14)
    assert worst(plain.accumulated, exact) > 0.1


def test_a_nudged_window_runs_as_under_instantaneous_errors_and_learns_alike_in_both_engines() -> None:
    """Errors move membranes in the run, and in the gradient that descends its cost they are left out."""
    network = make_network(
        (2, 3, 3, 1), instantaneous=False, learn_tau_m=True, loss="mse", beta=0.5, layers=[NUDGED] * 3
    )
    parameters = make_parameters(network)
    window, still = make_batch(network, STEPS, BATCH), torch.zeros(1, dtype=torch.float64)
    carry = start(network, parameters, Optimizer("sgd"), BATCH)
    rule = BPTT().with_options(BPTTOptions(window=10, nudged=True))
    moved, outputs = ENGINE.learn(network, Instantaneous(), Optimizer("sgd"), carry, window, still)
    same, answers = ENGINE.learn(network, rule, Optimizer("sgd"), carry, window, still)
    assert_close(answers, outputs, rtol=0, atol=1e-14)
    assert_close(same.state, moved.state, rtol=0, atol=1e-14)
    plain, _ = ENGINE.infer(network, parameters, carry.state, window._replace(target=None))
    assert not torch.allclose(plain[-1].u, same.state[-1].u, rtol=0, atol=1e-3)  # gamma moves membranes
    rates = torch.full((1,), 0.1, dtype=torch.float64)
    learned = [
        Tried(name).learn(network, rule, Optimizer("sgd"), carry, window, rates)[0] for name in ("torch", "native")
    ]
    assert_close(*[pack(network, own.parameters) for own in learned], rtol=0, atol=1e-12)


def test_nudging_is_refused_where_nothing_moves_a_membrane_and_gamma_where_it_is_not_nudged() -> None:
    still, moved = make_network((1, 1)), make_network((1, 1), layers=[NUDGED])
    for network, nudged, reason in ((still, True, "gamma, which is 0"), (moved, False, "lets errors of GLE move")):
        rule = BPTT().with_options(BPTTOptions(nudged=nudged))
        assert reason in (rule.refused(RuleRequest(network, 10, 1, 1, 4)) or "")
    assert BPTT().with_options(BPTTOptions(nudged=True)).refused(RuleRequest(moved, 10, 1, 1, 4)) is None
