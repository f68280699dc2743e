"""Real-time recurrent learning and SnAp-n: the gradient of every step when it is made, and the memory that it takes."""

import pytest
import torch
from exact import BATCH, MEMBERS, NETWORKS, by_autograd, of, worst
from networks import make_batch
from toy_runs import configured

from gle_bench.chosen import resolved
from gle_bench.dynamics.convolution import Convolution
from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.influence import influence_size, no_influence
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.rule import OnlineRule, RuleRequest
from gle_bench.dynamics.state import Parameters, zero_state
from gle_bench.rules.rtrl import RTRL
from gle_bench.rules.snap import SnAp, SnApOptions
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.online import OnlineModule

STEPS = 12


def snap(layers: int) -> SnAp:
    return SnAp().with_options(SnApOptions(layers=layers))


def gradients(rule: OnlineRule, network: Network, parameters: Parameters) -> Gradients:
    window, state = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH)
    return TorchEngine().gradients(network, rule, parameters, state, window, every=1)


def test_each_step_has_the_exact_gradient_of_its_own_cost() -> None:
    """It is there before the state advances; autograd of one step's cost, by what a mask leaves of the others."""
    network, parameters = of("stacked", "ce")
    made = gradients(RTRL(), network, parameters)
    window, state = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH)
    for t in (6, STEPS - 1):  # the first layer's parameters need four steps to reach the output
        mask = torch.zeros(1, BATCH, STEPS, dtype=torch.float64)
        mask[:, :, t] = STEPS
        alone = by_autograd(network, parameters, state, window._replace(mask=mask))
        assert worst(made.windowed[t], alone) < 1e-12


@pytest.mark.parametrize("name", NETWORKS)
def test_snap_of_all_layers_is_rtrl_and_of_fewer_its_upper_part(name: str) -> None:
    network, parameters = of(name)
    exact, count = gradients(RTRL(), network, parameters).accumulated, len(network.layers)
    for layers in range(1, count + 1):
        approximated = gradients(snap(layers), network, parameters).accumulated
        for block, ours, theirs in zip(network.blocks, approximated, exact, strict=True):
            for mine, full in zip(ours, theirs, strict=True):
                assert (mine is None) == (full is None)
                for k in range(len(block.layers) if mine is not None and full is not None else 0):
                    kept = block.first + k >= count - layers
                    assert torch.equal(mine[k], full[k] if kept else torch.zeros_like(full[k]))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_influence_has_as_many_numbers_as_is_said(name: str, depth: int) -> None:
    network, parameters = of(name)
    carried = no_influence(network, parameters, BATCH, depth)
    assert sum(tensor.numel() for tensor in carried) == influence_size(network, depth) * BATCH * MEMBERS


def test_a_network_that_is_too_large_is_refused_with_the_memory_that_it_needs() -> None:
    network, _ = of("stacked")
    request = RuleRequest(network, STEPS, batch=100, members=1, itemsize=8)
    size = influence_size(network, 4) * 100 * 8 / 2**30
    assert RTRL().request_refusal(request) is None
    larger = request._replace(members=int(2 / size))
    assert str(RTRL().request_refusal(larger)).startswith("the influence of its parameters needs 2.0 GiB (batch_size =")
    assert snap(1).request_refusal(larger) is None
    image = Layer(4, 4, (1.0,), (1.0,), connection=Convolution((1, 2, 2), 1, 1))
    images = request._replace(network=Network((image,), 0.1))
    assert "layer 1 is connected by Convolution, and influences go" in str(RTRL().request_refusal(images))
    assert str(snap(5).request_refusal(request)).startswith("layers = 5 is more than the 4 layers of the network")


def test_layers_that_learn_nothing_are_refused() -> None:
    network, _ = of("fixed in between")
    request = RuleRequest(network, STEPS, BATCH, 1, 8)
    assert snap(1).request_refusal(request) is None
    fixed = Network(network.layers[:2], network.dt)
    assert "layers = 1 leaves nothing to learn" in str(snap(1).request_refusal(request._replace(network=fixed)))
    assert snap(2).request_refusal(request._replace(network=fixed)) is None


def test_a_member_whose_influence_is_not_finite_has_diverged() -> None:
    experiment = Experiment.of(resolved(configured("toy-signal", "toy-gle", rule="rtrl")))
    module = OnlineModule(experiment, [1, 2])
    memory = RTRL().start(module.net, module.carry.parameters, 4, (1, 2))
    memory[3][1, 0] = torch.nan
    module.carry = module.carry._replace(memory=memory)
    assert module.finite() == [True, False]
