"""Observers and disturbances: what they see and change in both kinds of steps, in rules, engines and whole batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from networks import DT, layerwise, make_batch, make_network, make_parameters, member, normal
from torch import Tensor

from gle_bench.dynamics.convolution import Convolution, MaxPool
from gle_bench.dynamics.engines.chunks import tensors
from gle_bench.dynamics.engines.graph import GraphEngine
from gle_bench.dynamics.engines.interface import EngineRequest, start
from gle_bench.dynamics.engines.native.engine import NativeEngine
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, select
from gle_bench.dynamics.network import Layer, Network, relay_layer
from gle_bench.dynamics.noise import RateNoise, generators
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.ordered_step import advance
from gle_bench.dynamics.seams import (
    NO_SEAMS,
    SIGNALS,
    Disturbance,
    Moment,
    Observer,
    Seams,
    Signal,
)
from gle_bench.dynamics.state import initial_parameters, zero_state
from gle_bench.dynamics.step import Step
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.rules.gle import GLE

BATCH, STEPS, SIZES = 3, 6, (2, 4, 4, 4, 3)  # the layers 2 and 3 are stacked in one block where they are not ordered
SEEDS = (5, 6)
INTEGRATORS = pytest.mark.parametrize("integrator", ["euler", "exponential", "rk4"])
TAUS = {"learn_tau_m": True, "learn_tau_r": True, "tau_range": (DT, 9.0)}
ENGINE = TorchEngine()


class Recorder(Observer):
    """Keeps all that it sees, and spoils what it was given."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, int, Moment], Tensor] = {}

    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        assert (signal, layer, moment) not in self.seen
        assert not tensor.requires_grad
        self.seen[signal, layer, moment] = tensor.clone()
        tensor.fill_(torch.nan)


@dataclass(frozen=True)
class Changed(Disturbance):
    """Replaces one signal of one layer."""

    signals: ClassVar[frozenset[Signal]] = frozenset(SIGNALS)

    signal: str
    layer: int
    change: Callable[[Tensor], Tensor]
    in_evaluation: bool = True

    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        return self.change(tensor) if (signal, layer) == (self.signal, self.layer) else tensor


def network_of(integrator: str = "euler", **options: Any) -> Network:
    return make_network(SIZES, loss="mse", integrator=integrator, **{**TAUS, **options})


def started(network: Network, members: int = len(SEEDS)) -> Carry:
    """An ensemble under way, so that errors are everywhere."""
    carry = start(network, make_parameters(network, members=members), Optimizer("adam"), BATCH)
    return learn(network, carry, make_batch(network, 8, BATCH, seed=9, members=members))[0]


def learn(network: Network, carry: Carry, batch: Window, seams: Seams = NO_SEAMS, rate: float = 0.01) -> Any:
    rates = torch.full((carry.state[0].u.shape[1],), rate, dtype=torch.float64)
    return ENGINE.learn(network, GLE(), Optimizer("adam"), carry, batch, rates, seams=seams)


def one_step(network: Network, seams: Seams = NO_SEAMS) -> Step:
    carry, batch = started(network), make_batch(network, 2, BATCH, seed=3, members=len(SEEDS))
    now, later = (batch.at(t, len(SEEDS)) for t in (0, 1))
    return advance(network, carry.parameters, carry.state, now, lambda output: later, seams=seams)


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


@INTEGRATORS
def test_observers_see_every_signal_of_every_layer_and_change_nothing(integrator: str) -> None:
    network, recorder = network_of(integrator), Recorder()
    plain, watched = one_step(network), one_step(network, Seams((recorder,)))
    assert same(plain, watched)
    seen = {(signal, layer): tensor for (signal, layer, _), tensor in recorder.seen.items()}
    above = {(signal, layer) for signal in SIGNALS for layer in range(1, 5)}
    assert seen.keys() == above | {("rate", 0)}
    assert torch.equal(seen["rate", 0], make_batch(network, 2, BATCH, seed=3, members=2).inputs[:, :, 0])
    instants = [layer for block in plain.signals.instantaneous for layer in (() if block is None else block)]
    for number, state in enumerate(layerwise(network, plain.state), 1):
        assert torch.equal(seen["rate", number], state["r"])
        assert torch.equal(seen["error", number], state["e"])
        assert torch.equal(seen["instantaneous", number], instants[number - 1])


@INTEGRATORS
def test_a_watched_batch_ends_as_an_unwatched_one_and_each_moment_is_named(integrator: str) -> None:
    network, recorder = network_of(integrator), Recorder()
    carry, batch = started(network), make_batch(network, STEPS, BATCH, members=2)
    seams = Seams((recorder,), moment=Moment(batch=7))
    assert same(learn(network, carry, batch), learn(network, carry, batch, seams))
    assert {moment for _, _, moment in recorder.seen} == {Moment(7, t) for t in range(STEPS)}
    outputs = learn(network, carry, batch)[1]
    last = [recorder.seen["rate", 4, Moment(7, t)] for t in range(STEPS)]
    if network.ordered:
        assert all(torch.equal(outputs[:, :, t], rate) for t, rate in enumerate(last))
    else:  # the output of a step is the rate that the step before it made
        assert all(torch.equal(outputs[:, :, t + 1], rate) for t, rate in enumerate(last[:-1]))


def test_a_watched_evaluation_ends_as_an_unwatched_one() -> None:
    network, recorder = network_of(), Recorder()
    carry, batch = started(network), make_batch(network, 9, BATCH, members=2)
    seams = Seams((recorder,)).in_evaluation(4)
    plain, watched = (
        ENGINE.infer(network, carry.parameters, carry.state, batch, seams=given) for given in (NO_SEAMS, seams)
    )
    assert same(plain, watched)
    assert {moment for _, _, moment in recorder.seen} == {Moment(0, t, 4) for t in range(9)}


@INTEGRATORS
def test_a_disturbance_that_returns_what_it_gets_changes_nothing(integrator: str) -> None:
    network = network_of(integrator)
    assert same(one_step(network), one_step(network, Seams((), (Changed("rate", 1, lambda x: x),), SEEDS)))


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_disturbed_signal_changes_its_layer_and_in_this_step_no_other_one(signal: str) -> None:
    network = network_of()
    plain, noisy = one_step(network), one_step(network, Seams((), (Changed(signal, 2, lambda x: x + 0.5),), SEEDS))
    for layer, (a, b) in enumerate(zip(layerwise(network, plain.state), layerwise(network, noisy.state), strict=True)):
        assert all(torch.equal(a[name], b[name]) for name in a) == (layer != 1)
    if signal in ("rate", "error"):
        a, b = (layerwise(network, result.state)[1][signal[0]] for result in (plain, noisy))
        torch.testing.assert_close(b, a + 0.5)


@INTEGRATORS
@pytest.mark.parametrize("layer", range(5))
def test_a_disturbed_rate_is_the_presynaptic_rate_of_the_layer_above(integrator: str, layer: int) -> None:
    """So the gradient of the weights is that of the disturbed rate: a silent input teaches the first layer nothing."""
    network, silent = network_of(integrator), Changed("rate", layer, torch.zeros_like)
    carry, batch = started(network), make_batch(network, 3, BATCH, members=2)
    state, gradients = carry.state, ()
    for t in range(2):
        now, later = batch.at(t, 2), batch.at(t + 1, 2)
        result = advance(network, carry.parameters, state, now, lambda y, i=later: i, seams=Seams((), (silent,), SEEDS))
        state, gradients = result.state, result.gradients
    weights = [p["weight"] for p in layerwise(network, gradients)]
    assert [not weight.any() for weight in weights] == [number == layer for number in range(4)]
    if layer == 4:
        assert not state[-1].r.any()


@INTEGRATORS
@pytest.mark.parametrize("layer", [1, 3, 4])
def test_without_its_error_a_layer_does_not_learn(integrator: str, layer: int) -> None:
    network = network_of(integrator, **{"learn_tau_r": False})  # Eq. 24 learns by the instantaneous error
    result = one_step(network, Seams((), (Changed("error", layer, torch.zeros_like),), SEEDS))
    for number, gradient in enumerate(layerwise(network, result.gradients), 1):
        values = [tensor for tensor in gradient.values() if tensor is not None]
        assert all(not tensor.any() for tensor in values) == (number == layer)


@INTEGRATORS
def test_disturbances_act_before_observers_look(integrator: str) -> None:
    recorder = Recorder()
    one_step(network_of(integrator), Seams((recorder,), (Changed("current", 2, lambda x: x * 0 + 7),), SEEDS))
    assert (recorder.seen["current", 2, Moment()] == 7).all()
    assert (recorder.seen["current", 1, Moment()] != 7).all()


def test_all_stages_of_a_step_get_the_same_noise() -> None:
    """An offset of the input moves rk4 as the same offset in the world's input does."""
    network = network_of("rk4")
    carry, batch = started(network), make_batch(network, 2, BATCH, members=2)
    now, later = batch.at(0, 2), batch.at(1, 2)
    noise = RateNoise(0.3, (0,))
    offset = noise.disturb("rate", 0, torch.zeros_like(now.inputs), Moment(), SEEDS)
    disturbed = advance(network, carry.parameters, carry.state, now, lambda y: later, seams=Seams((), (noise,), SEEDS))
    moved, moved_later = (instant._replace(inputs=instant.inputs + offset) for instant in (now, later))
    expected = advance(network, carry.parameters, carry.state, moved, lambda y: moved_later)
    for a, b in zip(tensors(disturbed), tensors(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_a_step_with_noise_is_differentiable() -> None:
    network = network_of()
    carry, batch = started(network), make_batch(network, 1, BATCH, members=2)
    weight = carry.parameters[0].weight
    assert weight is not None
    weight = weight.clone().requires_grad_()
    parameters = (carry.parameters[0]._replace(weight=weight), *carry.parameters[1:])
    seams = Seams((Recorder(),), (RateNoise(0.1),), SEEDS)
    result = advance(network, parameters, carry.state, batch.at(0, 2), lambda y: batch.at(0, 2), seams=seams)
    (gradient,) = torch.autograd.grad(result.state[0].r.sum(), weight)
    assert gradient.isfinite().all()
    assert gradient.any()


def test_relays_and_convolutions_are_layers_like_others() -> None:
    image = Convolution((1, 4, 4), channels=2, kernel=3)
    layers = (
        Layer(16, 8, (1.0,), (0.5,), connection=image),
        relay_layer(MaxPool(image.out_shape)),
        Layer(2, 3, (1.0,), (0.5,), phi="identity"),
    )
    network = Network(layers, dt=DT, loss="mse")
    weights = [normal(2, 1, 3, 3, seed=1), None, normal(3, 2, seed=2)]
    parameters = initial_parameters(network, weights, [normal(2, seed=3), None, normal(3, seed=4)])
    state, recorder = zero_state(network, parameters, BATCH), Recorder()
    batch = make_batch(network, 1, BATCH)
    seams = Seams((recorder,), (Changed("rate", 2, lambda x: x + 2),), (1,))
    result = advance(network, parameters, state, batch.at(0, 1), lambda y: batch.at(0, 1), seams=seams)
    assert {layer for signal, layer, _ in recorder.seen if signal == "rate"} == {0, 1, 2, 3}
    assert {layer for signal, layer, _ in recorder.seen if signal != "rate"} == {1, 3}
    assert (result.state[1].r == 2).all()  # it passes on the zero rates of the step before


def test_noise_has_its_mean_and_standard_deviation() -> None:
    noise = RateNoise(0.5).disturb("rate", 1, torch.full((2, 200, 100), 3.0, dtype=torch.float64), Moment(), SEEDS)
    for own in noise:
        assert float(own.mean()) == pytest.approx(3.0, abs=5 * 0.5 / 20000**0.5)
        assert float(own.std()) == pytest.approx(0.5, rel=5 / 40000**0.5)


def test_noise_in_a_run_is_on_every_rate() -> None:
    network, clean, noisy = network_of(), Recorder(), Recorder()
    one_step(network, Seams((clean,)))
    one_step(network, Seams((noisy,), (RateNoise(0.2),), SEEDS))
    for layer in range(5):
        difference = noisy.seen["rate", layer, Moment()] - clean.seen["rate", layer, Moment()]
        if layer in (0, 2, 3, 4):  # the rate of layer 1 follows the input at once
            expected = RateNoise(0.2).disturb("rate", layer, torch.zeros_like(difference), Moment(), SEEDS)
            torch.testing.assert_close(difference, expected)
        assert difference.any()


def test_noise_is_a_function_of_seed_layer_step_batch_and_stream() -> None:
    """Each of them makes it independent; the same ones make the same numbers, in every precision."""
    size, places = 4000, []
    for seed in (1, 2):
        for layer in (0, 1):
            for moment in (Moment(), Moment(1), Moment(0, 1), Moment(0, 0, 0), Moment(0, 0, 1)):
                places += [(seed, layer, moment, stream) for stream in (0, 1)]

    def drawn(seed: int, layer: int, moment: Moment, stream: int) -> Tensor:
        (draw,) = generators([seed], "rate", layer, moment, stream)
        return torch.from_numpy(draw.standard_normal(size))

    table = torch.stack([drawn(*place) for place in places])
    assert torch.equal(table, torch.stack([drawn(*place) for place in reversed(places)]).flip(0))
    correlations = torch.corrcoef(table) - torch.eye(len(places), dtype=torch.float64)
    assert correlations.abs().max() < 6 / size**0.5
    assert torch.equal(
        RateNoise(1.0).disturb("rate", 1, torch.zeros(1, 2, 3), Moment(), (1,)),
        RateNoise(1.0).disturb("rate", 1, torch.zeros(1, 2, 3, dtype=torch.float64), Moment(), (1,)).float(),
    )


@INTEGRATORS
def test_a_member_with_noise_learns_as_it_would_alone(integrator: str) -> None:
    network = network_of(integrator)
    carry, batch = started(network), make_batch(network, STEPS, BATCH, members=2)
    seams = Seams((), (RateNoise(0.2),), SEEDS, Moment(3))
    together, outputs = learn(network, carry, batch, seams)
    for number, seed in enumerate(SEEDS):
        lone = batch_of_member(batch, number)
        alone, own = learn(network, select(network, carry, [number]), lone, replace(seams, seeds=(seed,)))
        torch.testing.assert_close(own, outputs[number : number + 1], rtol=0, atol=1e-10)
        pairs = zip(tensors(alone.parameters), tensors(member(together.parameters, number)), strict=True)
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def batch_of_member(batch: Window, number: int) -> Window:
    assert batch.target is not None
    return batch._replace(inputs=batch.inputs[number : number + 1], target=batch.target[number : number + 1])


def test_a_batch_cut_in_two_has_the_noise_of_the_whole_one() -> None:
    network = network_of()
    carry, batch = started(network), make_batch(network, STEPS, BATCH, members=2)
    seams = Seams((), (RateNoise(0.2),), SEEDS, Moment(3))
    whole, outputs = learn(network, carry, batch, seams)
    first, before = learn(network, carry, batch.part(0, 2), seams)
    second, after = learn(network, first, batch.part(2, STEPS), seams.at(2))
    assert torch.equal(torch.cat([before, after], 2), outputs)
    assert same(second.parameters, whole.parameters)


def test_noise_spares_evaluations_unless_it_says_otherwise() -> None:
    network = network_of()
    carry, batch = started(network), make_batch(network, STEPS, BATCH, members=2)
    given = Seams((), (RateNoise(0.2),), SEEDS), Seams((), (RateNoise(0.2, in_evaluation=True),), SEEDS)
    plain, spared, noisy = (
        ENGINE.infer(network, carry.parameters, carry.state, batch, seams=seams.in_evaluation(0))[1]
        for seams in (NO_SEAMS, *given)
    )
    assert torch.equal(plain, spared)
    assert not torch.equal(plain, noisy)


def test_noise_can_be_confined_to_layers_and_asks_for_a_seed_a_member() -> None:
    rates = normal(2, 3, 4, seed=0)
    assert RateNoise(1.0, (0, 2)).disturb("rate", 1, rates, Moment(), SEEDS) is rates
    with pytest.raises(UsageError, match=r"seeds = \(5,\) of the seams must be one for each of 2 members\."):
        RateNoise(1.0, (0, 2)).disturb("rate", 2, rates, Moment(), (5,))


@pytest.mark.parametrize("seams", [Seams((), (RateNoise(0.1),), SEEDS), Seams((Recorder(),))])
def test_engines_that_compute_no_signal_apart_refuse_both(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(SIZES)
    carry = start(network, make_parameters(network, members=2), Optimizer(), BATCH)
    batch, rates = make_batch(network, 2, BATCH, members=2), torch.ones(2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("gle_bench.dynamics.engines.native.library.load", lambda: None)
    for engine, device in ((NativeEngine(), "cpu"), (GraphEngine(), "cuda")):
        request = EngineRequest(network, GLE(), device, torch.float64, None)
        assert engine.refusal(request) is None
        assert "must be passed each signal" in (engine.refusal(request._replace(seams=seams)) or "")
        with pytest.raises(NotImplementedError, match="must be passed each signal"):
            engine.learn(network, GLE(), Optimizer(), carry, batch, rates, seams=seams)
        with pytest.raises(NotImplementedError, match="must be passed each signal"):
            engine.infer(network, carry.parameters, carry.state, batch, seams=seams)
    assert ENGINE.refusal(EngineRequest(network, GLE(), "cpu", torch.float64, None, seams)) is None
