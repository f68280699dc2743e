"""The adjoint method: the paper's scheme approaches the exact gradient, and so does a longer look ahead."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from exact import BATCH, MEMBERS, NETWORKS, by_autograd, of, worst
from networks import make_batch, make_network, make_parameters
from torch import Tensor

from gle_bench.dynamics.convolution import MaxPool
from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.network import Layer, Network, relay_layer
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.dynamics.seams import Disturbance, Moment, Seams, Signal
from gle_bench.dynamics.state import BlockParameters, Parameters, State, initial_parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.rules.adjoint import Adjoint, AdjointOptions
from gle_bench.rules.bptt import BPTT
from gle_bench.rules.rtrl import RTRL

STEPS = 15
SCHEMES = pytest.mark.parametrize("scheme", ["discrete", "paper"])


def adjoint(**options: object) -> Adjoint:
    return Adjoint().with_options(AdjointOptions.model_validate(options))


def followed(network: Network, window: Window, more: int) -> Window:
    """The window, after which the network runs on for some steps without a cost."""
    steps = window.steps + more
    longer = make_batch(network, steps, BATCH, seed=8)
    mask = torch.zeros(1, BATCH, steps, dtype=torch.float64)
    mask[:, :, : window.steps] = 1 if window.mask is None else window.mask
    inputs = torch.cat([window.inputs, longer.inputs[:, :, window.steps :]], 2)
    target = window.target
    if target is not None and target.shape[2] > 1:
        assert longer.target is not None
        target = torch.cat([target, longer.target[:, :, window.steps :]], 2)
    return Window(steps, inputs, target, mask)


def accumulated(rule: Adjoint | BPTT, network: Network, parameters: Parameters, window: Window) -> Parameters:
    state = zero_state(network, parameters, BATCH)
    made: Gradients = TorchEngine().gradients(network, rule, parameters, state, window)
    return made.accumulated


def times(gradients: Parameters, factor: float) -> Parameters:
    return tuple(BlockParameters(*(None if x is None else x * factor for x in block)) for block in gradients)


# The paper's scheme --------------------------------------------------------------------------------------------------


def smooth(network: Network, duration: float) -> Window:
    """Sines as inputs and targets, the same signals for every dt."""
    steps = round(duration / network.dt)
    time = network.dt * torch.arange(steps, dtype=torch.float64)[None, None, :, None]
    phases = torch.arange(BATCH, dtype=torch.float64)[None, :, None, None]
    inputs, outputs = (torch.arange(1, n + 1, dtype=torch.float64) for n in (network.inputs, network.outputs))
    return Window(steps, (time * inputs + phases).sin(), (0.7 * time * outputs + 2 * phases).cos(), None)


def test_the_paper_s_scheme_approaches_the_exact_gradient_to_first_order_in_dt() -> None:
    """Of each parameter by itself: halving dt halves the distance."""
    network = make_network((2, 4, 4, 3), learn_tau_m=True, learn_tau_r=True)
    parameters, distances = make_parameters(network, members=MEMBERS), []
    for dt in (0.02, 0.01, 0.005, 0.0025):
        fine = replace(network, dt=dt)
        window = smooth(fine, 6.0)
        paper, exact = (accumulated(rule, fine, parameters, window) for rule in (adjoint(scheme="paper"), BPTT()))
        pairs = [(x, y) for ours, theirs in zip(paper, exact, strict=True) for x, y in zip(ours, theirs, strict=True)]
        distances.append(torch.stack([(x - y).norm() / y.norm() for x, y in pairs if x is not None and y is not None]))
    assert distances[0].max() < 0.5
    orders = torch.stack([(coarse / finer).log2() for coarse, finer in pairwise(distances)])
    assert (orders - 1).abs().max() < 0.3, orders
    assert (orders[-1] - 1).abs().max() < 0.15, orders


# Looking ahead --------------------------------------------------------------------------------------------------------


@SCHEMES
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_look_ahead_over_the_sample_is_the_whole_gradient(scheme: str, loss: str, name: str) -> None:
    network, parameters = of(name, "ce" if loss == "ce" else "mse")
    window = make_batch(network, STEPS, BATCH)
    whole = accumulated(adjoint(scheme=scheme), network, parameters, followed(network, window, 0))
    longer = followed(network, window, STEPS + len(network.layers))
    sliding = accumulated(adjoint(scheme=scheme, lookahead=STEPS), network, parameters, longer)
    assert worst(sliding, whole) < 1e-12
    if scheme == "discrete":
        exact = by_autograd(network, parameters, zero_state(network, parameters, BATCH), window)
        assert worst(sliding, times(exact, STEPS)) < 1e-12


def blame_the_last_step(state: State) -> State:
    """Without what the potentials remember, so that only the direct effect of each step is left."""
    return tuple(block._replace(u=block.u.detach()) for block in state)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_look_ahead_there_is_the_direct_effect_alone(name: str) -> None:
    network, parameters = of(name)
    window, state = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH)
    longer = followed(network, window, len(network.layers))
    sliding = accumulated(adjoint(lookahead=0), network, parameters, longer)
    direct = by_autograd(network, parameters, state, window, between=blame_the_last_step)
    assert worst(sliding, times(direct, STEPS)) < 1e-12


@SCHEMES
def test_the_further_it_looks_the_closer_it_comes(scheme: str) -> None:
    network, parameters = of("stacked")
    window = make_batch(network, STEPS, BATCH)
    whole = accumulated(adjoint(scheme=scheme), network, parameters, followed(network, window, 0))
    longer = followed(network, window, STEPS + len(network.layers))
    distances = [
        worst(accumulated(adjoint(scheme=scheme, lookahead=k), network, parameters, longer), whole) for k in (0, 4, 11)
    ]
    assert distances[0] > 2 * distances[1] > 4 * distances[2] > 1e-6, distances


def test_pooling_is_a_step_on_the_way_like_any_other() -> None:
    taus, pooling = ((0.5,), (0.2,)), MaxPool((1, 4, 4))
    layers = (Layer(2, 16, *taus), relay_layer(pooling), Layer(4, 3, *taus, phi="identity"))
    network = Network(layers, dt=0.1, loss="mse", learn_tau_m=True)
    plain = make_parameters(Network((layers[0], Layer(16, 3, *taus)), 0.1))
    weights: list[Tensor | None] = [plain[0].weight[0, 0], None, plain[1].weight[0, 0, :, :4]]  # type: ignore[index]
    parameters = initial_parameters(network, weights, [torch.ones(16).double() / 3, None, torch.ones(3).double()])
    window, state = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH)
    exact = times(by_autograd(network, parameters, state, window), STEPS)
    longer = followed(network, window, STEPS + 3)
    assert worst(accumulated(adjoint(lookahead=STEPS), network, parameters, longer), exact) < 1e-12
    paper = accumulated(adjoint(scheme="paper"), network, parameters, window)
    sliding = accumulated(adjoint(scheme="paper", lookahead=STEPS), network, parameters, longer)
    assert worst(sliding, paper) < 1e-12


def test_what_it_grants_itself_and_refuses_depends_on_the_look_ahead() -> None:
    assert not adjoint().granted.online
    assert adjoint(lookahead=3).granted.online
    assert not adjoint(lookahead=3).granted.whole_sequence
    network, _ = of("one layer")
    request = RuleRequest(network, STEPS, BATCH, 1, 8)
    assert adjoint(lookahead=STEPS).request_refusal(request) is None
    too_long = adjoint(lookahead=STEPS + 1).request_refusal(request)
    assert too_long == "lookahead = 16 is longer than a sample, which has 15 steps; lower it"


class Louder(Disturbance):
    """Doubles all errors."""

    signals = frozenset({"error"})

    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        return 2 * tensor


def test_errors_are_disturbed_over_a_sample_and_refused_where_a_step_has_none() -> None:
    network, parameters = of("one layer")
    window, state, seams = make_batch(network, STEPS, BATCH), zero_state(network, parameters, BATCH), None
    seams = Seams(disturbances=(Louder(),))
    rule = adjoint(scheme="paper")
    plain, loud = (
        TorchEngine().gradients(network, rule, parameters, state, window, seams=each).accumulated
        for each in (Seams(), seams)
    )
    assert plain[0].weight is not None
    assert torch.equal(loud[0].weight, 2 * plain[0].weight)
    for without in (adjoint(lookahead=2), RTRL()):
        with pytest.raises(
            UsageError, match=rf"^Rule '{without.name}' cannot learn so: Louder changes error, which its "
        ):
            TorchEngine().gradients(network, without, parameters, state, window, seams=seams)
