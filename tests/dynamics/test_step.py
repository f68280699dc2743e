"""Tests of one step of a network: against a reference layer by layer, pure, differentiable, and with all options."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    DT,
    FIXED,
    PHIS,
    descend,
    layerwise,
    make_batch,
    make_network,
    make_parameters,
    member,
    normal,
    reference_start,
    reference_step,
)
from torch import Tensor

from gle_bench.dynamics.engines.interface import prepare_state
from gle_bench.dynamics.ensemble import fit_batch
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import BlockParameters, Parameters, State, zero_state
from gle_bench.dynamics.step import Step, step
from gle_bench.errors import UsageError

LEARNED = ("weight", "bias", "tau_m", "tau_r")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Random networks of one to five layers, often of equal width, each with its own options."""
    hidden = draw(st.lists(st.sampled_from([1, 3, 3, 3]), max_size=4))
    sizes = [draw(st.integers(1, 3)), *hidden, draw(st.integers(1, 3))]
    options = st.fixed_dictionaries(
        {
            "gamma": st.sampled_from([0.0, 0.0, 0.3]),
            "prospective_errors": st.sampled_from([True, True, True, False]),
            "bias": st.sampled_from([True, True, True, False]),
        },
        optional={"connection": st.just(FIXED)},
    )
    count = len(sizes) - 1
    alike = draw(st.booleans())
    layers = [draw(options)] * count if alike else [draw(options) for _ in range(count)]
    phis = [draw(st.sampled_from(list(PHIS)))] * count if alike else [draw(st.sampled_from(list(PHIS))) for _ in layers]
    return make_network(
        sizes,
        phis,
        seed=draw(st.integers(0, 99)),
        layers=layers,
        loss=draw(st.sampled_from(["ce", "mse"])),
        beta=0.7,
        learn_tau_m=draw(st.booleans()),
        learn_tau_r=draw(st.booleans()),
    )


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(network=networks(), targets=st.booleans(), masked=st.booleans())
def test_blocks_equal_the_layers_one_by_one(network: Network, targets: bool, masked: bool) -> None:
    """Two members in twelve steps in which weights change, so that the lag of the back-weights is tested."""
    parameters = make_parameters(network, members=2)
    batch = make_batch(network, 12, 4, members=2)
    mask = (normal(2, 4, 12, seed=5) > 0).double() if masked else None
    state = zero_state(network, parameters, 4)
    alone = [reference_start(network, member(parameters, s), 4) for s in range(2)]
    for t in range(12):
        inputs, target, now = batch._replace(mask=mask).at(t, 2)
        result = step(network, parameters, state, inputs, target if targets else None, now)
        torch.testing.assert_close(result.signals.output, torch.stack([neurons[-1].r for neurons in alone]))
        for s in range(2):
            goal = target[s] if targets else None
            alone[s], gradients = reference_step(
                network, member(parameters, s), alone[s], inputs[s], goal, None if now is None else now[s]
            )
            compare(network, result, s, alone[s], gradients)
        state, parameters = result.state, descend(parameters, result.gradients, 0.05)


def compare(network: Network, result: Step, s: int, neurons: list[Any], gradients: list[dict[str, Tensor]]) -> None:
    """Compares member s with the reference; errors only if something depends on them."""
    learns = {"weight": True, "bias": True, "tau_m": network.learn_tau_m, "tau_r": network.learn_tau_r}
    errors_below = False
    ours = zip(layerwise(network, result.state), layerwise(network, result.gradients), strict=True)
    for layer, (state, gradient), expected, exact in zip(network.layers, ours, neurons, gradients, strict=True):
        errors_below = errors_below or layer.connection.plastic or layer.gamma != 0
        for name in ("u", "r", "slope", *(("v", "e") if errors_below else ())):
            close(state[name][s], getattr(expected, name))
        for name in LEARNED:
            if layer.connection.plastic and learns[name] and (name != "bias" or layer.bias):
                close(gradient[name][s], exact[name])
            else:
                assert gradient[name] is None


def warm(network: Network, members: int = 1, steps: int = 6) -> tuple[Parameters, State, Tensor, Tensor]:
    """Parameters, a state that has seen some steps, an input and a target."""
    parameters = make_parameters(network, members=members)
    batch = make_batch(network, steps, 4, members=members)
    state = zero_state(network, parameters, 4)
    for t in range(steps):
        inputs, target, _ = batch.at(t, members)
        state = step(network, parameters, state, inputs, target).state
    assert target is not None
    return parameters, state, inputs, target


def tensors_of(*values: Any) -> list[Tensor]:
    """All tensors in nested tuples."""
    found = []
    for value in values:
        found += [value] if isinstance(value, Tensor) else tensors_of(*value) if isinstance(value, tuple) else []
    return found


SIZES = (2, 3, 3, 3, 2)


def learning_all(**options: Any) -> Network:
    return make_network(SIZES, layers=[{"gamma": 0.2}] * 4, learn_tau_m=True, learn_tau_r=True, **options)


def test_a_step_changes_nothing_that_it_is_given() -> None:
    network = learning_all()
    given = warm(network, members=2)
    before = [tensor.clone() for tensor in tensors_of(given)]
    step(network, *given)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(given), strict=True))


@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_five_steps_are_differentiable(loss: str) -> None:
    """Signals, states and local gradients are differentiable by all parameters and the initial state."""
    network = learning_all(loss=loss)
    parameters, state, inputs, target = warm(network)
    flat = tensors_of(parameters, state)

    def outcome(*leaves: Tensor) -> Tensor:
        new = iter(leaves)
        p: Any = tuple(BlockParameters(*(next(new) for _ in block)) for block in parameters)
        s: Any = tuple(type(block)(*(next(new) for _ in block)) for block in state)
        for _ in range(5):
            result = step(network, p, s, inputs, target)
            s = result.state
        everything = tensors_of(result.state, result.gradients, result.signals)
        weights = normal(sum(x.numel() for x in everything), seed=3)
        return (torch.cat([x.reshape(-1) for x in everything]) * weights).sum()

    leaves = [tensor.clone().requires_grad_() for tensor in flat]
    assert torch.autograd.gradcheck(outcome, leaves, fast_mode=True)
    grads = torch.autograd.grad(outcome(*leaves), leaves[: len(tensors_of(parameters))])
    assert all(grad.abs().sum() > 0 for grad in grads)


def test_without_prospective_errors_they_are_the_instantaneous_ones() -> None:
    network = make_network(SIZES, layers=[{"prospective_errors": False}] * 4)
    given = warm(network)
    result = step(network, *given)
    for block, instant in zip(result.state, result.signals.instantaneous, strict=True):
        assert torch.equal(block.e, instant)
        assert torch.equal(block.v, instant)
    prospective = replace(network, layers=tuple(replace(layer, prospective_errors=True) for layer in network.layers))
    assert not torch.allclose(step(prospective, *given).state[0].e, result.state[0].e)


def test_the_first_errors_vanish() -> None:
    network = make_network(SIZES)
    parameters = make_parameters(network)
    inputs, target, _ = make_batch(network, 1, 4).at(0, 1)
    result = step(network, parameters, zero_state(network, parameters, 4), inputs, target)
    assert not any(block.e.any() for block in result.state)


def test_gamma_couples_the_error_into_the_membrane() -> None:
    plain = make_network(SIZES)
    coupled = replace(plain, layers=tuple(replace(layer, gamma=0.2) for layer in plain.layers))
    parameters, state, inputs, target = warm(plain)
    without, having = (step(network, parameters, state, inputs, target) for network in (plain, coupled))
    for a, b, p in zip(without.state, having.state, parameters, strict=True):
        close(b.u - a.u, DT * 0.2 * a.e / p.tau_m)
        assert torch.equal(a.e, b.e)


def test_masked_steps_have_no_target_error() -> None:
    network = make_network(SIZES)
    parameters, state, inputs, target = warm(network)
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)[None, :, None]
    full, half, none = (step(network, parameters, state, inputs, *rest) for rest in ((target,), (target, mask), ()))
    instants = [result.signals.instantaneous[-1] for result in (full, half, none)]
    close(instants[1], instants[0] * mask)
    assert not instants[2].any()
    ignored = step(network, parameters, state, inputs, target + 9 * (1 - mask), mask)
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(ignored), tensors_of(half), strict=True))


def test_fixed_layers_and_what_lies_below_them() -> None:
    """The first two layers are fixed and get no errors; the fourth is fixed too, but passes errors on."""
    layers: list[dict[str, Any]] = [{"connection": FIXED}, {"connection": FIXED}, {}, {"connection": FIXED}, {}]
    network = make_network((2, 3, 3, 3, 3, 2), layers=layers, learn_tau_m=True)
    given = warm(network)
    result = step(network, *given)
    gradients, states = layerwise(network, result.gradients), layerwise(network, result.state)
    assert [g["weight"] is not None for g in gradients] == [False, False, True, False, True]
    assert [g["tau_m"] is not None for g in gradients] == [False, False, True, False, True]
    assert [bool(s["e"].any()) for s in states] == [False, False, True, True, True]


def test_errors_reach_a_fixed_layer_whose_membrane_they_move() -> None:
    """Even if nothing below learns, and the layers above have gamma = 0."""
    network = make_network((2, 3, 3, 2), layers=[{"connection": FIXED, "gamma": g} for g in (0.0, 0.5, 0.0)])
    state = warm(network)[1]
    assert [bool(s["e"].any()) for s in layerwise(network, state)] == [False, True, True]


def test_plastic_and_errors_can_be_switched_off() -> None:
    network = learning_all()
    parameters, state, inputs, target = warm(network)
    full = step(network, parameters, state, inputs, target)
    still = step(network, parameters, state, inputs, target, plastic=False)
    assert not tensors_of(still.gradients)
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(full.state), tensors_of(still.state), strict=True))
    blind = step(network, parameters, state, inputs, target, errors=False)
    for old, new in zip(state, blind.state, strict=True):
        assert torch.equal(old.e, new.e)
        assert torch.equal(old.v, new.v)


def test_states_are_tiled_and_truncated() -> None:
    network = make_network(SIZES)
    state = warm(network)[1]
    assert fit_batch(state, 4) is state
    for size in (1, 3, 10):
        for old, new in zip(tensors_of(state), tensors_of(fit_batch(state, size)), strict=True):
            assert torch.equal(new, torch.cat([old] * 3, 2)[:, :, :size])


def test_layers_that_forget_start_each_batch_at_zero() -> None:
    network = make_network(SIZES, layers=[{}, {"forgets": True}, {"forgets": True}, {}])
    state = warm(network)[1]
    prepared = layerwise(network, prepare_state(network, state, 4))
    for number, (old, new) in enumerate(zip(layerwise(network, state), prepared, strict=True)):
        for name in old:
            assert torch.equal(new[name], torch.zeros_like(old[name]) if number in (1, 2) else old[name])


def test_float32_runs_in_float32_and_close_to_float64() -> None:
    network = learning_all()
    parameters = make_parameters(network)
    batch = make_batch(network, 60, 4)
    runs = []
    for dtype in (torch.float64, torch.float32):
        p: Any = tuple(BlockParameters(*(x.to(dtype) for x in block)) for block in parameters)
        state = zero_state(network, p, 4)
        for t in range(60):
            inputs, target, _ = batch.at(t, 1)
            result = step(network, p, state, inputs.to(dtype), target.to(dtype))
            state = result.state
        assert all(tensor.dtype == dtype for tensor in tensors_of(result))
        runs.append(tensors_of(result))
    for exact, rounded in zip(*runs, strict=True):
        torch.testing.assert_close(rounded.double(), exact, rtol=1e-4, atol=1e-5)


GOOD = Layer(2, 3, (1.0,), (0.5,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network((GOOD,), dt=2.0), "dt = 2.0 must not exceed tau_m = 1.0 of layer 1; lower dt or raise tau_m."),
        (lambda: Network((GOOD,), dt=0.6), "dt = 0.6 must not exceed tau_r = 0.5 of layer 1; lower dt or raise tau_r."),
        (lambda: Network((replace(GOOD, tau_r=(0.0,)),), dt=0.1), "tau_r = 0.0"),
        (lambda: Network((replace(GOOD, tau_r=(float("nan"),)),), dt=0.1), "tau_r = nan"),
        (lambda: Network((GOOD, GOOD), dt=0.1), "inputs = 2 of a layer must equal the 3 neurons below it."),
        (lambda: Network((), dt=0.1), "needs at least one"),
        (lambda: Network((GOOD,), dt=0.1, tau_range=(2.0, 1.0)), "tau_range = (2.0, 1.0) is empty"),
        (lambda: replace(GOOD, phi="tnah"), "Unknown activation 'tnah'. Did you mean 'tanh'?"),
        (lambda: replace(GOOD, neurons=0), "neurons = 0 of a layer must be at least 1."),
        (lambda: replace(GOOD, tau_m=(1.0, 2.0)), "tau_m has 2 values for 3 neurons; give 1 or 3."),
    ],
)
def test_impossible_networks_are_refused_in_words(make: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        make()
    assert message in str(refused.value)
