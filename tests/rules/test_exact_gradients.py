"""Rules that give the exact gradient of a sample, against autograd through the network's own step, in float64."""

from dataclasses import replace
from typing import get_args

import pytest
from exact import BATCH, MEMBERS, NETWORKS, STEPS, by_autograd, of, worst
from golden_rules import load
from networks import make_batch, normal
from shared import shared_path
from torch.testing import assert_close

from gle_bench import registry
from gle_bench.contracts import OnlineRule
from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.noise import RateNoise
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.dynamics.seams import Moment, Seams
from gle_bench.dynamics.state import Parameters, State, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.words import Loss

EXACT = pytest.mark.parametrize(
    "rule", [registry.rule(name) for name in ("adjoint", "bptt", "rtrl")], ids=lambda rule: rule.name
)
EVERY_LOSS = pytest.mark.parametrize("loss", get_args(Loss))


def gradients(rule: OnlineRule, network: Network, parameters: Parameters, state: State, window: Window) -> Gradients:
    """With the mean over all steps as the only window."""
    return TorchEngine().gradients(network, rule, parameters, state, window, every=window.steps)


@EXACT
@EVERY_LOSS
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_of_a_sample_is_autograd_s(rule: OnlineRule, name: str, loss: Loss) -> None:
    network, parameters = of(name, loss)
    window, state = make_batch(network, STEPS, BATCH, members=MEMBERS), zero_state(network, parameters, BATCH)
    made = gradients(rule, network, parameters, state, window)
    assert worst(made.windowed[0], by_autograd(network, parameters, state, window)) < 1e-12
    state, outputs = TorchEngine().infer(network, parameters, state, window, errors=False)
    assert_close(made.outputs, outputs, rtol=0, atol=0)
    assert_close([block.u for block in made.state], [block.u for block in state], rtol=0, atol=0)


@EXACT
@EVERY_LOSS
def test_a_mask_and_a_state_from_before_are_respected(rule: OnlineRule, loss: Loss) -> None:
    network, parameters = of("stacked", loss)
    earlier = make_batch(network, 9, BATCH, seed=5)
    state, _ = TorchEngine().infer(network, parameters, zero_state(network, parameters, BATCH), earlier)
    mask = (normal(1, BATCH, STEPS, seed=3) > 0).double()
    window = make_batch(network, STEPS, BATCH)._replace(mask=mask)
    made = gradients(rule, network, parameters, state, window)
    expected = by_autograd(network, parameters, state, window)
    assert worst(made.windowed[0], expected) < 1e-12
    assert worst(by_autograd(network, parameters, state, window._replace(mask=None)), expected) > 0.1


@EXACT
def test_noise_on_rates_is_part_of_the_network(rule: OnlineRule) -> None:
    network, parameters = of("stacked")
    window, state = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH)
    seams = Seams(disturbances=(RateNoise(0.3),), seeds=(3, 4), moment=Moment(7))
    made = TorchEngine().gradients(network, rule, parameters, state, window, every=STEPS, seams=seams)
    noisy = by_autograd(network, parameters, state, window, seams)
    assert worst(made.windowed[0], noisy) < 1e-12
    assert worst(by_autograd(network, parameters, state, window), noisy) > 0.01


@EXACT
@pytest.mark.parametrize("file", ["small_ce.npz", "small_mse.npz"])
def test_golden_gradients_are_reproduced(rule: OnlineRule, file: str) -> None:
    golden = load(shared_path("golden-rules") / file)
    state = zero_state(golden.network, golden.parameters, len(golden.outputs))
    made = TorchEngine().gradients(golden.network, rule, golden.parameters, state, golden.batch)
    assert_close(made.outputs[0], golden.outputs, rtol=1e-10, atol=1e-12)
    compared = 0
    for block, gradient in zip(golden.network.blocks, made.accumulated, strict=True):
        for k in range(len(block.layers)):
            for name, tensor in gradient._asdict().items():
                expected = golden.gradients[f"bptt/{name}_{block.first + k}"]
                distance = (tensor[k, 0].reshape(expected.shape) - expected).norm() / expected.norm()
                assert distance < 1e-10, f"{name} of layer {block.first + k}"
                compared += 1
    assert compared == 4 * len(golden.network.layers)


@EXACT
def test_networks_whose_gradient_is_another_are_refused_in_a_sentence(rule: OnlineRule) -> None:
    network, _ = of("one layer")
    request = RuleRequest(network, STEPS, BATCH, 1, 8)
    assert rule.request_refusal(request) is None
    moved = replace(network, layers=(replace(network.layers[0], gamma=0.5),))
    assert str(rule.request_refusal(request._replace(network=moved))).startswith("gamma = 0.5 of layer 1 lets errors")
    ordered = replace(network, integrator="rk4")
    assert str(rule.request_refusal(request._replace(network=ordered))).startswith("integrator = 'rk4' traverses")
