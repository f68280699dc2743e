"""Noise on feedback and on time constants: its size, its independence, and networks that are built with it."""

from dataclasses import replace

import pytest
import torch
from networks import DT, make_batch, make_network, make_parameters, normal
from torch import Tensor

from gle_bench import registry
from gle_bench.contracts import OnlineRule
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import pack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.noise import ErrorTauNoise, FeedbackNoise, TauNoise
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import NO_SEAMS, Moment, Seams
from gle_bench.dynamics.state import Parameters, present

SIZES, BATCH, SEED = (2, 4, 4, 3), 3, 7
WIDE = replace(make_network((2, 4000, 3)), own_taus=True)


def noisy(network: Network, noise: TauNoise, seed: int = SEED) -> Parameters:
    return noise.perturbed(network, make_parameters(network), seed)


def learned(name: str, network: Network, parameters: Parameters, seams: Seams = NO_SEAMS) -> Tensor:
    rule = registry.rule(name)
    assert isinstance(rule, OnlineRule)
    carry = start(network, parameters, Optimizer("sgd"), BATCH)
    rates, batch = torch.full((1,), 0.01), make_batch(network, 12, BATCH)
    seams = replace(seams, seeds=(SEED,))
    return pack(
        network, TorchEngine().learn(network, rule, Optimizer("sgd"), carry, batch, rates, seams=seams)[0].parameters
    )


def test_feedback_noise_is_absolute_or_relative_to_the_feedback() -> None:
    feedback = 3 * normal(1, 200, 100, seed=0)
    for noise, std in ((FeedbackNoise(0.5), 0.5), (FeedbackNoise(0.5, relative=True), 1.5)):
        added = noise.disturb("feedback", 1, feedback, Moment(), (SEED,)) - feedback
        assert float(added.std()) == pytest.approx(std, rel=0.03)
        assert float(added.mean()) == pytest.approx(0, abs=5 * std / 20000**0.5)


def test_time_constants_are_those_of_the_layer_with_noise_and_never_below_dt() -> None:
    plain, drawn = make_parameters(WIDE)[0], noisy(WIDE, TauNoise(0.05))[0]
    noises = [present(getattr(drawn, name)) - present(getattr(plain, name)) for name in ("tau_m", "tau_r")]
    for noise in noises:
        assert float(noise.std()) == pytest.approx(0.05, rel=0.1)
    assert abs(float(torch.corrcoef(torch.cat([x.flatten()[None] for x in noises]))[0, 1])) < 6 / 4000**0.5
    assert float(present(noisy(WIDE, TauNoise(3.0))[0].tau_m).min()) == DT
    assert not torch.equal(present(noisy(WIDE, TauNoise(0.05), 8)[0].tau_m), present(drawn.tau_m))
    upper = noisy(WIDE, TauNoise(0.05, layers=(2,)))
    assert torch.equal(present(upper[0].tau_m), present(plain.tau_m))
    assert not torch.equal(present(upper[1].tau_m), present(make_parameters(WIDE)[1].tau_m))


def test_error_neurons_draw_time_constants_of_their_own() -> None:
    noise = TauNoise(0.05)
    own, disturbance = present(noisy(WIDE, noise)[0].tau_m)[0], ErrorTauNoise(noise, WIDE)
    theirs = disturbance.disturb("error_tau_m", 1, own, Moment(), (SEED,))
    layer = torch.tensor(WIDE.layers[0].tau_m, dtype=torch.float64)
    assert float((theirs - layer).std()) == pytest.approx(0.05, rel=0.1)
    both = torch.stack([(own - layer).flatten(), (theirs - layer).flatten()])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 6 / 4000**0.5
    for moment in (Moment(3, 4), Moment(0, 0, 2)):
        assert torch.equal(theirs, disturbance.disturb("error_tau_m", 1, own, moment, (SEED,)))


@pytest.mark.parametrize("rule", ["gle", "gle-e", "eprop-full", "gle-gain", "bptt", "adjoint", "rtrl"])
def test_shared_noise_is_a_network_that_was_built_with_these_time_constants(rule: str) -> None:
    same = [replace(layer, tau_m=(1.0,), tau_r=(0.5,)) for layer in make_network(SIZES, loss="mse").layers]
    network = replace(make_network(SIZES, loss="mse"), layers=tuple(same), own_taus=True)
    parameters = noisy(network, TauNoise(0.3))
    taus = [
        {name: tuple(present(getattr(p, name))[k].flatten().tolist()) for name in ("tau_m", "tau_r")}
        for block, p in zip(network.blocks, parameters, strict=True)
        for k in range(len(block.layers))
    ]
    layers = tuple(replace(layer, **own) for layer, own in zip(network.layers, taus, strict=True))
    built = replace(network, layers=layers, own_taus=False)
    torch.testing.assert_close(learned(rule, network, parameters), learned(rule, built, parameters), rtol=0, atol=1e-12)
    plain = learned(rule, network, make_parameters(network))
    assert not torch.allclose(learned(rule, network, parameters), plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("integrator", ["euler", "exponential", "rk4"])
def test_independent_noise_changes_errors_and_nothing_else(integrator: str) -> None:
    network = make_network(SIZES, loss="mse", integrator=integrator)
    noise = TauNoise(0.3)
    parameters, seams = noisy(network, noise), Seams((), (ErrorTauNoise(noise, network),))
    shared, own = (learned("gle", network, parameters, given) for given in (NO_SEAMS, seams))
    assert not torch.allclose(shared, own, rtol=0, atol=1e-9)
    carry, batch = start(network, parameters, Optimizer(), BATCH), make_batch(network, 6, BATCH)._replace(target=None)
    engine, seams = TorchEngine(), replace(seams, seeds=(SEED,)).in_evaluation(0)
    plain, disturbed = (
        engine.infer(network, carry.parameters, carry.state, batch, seams=given)[1] for given in (NO_SEAMS, seams)
    )
    assert torch.equal(plain, disturbed)


def test_members_draw_what_they_would_alone() -> None:
    network, noise = make_network(SIZES), TauNoise(0.3)
    disturbance = ErrorTauNoise(noise, network)
    tensor = torch.zeros(2, 1, 4, dtype=torch.float64)
    both = disturbance.disturb("error_tau_r", 2, tensor, Moment(), (5, 6))
    for number, seed in enumerate((5, 6)):
        assert torch.equal(
            both[number : number + 1], disturbance.disturb("error_tau_r", 2, tensor[:1], Moment(), (seed,))
        )
