"""Tests of convolution and max pooling: their three operations against autograd, and networks made of them."""

from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import PHIS, descend, layerwise, make_network, make_parameters, member, normal
from torch import Tensor
from torch.nn import functional

from gle_bench.dynamics.connections import Dense, Relay
from gle_bench.dynamics.convolution import Convolution, MaxPool, _grouped, _ungrouped
from gle_bench.dynamics.engines.graph import GraphEngine
from gle_bench.dynamics.engines.interface import EngineRequest, start
from gle_bench.dynamics.engines.native.engine import NativeEngine
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, fit_batch, from_plain, join, learned, pack, select, to_plain, unpack
from gle_bench.dynamics.network import Layer, Network, relay_layer
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.state import BlockParameters, Parameters, initial_parameters, zero_state
from gle_bench.dynamics.step import Step, step
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.rules.gle import GLE

BATCH = 4
ENSEMBLES = pytest.mark.parametrize("members", [1, 3])
TORCH = TorchEngine()


def flat_images(images: Tensor) -> Tensor:
    """Images as the rates of a layer: (..., C, H, W) -> (..., H W C)."""
    return images.movedim(-3, -1).flatten(-3)


def images_of(flat: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Flat pixels (..., H W C) as images (..., C, H, W)."""
    channels, height, width = shape
    return flat.unflatten(-1, (height, width, channels)).movedim(-1, -3)


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a.flatten() @ b.flatten()) / (a.norm() * b.norm()))


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    padding, kernel = draw(st.integers(0, 2)), draw(st.integers(1, 4))
    side = st.integers(max(1, kernel - 2 * padding), 7)
    shape = (draw(st.integers(1, 3)), draw(side), draw(side))
    return Convolution(shape, draw(st.integers(1, 3)), kernel, draw(st.integers(1, 3)), padding)


@settings(max_examples=60)
@given(convolution=convolutions(), networks=st.sampled_from([1, 3]), batch=st.integers(1, 3))
def test_a_convolution_and_its_gradients_are_autograds(convolution: Convolution, networks: int, batch: int) -> None:
    inputs, neurons = convolution.sizes
    weight = normal(networks, *convolution.weight_shape(inputs, neurons), seed=1).requires_grad_()
    bias = normal(networks, 1, convolution.biases(neurons), seed=2).requires_grad_()
    rates, error = normal(networks, batch, inputs, seed=3).requires_grad_(), normal(networks, batch, neurons, seed=4)
    images = [
        functional.conv2d(images_of(r, convolution.in_shape), w, b[0], convolution.stride, convolution.padding)
        for r, w, b in zip(rates, weight, bias, strict=True)
    ]
    assert images[0].shape == (batch, *convolution.out_shape)
    expected = torch.stack([flat_images(image) for image in images])
    exact = torch.autograd.grad(expected, (rates, weight, bias), error)
    with torch.no_grad():
        close(convolution.current(weight, bias, rates), expected)
        close(convolution.current(weight, None, rates), convolution.current(weight, bias * 0, rates))
        close(convolution.feedback(weight, error), exact[0])
        close(convolution.gradient(error, rates), -exact[1] / batch)
        positions = prod(convolution.out_shape[1:])
        close(convolution.bias_gradient(error), -exact[2] / (batch * positions))
    assert convolution.macs(inputs, neurons) == prod(convolution.weight_shape(inputs, neurons)) * positions


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(2, 7)),
    size=st.integers(2, 3),
    networks=st.sampled_from([1, 3]),
    levels=st.integers(1, 6),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_pooling_and_the_way_back_are_autograds(
    shape: tuple[int, int, int], size: int, networks: int, levels: int, dtype: torch.dtype
) -> None:
    """Inputs of a few levels have many ties."""
    size = min(size, *shape[1:])
    pooling = MaxPool(shape, size)
    inputs, neurons = pooling.sizes
    rates = (normal(networks, 2, inputs, seed=levels) * levels / 3).round().to(dtype).requires_grad_()
    error = normal(networks, 2, neurons, seed=9).to(dtype)
    pooled = functional.max_pool2d(images_of(rates, shape).flatten(0, 1), size)
    assert pooled.shape[1:] == pooling.out_shape
    expected = flat_images(pooled).view(networks, 2, -1)
    (exact,) = torch.autograd.grad(expected, rates, error)
    found, route = pooling.forth(rates.detach())
    assert torch.equal(found, expected)
    assert torch.equal(pooling.back(error, route), exact)


def test_images_lie_flat_channels_last() -> None:
    images = normal(2, 3, 4, 5, seed=0)
    flat = flat_images(images)
    assert flat[1, (3 * 5 + 2) * 3 + 1] == images[1, 1, 3, 2]
    assert torch.equal(images_of(flat, (3, 4, 5)), images)


def test_images_of_a_lone_network_are_views_of_its_neurons() -> None:
    neurons = torch.rand(1, 2, 24)
    images = _grouped(neurons, (2, 3, 4))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, images_of(neurons[0], (2, 3, 4)))
    assert _ungrouped(images, 1).data_ptr() == images.data_ptr() == neurons.data_ptr()
    several = torch.rand(3, 2, 24)
    assert torch.equal(_ungrouped(_grouped(several, (2, 3, 4)), 3), several)


# Networks ------------------------------------------------------------------------------------------------------------


def stack(*parts: Any, phi: str = "tanh", layers: dict[str, Any] | None = None, **options: Any) -> Network:
    """A network of these convolutions, poolings and dense layers (given by their width); the last layer is linear."""
    built: list[Layer] = []
    for number, part in enumerate(parts):
        name = "identity" if number == len(parts) - 1 else phi
        if isinstance(part, MaxPool):
            built.append(relay_layer(part))
            continue
        sizes, connection = (
            (part.sizes, part) if isinstance(part, Convolution) else ((built[-1].neurons, part), Dense())
        )
        built.append(Layer(*sizes, (1.0,), (1.0,), name, connection, **(layers or {})))
    return Network(tuple(built), **{"dt": 0.1, "loss": "mse", **options})


def lenet(phi: str = "tanh", **options: Any) -> Network:
    """A small network: convolution, pooling, convolution, pooling, two dense layers."""
    first = Convolution((2, 10, 8), 3, 3)
    second = Convolution(MaxPool(first.out_shape).out_shape, 4, 2, padding=1)
    return stack(first, MaxPool(first.out_shape), second, MaxPool(second.out_shape), 6, 3, phi=phi, **options)


def ends_pooled(phi: str = "tanh", **options: Any) -> Network:
    """A network: pooling, two convolutions of the same shape (one block), pooling."""
    pooling = MaxPool((2, 7, 8))
    convolution = Convolution(pooling.out_shape, 2, 3, padding=1)
    return stack(pooling, convolution, convolution, convolution, MaxPool(convolution.out_shape), phi=phi, **options)


def parameters_of(network: Network, members: int = 1) -> Parameters:
    """Random parameters in float64, with biases for which hard sigmoids stay between their ends."""
    alone = []
    for number in range(members):
        weights: list[Tensor | None] = []
        biases: list[Tensor | None] = []
        for place, layer in enumerate(network.layers):
            connection, seed = layer.connection, 100 * number + place
            if isinstance(connection, Relay):
                weights.append(None)
                biases.append(None)
                continue
            shape = connection.weight_shape(layer.inputs, layer.neurons)
            weights.append(normal(*shape, seed=seed) / prod(shape[1:]) ** 0.5)
            biases.append(0.3 + normal(connection.biases(layer.neurons), seed=seed + 50) / 5)
        alone.append(initial_parameters(network, weights, biases))
    return tuple(
        BlockParameters(*(None if parts[0] is None else torch.cat(parts, 1) for parts in zip(*blocks, strict=True)))
        for blocks in zip(*alone, strict=True)
    )


class Exact(NamedTuple):
    """The exact values of each layer, from autograd through the feedforward network; None for relays."""

    rate: Tensor
    error: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def feedforward(network: Network, parameters: Parameters, inputs: Tensor, target: Tensor) -> list[Exact]:
    """A network by PyTorch's functions on images (B, C, H, W), with errors and gradients of beta times Eq. 51."""
    rates, found, wanted = inputs, [], []
    for layer, p in zip(network.layers, layerwise(network, parameters), strict=True):
        connection = layer.connection
        if isinstance(connection, MaxPool):
            rates = flat_images(functional.max_pool2d(images_of(rates, connection.in_shape), connection.size))
            found.append(rates)
            continue
        weight, bias = p["weight"][0].clone().requires_grad_(), p["bias"][0, 0].clone().requires_grad_()
        if isinstance(connection, Convolution):
            images = images_of(rates, connection.in_shape)
            potential = flat_images(functional.conv2d(images, weight, bias, padding=connection.padding))
        else:
            potential = rates @ weight.T + bias
        rates = PHIS[layer.phi](potential)
        found.append(rates)
        wanted += [potential, weight, bias]
    cost = network.beta * (target - rates).square().sum() / 2
    gradients = iter(torch.autograd.grad(cost, wanted))
    exact = []
    for layer, rate in zip(network.layers, found, strict=True):
        if isinstance(layer.connection, Relay):
            exact.append(Exact(rate.detach(), None, None, None))
            continue
        error, weight, bias = -next(gradients), next(gradients) / len(inputs), next(gradients) / len(inputs)
        if isinstance(layer.connection, Convolution):
            bias = bias / prod(layer.connection.out_shape[1:])
        exact.append(Exact(rate.detach(), error, weight, bias))
    return exact


def settle(network: Network, parameters: Parameters, inputs: Tensor, target: Tensor | None, steps: int) -> Step:
    state = zero_state(network, parameters, inputs.shape[1])
    for _ in range(steps):
        result = step(network, parameters, state, inputs, target)
        state = result.state
    return result


def example(network: Network, members: int) -> tuple[Parameters, Tensor, Tensor]:
    """Parameters, inputs in [0, 1] and targets."""
    inputs = torch.sigmoid(normal(members, BATCH, network.inputs, seed=7))
    return parameters_of(network, members), inputs, normal(members, BATCH, network.outputs, seed=8)


@ENSEMBLES
@pytest.mark.parametrize("phi", ["hard-sigmoid", "tanh"])
@pytest.mark.parametrize("build", [lenet, ends_pooled])
def test_settled_errors_are_backpropagations(build: Any, phi: str, members: int) -> None:
    """In the LE limit, layer by layer, with the kernels' and biases' gradients: with gamma = 0 to rounding."""
    network = build(phi, beta=0.7)
    parameters, inputs, target = example(network, members)
    result = settle(network, parameters, inputs, target, 3 * len(network.layers))
    states, gradients = layerwise(network, result.state), layerwise(network, result.gradients)
    for s in range(members):
        for exact, state, gradient in zip(
            feedforward(network, member(parameters, s), inputs[s], target[s]), states, gradients, strict=True
        ):
            close(state["r"][s], exact.rate)
            if exact.error is None:
                assert gradient == dict.fromkeys(gradient)
                continue
            assert exact.error.abs().max() > 1e-3
            close(state["e"][s], exact.error)
            close(gradient["weight"][s], exact.weight)
            close(gradient["bias"][s, 0], exact.bias)


@pytest.mark.parametrize("phi", ["hard-sigmoid", "tanh"])
def test_with_weak_nudging_errors_that_move_the_membranes_settle_there_too(phi: str) -> None:
    network = lenet(phi, beta=1e-4, layers={"gamma": 1.0})
    parameters, inputs, target = example(network, 1)
    result = settle(network, parameters, inputs, target, 60)
    exact = feedforward(network, parameters, inputs[0], target[0])
    rows = zip(exact, layerwise(network, result.state), layerwise(network, result.gradients), strict=True)
    for wanted, state, gradient in rows:
        if wanted.error is not None:
            assert cosine(state["e"], wanted.error) > 0.9999
            assert cosine(gradient["weight"], wanted.weight) > 0.9999
            assert cosine(gradient["bias"], wanted.bias) > 0.9999


def test_pooling_delays_rates_by_one_step_and_errors_by_none() -> None:
    network = lenet(beta=0.7)
    parameters, inputs, target = example(network, 1)
    rest = settle(network, parameters, inputs, None, 40).state
    rates, errors = [], []
    state = rest
    for _ in network.layers:
        state = step(network, parameters, state, inputs + 0.1, target).state
        now = layerwise(network, state)
        rates.append([not torch.equal(a["r"], b["r"]) for a, b in zip(now, layerwise(network, rest), strict=True)])
        errors.append([bool(neurons["e"].any()) for neurons in now])
    assert [[moved[layer] for moved in rates].index(True) for layer in range(6)] == [0, 1, 2, 3, 4, 5]
    assert [[heard[layer] for heard in errors].index(True) for layer in (5, 4, 2, 0)] == [0, 1, 2, 3]


def test_an_error_meets_the_slope_and_the_winner_of_its_own_step() -> None:
    """Even while the winners change, errors pass through the transpose of the pooling of the rates of the same step."""
    network = lenet("hard-sigmoid", beta=0.7)
    parameters, inputs, target = example(network, 1)
    pooling = network.layers[1].connection
    assert isinstance(pooling, MaxPool)
    state = settle(network, parameters, inputs, target, 10).state
    for flip in (inputs, 1 - inputs, inputs.flip(-1)):
        now, above = layerwise(network, state)[0], state[2].feedback[0, 0]
        rates = now["r"][0].clone().requires_grad_()
        pooled = functional.max_pool2d(images_of(rates, pooling.in_shape), pooling.size)
        (routed,) = torch.autograd.grad(flat_images(pooled), rates, above)
        state = step(network, parameters, state, flip, target).state
        close(layerwise(network, state)[0]["e"][0], now["slope"][0] * routed)


def test_a_step_is_differentiable_through_images() -> None:
    network = stack(Convolution((1, 4, 4), 2, 2), MaxPool((2, 3, 3)), 2, layers={"gamma": 0.3})
    parameters = parameters_of(network)
    inputs, target = normal(1, 2, 16, seed=7), normal(1, 2, 2, seed=8)

    def outcome(flat: Tensor) -> tuple[Tensor, Tensor]:
        result = settle(network, unpack(network, flat, parameters), inputs, target, 8)
        gradients = [x.flatten() for block in result.gradients for x in block if x is not None]
        return result.state[-1].r, torch.cat(gradients)

    assert torch.autograd.gradcheck(outcome, (pack(network, parameters).requires_grad_(),))


# Engines -------------------------------------------------------------------------------------------------------------


def batch_for(network: Network, members: int, steps: int = 12, size: int = BATCH, seed: int = 1) -> Window:
    """A batch of constant inputs and targets."""
    inputs = torch.sigmoid(normal(members, size, 1, network.inputs, seed=seed))
    return Window(steps, inputs, normal(members, size, 1, network.outputs, seed=seed + 1), None)


def learn(
    network: Network, carry: Carry, batch: Window, kind: str = "sgd", engine: Any = TORCH, rate: float = 0.05
) -> Any:
    rates = torch.full((len(batch.inputs),), rate, dtype=torch.float64)
    return engine.learn(network, GLE(), Optimizer(kind), carry, batch, rates)


def tensors_of(carry: Carry) -> list[Tensor]:
    blocks = [*carry.parameters, *carry.state]
    return [x for block in blocks for x in block if x is not None] + [carry.optimizer.mean, carry.optimizer.square]


def same(a: Carry, b: Carry, tolerance: float = 0.0) -> bool:
    pairs = zip(tensors_of(a), tensors_of(b), strict=True)
    return all(torch.allclose(x, y, rtol=0, atol=tolerance) for x, y in pairs)


LEARNING = pytest.mark.parametrize("build", [lenet, ends_pooled])


@LEARNING
@pytest.mark.parametrize("engine", [TORCH, GraphEngine()], ids=["torch", "graph"])
def test_a_members_result_does_not_depend_on_its_company(build: Any, engine: Any) -> None:
    """Not even on a member that diverges, whose NaN must not spread."""
    network = build(layers={"gamma": 0.5}, learn_tau_m=True, tau_range=(0.2, 5.0))
    carry, batch = start(network, parameters_of(network, 3), Optimizer(), BATCH), batch_for(network, 3)
    sick = unpack(network, pack(network, carry.parameters), carry.parameters)
    for block in sick:
        if block.weight is not None:
            block.weight[:, 1] = torch.nan
    together, outputs = learn(network, carry, batch, "adam", engine)
    beside, others = learn(network, carry._replace(parameters=sick), batch, "adam", engine)
    assert others[1].isnan().any()
    for number in (0, 2):
        lone = batch._replace(inputs=batch.inputs[number, None], target=batch.target[number, None])
        alone, output = learn(network, select(network, carry, [number]), lone, "adam", engine)
        for company, out in ((together, outputs), (beside, others)):
            close(out[number], output[0], 1e-10)
            assert same(alone, select(network, company, [number]), 1e-10)


def test_a_diverged_member_leaves_the_others_alone_in_single_precision_too() -> None:
    """In single precision, the library uses other kernels, which pad groups and might mix them."""
    network = lenet(layers={"gamma": 0.5})
    double = parameters_of(network, 3)
    single = tuple(BlockParameters(*(None if x is None else x.float() for x in block)) for block in double)
    healthy = start(network, single, Optimizer("sgd"), BATCH)
    batch = batch_for(network, 3)
    batch = batch._replace(inputs=batch.inputs.float(), target=batch.target.float())
    sick = batch._replace(inputs=batch.inputs.clone())
    sick.inputs[1] = torch.nan
    (good, x), (bad, y) = (learn(network, healthy, given) for given in (batch, sick))
    assert y[1].isnan().any()
    close(x[[0, 2]], y[[0, 2]], 1e-6)
    assert same(select(network, good, [0, 2]), select(network, bad, [0, 2]), 1e-6)


@LEARNING
@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_the_graph_engine_gives_the_same(build: Any, kind: str) -> None:
    """Without a GPU, and so without a recorded graph; with a factor on a layer's rates, and a smaller second batch."""
    network = build(layers={"gamma": 0.5, "rate_factor": 0.3})
    carries = [start(network, parameters_of(network, 2), Optimizer(kind), BATCH)] * 2
    for seed, size in enumerate((BATCH, 3, BATCH)):
        batch = batch_for(network, 2, 25, size, seed)
        found = [learn(network, c, batch, kind, e) for c, e in zip(carries, (TORCH, GraphEngine()), strict=True)]
        carries = [carry for carry, _ in found]
        close(found[0][1], found[1][1], 1e-10)
        assert same(*carries, 1e-10)
        ahead = [
            engine.infer(network, c.parameters, c.state, batch, errors=False)[1]
            for c, engine in zip(carries, (TORCH, GraphEngine()), strict=True)
        ]
        close(*ahead, 1e-10)


@LEARNING
def test_a_carry_survives_a_file_and_goes_on_bit_for_bit(build: Any, tmp_path: Path) -> None:
    network = build(layers={"gamma": 0.5})
    carry, _ = learn(
        network, start(network, parameters_of(network, 3), Optimizer(), BATCH), batch_for(network, 3), "adam"
    )
    torch.save(to_plain(carry), tmp_path / "carry.pt")
    back = from_plain(torch.load(tmp_path / "carry.pt", weights_only=True))
    relays = [index for index, block in enumerate(network.blocks) if block.relay]
    assert [back.parameters[index] for index in relays] == [BlockParameters(None, None, None, None)] * 2
    whole = join(network, [select(network, back, [number]) for number in range(3)])
    (a, x), (b, y) = (learn(network, c, batch_for(network, 3, seed=4), "adam") for c in (whole, carry))
    assert torch.equal(x, y)
    assert same(a, b)


def test_the_state_fits_other_batches_and_relays_keep_nothing_but_rates() -> None:
    network = lenet()
    carry = start(network, parameters_of(network, 2), Optimizer(), BATCH)
    state = fit_batch(learn(network, carry, batch_for(network, 2))[0].state, 6)
    for layer, neurons in zip(network.layers, layerwise(network, state), strict=True):
        width = 0 if isinstance(layer.connection, Relay) else layer.neurons
        assert neurons["r"].shape == (2, 6, layer.neurons)
        assert neurons["u"].shape == neurons["e"].shape == (2, 6, width)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_a_rate_factor_scales_what_a_layer_learns(kind: str) -> None:
    """It scales the updates of a layer's weight, bias and time constants; 0 keeps them as they are."""
    factors = (1.0, 0.5, 0.0)
    layers: list[dict[str, Any]] = [{"rate_factor": factor} for factor in factors]
    options = {"learn_tau_m": True, "tau_range": (0.15, 9.0)}
    plain, scaled = (make_network((3, 4, 5, 2), layers=given, **options) for given in (None, layers))
    parameters, changes = make_parameters(plain, members=2), []
    for network in (plain, scaled):
        carry = start(network, parameters, Optimizer(kind), BATCH)
        warm, _ = learn(network, carry, batch_for(plain, 2, 8), kind, rate=0.0)
        learnt, _ = learn(network, carry._replace(state=warm.state), batch_for(plain, 2, steps=1), kind)
        both = zip(layerwise(network, learnt.parameters), layerwise(network, parameters), strict=True)
        changes.append([{name: new[name] - old[name] for name in old if name != "tau_r"} for new, old in both])
    for factor, full, part in zip(factors, *changes, strict=True):
        for name, change in full.items():
            assert change.abs().max() > 1e-6
            close(part[name], factor * change)


def test_parameters_and_products_are_counted() -> None:
    """The numbers of LeNet-5 in Fig. 8g, calculated by hand."""
    first, second = Convolution((3, 32, 32), 20, 5), Convolution((20, 14, 14), 50, 5)
    network = stack(first, MaxPool(first.out_shape), second, MaxPool(second.out_shape), 500, 10)
    assert network.layers[4].inputs == 1250
    parameters = parameters_of(network)
    assert pack(network, parameters).numel() == 20 * 76 + 50 * 501 + 500 * 1251 + 10 * 501
    assert network.macs == 28 * 28 * 20 * 75 + 10 * 10 * 50 * 500 + 1250 * 500 + 500 * 10
    assert [index for index, name in learned(network, parameters) if name == "weight"] == [0, 2, 4, 5]


def test_fixed_convolutions_teach_nothing_and_hear_nothing() -> None:
    """Below the first layer that learns, pooling passes no errors; above it, errors pass through fixed kernels."""
    first = Convolution((2, 6, 6), 2, 3, plastic=False)
    network = stack(first, MaxPool(first.out_shape), 5, 3)
    parameters, inputs, target = example(network, 1)
    result = settle(network, parameters, inputs, target, 20)
    assert not network.blocks[1].has_errors
    assert not layerwise(network, result.state)[0]["e"].any()
    assert result.gradients[0] == BlockParameters(None, None, None, None)
    close(layerwise(network, result.state)[2]["e"][0], feedforward(network, parameters, inputs[0], target[0])[2].error)


def test_plain_descent_on_settled_gradients_lowers_the_cost() -> None:
    network = lenet(beta=1.0)
    parameters, inputs, target = example(network, 1)
    costs = []
    for _ in range(20):
        result = settle(network, parameters, inputs, target, 18)
        costs.append(float((target - result.signals.output).square().sum()))
        parameters = descend(parameters, result.gradients, 0.1)
    assert costs[-1] < 0.7 * costs[0]
    assert all(after < before for before, after in pairwise(costs))


@ENSEMBLES
def test_evaluation_stops_computing_errors_once_there_are_none(monkeypatch: pytest.MonkeyPatch, members: int) -> None:
    """In the LE limit they vanish after one step a layer; outputs and states equal those with all errors computed."""
    network = lenet(layers={"gamma": 0.5, "prospective_errors": False})
    fresh = start(network, parameters_of(network, members), Optimizer("sgd"), BATCH)
    carry, _ = learn(network, fresh, batch_for(network, members))
    batch, asked, states, outputs = batch_for(network, members, 20), [], [carry.state], []
    for t in range(20):
        inputs, _, _ = batch.at(t, members)
        result = step(network, carry.parameters, states[-1], inputs, plastic=False)
        states.append(result.state)
        outputs.append(result.signals.output)

    feedback = Convolution.feedback

    def watched(*given: Tensor) -> Tensor:
        asked.append(given)
        return feedback(*given)

    monkeypatch.setattr(Convolution, "feedback", watched)
    state, found = TORCH.infer(network, carry.parameters, carry.state, batch, errors=False)
    assert len(asked) == 7
    assert torch.equal(found, torch.stack(outputs, 2))
    for ours, theirs in zip(state, states[-1], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    TORCH.infer(network, carry.parameters, zero_state(network, carry.parameters, BATCH), batch)
    assert len(asked) == 7


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Convolution((3, 4, 9), 2, 5), r"kernel = 5 is larger than the image of 4 x 9 .* give at most 4"),
        (lambda: Convolution((3, 4, 4), 2, 9, padding=2), r"padding = 2; give at most 8, or pad more"),
        (lambda: Convolution((3, 4), 2, 3), r"in_shape = \(3, 4\) must be \(channels, height, width\)"),
        (lambda: Convolution((0, 4, 4), 2, 3), r"in_shape = \(0, 4, 4\) must be .* at least 1"),
        (lambda: Convolution((1, 4, 4), 0, 3), "channels = 0 of a convolution must be at least 1"),
        (lambda: Convolution((1, 4, 4), 1, 3, stride=0), "stride = 0 of a convolution must be at least 1"),
        (lambda: Convolution((1, 4, 4), 1, 3, padding=-1), "padding = -1 of a convolution must be at least 0"),
        (lambda: MaxPool((3, 1, 4)), r"size = 2 of pooling does not fit an image of 1 x 4"),
        (lambda: MaxPool((3, 4, 4), 1), r"size = 1 of pooling .* give one from 2 to 4"),
        (lambda: MaxPool((4, 4), 2), r"in_shape = \(4, 4\) must be"),
        (lambda: Layer(48, 9, (1.0,), (1.0,), connection=Convolution((3, 4, 4), 1, 3)), "joins 48 to 4; give these"),
        (
            lambda: Layer(4, 4, (1.0,), (1.0,), rate_factor=-0.5),
            "rate_factor = -0.5 of a layer must be a number",
        ),
        (lambda: Layer(4, 4, (1.0,), (1.0,), rate_factor=float("nan")), "rate_factor = nan"),
        (
            lambda: Layer(16, 4, (1.0,), (1.0,), "identity", MaxPool((1, 4, 4)), bias=False),
            r"tau_m = \(1",
        ),
        (lambda: Layer(16, 4, (), (), "tanh", MaxPool((1, 4, 4)), bias=False), "phi = tanh .* must be identity"),
        (lambda: Layer(16, 4, (), (), "identity", MaxPool((1, 4, 4))), "bias = True .* must be False"),
        (lambda: Layer(16, 4, (), ()), "tau_m has 0 values for 4 neurons"),
        (lambda: Network((relay_layer(MaxPool((1, 4, 4))),), 0.1), "every layer is a relay"),
        (
            lambda: stack(Convolution((1, 4, 4), 2, 2), MaxPool((2, 4, 4)), 2),
            "inputs = 32 .* the 18 neurons",
        ),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wrong()


def test_parameters_of_another_shape_are_refused() -> None:
    network = stack(Convolution((1, 4, 4), 2, 3), 2)
    weights, biases = [torch.zeros(2, 1, 3, 3), torch.zeros(2, 8)], [torch.zeros(2), torch.zeros(2)]
    initial_parameters(network, weights, biases)
    with pytest.raises(
        UsageError, match=r"weight of layer 1 has shape \(2, 9\); Convolution\(.*\) needs \(2, 1, 3, 3\)"
    ):
        initial_parameters(network, [torch.zeros(2, 9), weights[1]], biases)
    with pytest.raises(UsageError, match=r"bias of layer 1 has shape \(8,\); .* needs \(2,\)"):
        initial_parameters(network, weights, [torch.zeros(8), biases[1]])
    with pytest.raises(UsageError, match=r"bias of layer 2 has shape None; .* needs \(2,\)"):
        initial_parameters(network, weights, [biases[0], None])


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lenet(), "layer 1 is connected by Convolution, and it has Dense only"),
        (stack(MaxPool((1, 4, 4)), 2), "layer 1 is connected by MaxPool, and it has Dense only"),
        (make_network((2, 3, 2), layers=[{}, {"rate_factor": 0.2}]), "rate_factor = 0.2 of layer 2"),
    ],
)
def test_the_native_engine_refuses_by_a_sentence(engine_present: None, network: Network, reason: str) -> None:
    request = EngineRequest(network, GLE(), "cpu", torch.float32, False)
    assert reason in (NativeEngine().refusal(request) or "")
    carry = start(network, parameters_of(network), Optimizer("sgd"), BATCH)
    with pytest.raises(NotImplementedError, match=reason):
        learn(network, carry, batch_for(network, 1), engine=NativeEngine())


@pytest.fixture
def engine_present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the choice of engines as if the native engine had been built."""
    monkeypatch.setattr("gle_bench.dynamics.engines.native.library.load", lambda: None)
