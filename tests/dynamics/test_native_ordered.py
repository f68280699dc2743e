"""Tests of every build of the native engine on ordered networks and in closed loops, where it must equal `torch`."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import native_work
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from native_work import (
    DTYPES,
    LAYOUTS,
    MANY,
    TAUS,
    TORCH,
    Result,
    Work,
    midway,
    odd_work,
    tensors_of,
    torch_rounds_at_a_kink,
)
from networks import FIXED, PHIS, make_batch, make_network, normal
from torch import Tensor

from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.engines.interface import EngineRequest
from gle_bench.dynamics.engines.native.engine import NativeEngine
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.step import Instant
from gle_bench.dynamics.window import Window
from gle_bench.rules.gle import GLE

ORDERED = pytest.mark.parametrize("integrator", ["exponential", "rk4"])
VARIED: list[dict[str, Any]] = [{"bias": False}, {"prospective_errors": False, "forgets": True}, {"bias": False}, {}]
INTEGRATORS = pytest.mark.parametrize("integrator", ["euler", "exponential", "rk4"])


# Equal to `torch` in float64 ----------------------------------------------------------------------------------------


@st.composite
def some_networks(draw: st.DrawFn) -> Network:
    """Random ordered networks of one to four layers."""
    depth, widths = draw(st.integers(1, 4)), st.integers(1, 40)
    options = {
        "connection": st.sampled_from([Dense(), FIXED]),
        **{name: st.booleans() for name in ("bias", "prospective_errors", "forgets")},
    }
    layers = [draw(st.fixed_dictionaries(options)) for _ in range(depth)]
    assume(any(layer["connection"].plastic for layer in layers))
    return make_network(
        [draw(widths) for _ in range(depth + 1)],
        [draw(st.sampled_from(list(PHIS))) for _ in range(depth)],
        layers=layers,
        integrator=draw(st.sampled_from(["exponential", "rk4"])),
        loss=draw(st.sampled_from(["ce", "mse"])),
        beta=draw(st.sampled_from([1.0, 0.3])),
        tau_range=(0.3, 1.5),
        **{name: draw(st.booleans()) for name in ("learn_tau_m", "learn_tau_r")},
    )


@st.composite
def some_work(draw: st.DrawFn) -> Work:
    """Random batches of any memory layout, with or without the input that follows them."""
    network, kind = draw(some_networks()), draw(st.sampled_from(["adam", "sgd"]))
    members, size, steps, seed = (draw(st.integers(1, most)) for most in (3, 9, 6, 1000))

    def signal(*channels: int) -> Tensor:
        shape = (draw(st.sampled_from([1, members])), size, draw(st.sampled_from([1, steps])), *channels)
        return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](normal(*shape, seed=draw(st.integers(0, 1000))))

    target = draw(st.none() | st.builds(signal, st.just(network.outputs)))
    mask = draw(st.none() | st.builds(lambda: (signal() > 0).double()))
    following = None
    if draw(st.booleans()):
        after = None if target is None else normal(draw(st.sampled_from([1, members])), size, network.outputs, seed=1)
        following = Instant(normal(members, size, network.inputs, seed=2), after, None)
    return Work(
        network,
        midway(network, draw(st.sampled_from([size, 5])), members, kind, seed),
        Window(steps, signal(network.inputs), target, mask, following),
        0.003 * torch.arange(1, members + 1, dtype=torch.float64),
        kind,
        draw(st.sampled_from([1.0, 0.9])),
        draw(st.booleans()),
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=some_work())
@example(work=odd_work(5, 3, integrator="exponential", layers=VARIED, **TAUS))
@example(work=odd_work(5, 3, integrator="rk4", layers=VARIED, **TAUS))
def test_it_equals_torch_whatever_the_network_and_the_batch(native: NativeEngine, work: Work) -> None:
    """And leaves alone what it is given."""
    assume(not torch_rounds_at_a_kink(work))
    before = [tensor.clone() for tensor in tensors_of(work)]
    native_work.assert_close(native_work.do(native, work), native_work.do(TORCH, work))
    assert native_work.same(tensors_of(work), before)


@cache
def by_torch(size: int, members: int, steps: int, integrator: str) -> tuple[Work, Result]:
    work = odd_work(size, steps, members, integrator=integrator, loss="mse", **TAUS)
    return work, native_work.do(TORCH, work)


@ORDERED
@pytest.mark.parametrize(("size", "members", "steps"), [(1, 1, 1), (1, 3, 50), (3, 3, 7), (8, 1, 50), (17, 1, 2)])
def test_it_equals_torch_for_any_size_and_length(
    each_build: NativeEngine, size: int, members: int, steps: int, integrator: str
) -> None:
    work, expected = by_torch(size, members, steps, integrator)
    native_work.assert_close(native_work.do(each_build, work), expected)


@ORDERED
def test_the_instant_after_the_last_step_matters_to_rk4_alone(native: NativeEngine, integrator: str) -> None:
    work = odd_work(2, 3, integrator=integrator, loss="mse")
    after = Instant(normal(1, 2, work.network.inputs, seed=5), normal(1, 2, work.network.outputs, seed=6), None)
    known = work._replace(batch=work.batch._replace(following=after))
    same = native_work.same(tensors_of(native_work.do(native, work)), tensors_of(native_work.do(native, known)))
    assert same == (integrator == "exponential")


# Networks such as Mackey-Glass has, in single precision ---------------------------------------------------------------


@cache
def predictors(integrator: str) -> Work:
    """The work of three networks of 4-93-93-1, which learn to predict a sine, one sample each, at a falling rate."""
    network = make_network((4, 93, 93, 1), integrator=integrator, loss="mse")
    steps = torch.arange(60, dtype=torch.float64)
    inputs = torch.stack([torch.sin(0.1 * (steps - delay)) for delay in (0, 10, 20, 30)], -1)[None, None]
    target = torch.sin(0.1 * (steps + 5))[None, None, :, None]
    rates = torch.full((3,), 1e-3, dtype=torch.float64)
    return Work(network, midway(network, 1, 3), Window(len(steps), inputs, target, None), rates, decay=0.99)


@cache
def predicted_by_torch(integrator: str, dtype: torch.dtype) -> Result:
    return native_work.do(TORCH, native_work.cast(predictors(integrator), dtype))


@ORDERED
def test_predictors_equal_torch(native: NativeEngine, integrator: str) -> None:
    expected = predicted_by_torch(integrator, torch.float64)
    native_work.assert_close(native_work.do(native, predictors(integrator)), expected)


@ORDERED
def test_single_precision_costs_no_more_than_it_costs_torch(native: NativeEngine, integrator: str) -> None:
    exact, single = predicted_by_torch(integrator, torch.float64), predicted_by_torch(integrator, torch.float32)
    theirs = native_work.deviation(single, exact)
    assert (theirs < 1e-3).all()
    ours = native_work.do(native, native_work.cast(predictors(integrator), torch.float32))
    assert (native_work.deviation(ours, exact) <= 3 * theirs).all()


# Closed loops ---------------------------------------------------------------------------------------------------------

HORIZON, DELAYS, FORCED, STEPS = 3, (0, 2, 7), 9, 40
FEEDBACK = DelayedFeedback(HORIZON, DELAYS, FORCED)


@cache
def loop(integrator: str, size: int = 2, members: int = 1) -> Work:
    """Inputs (S, B, T, 3) of a random signal."""
    network = make_network((3, 9, 6, 1), integrator=integrator, loss="mse")
    signal, past = normal(members, size, max(DELAYS) + STEPS, seed=3), max(DELAYS)
    inputs = torch.stack([signal[..., past - delay : past - delay + STEPS] for delay in DELAYS], -1)
    rates = torch.full((members,), 0.01, dtype=torch.float64)
    return Work(network, midway(network, size, members), Window(STEPS, inputs, None, None), rates)


def poisoned(work: Work) -> Work:
    """The inputs with NaN wherever they show the signal after step FORCED."""
    inputs = work.batch.inputs.clone()
    for channel, delay in enumerate(DELAYS):
        inputs[:, :, FORCED + delay :, channel] = torch.nan
    return work._replace(batch=work.batch._replace(inputs=inputs))


def close(engine: Any, work: Work, errors: bool = False, feedback: Any = FEEDBACK) -> list[Tensor]:
    network, carry, batch = work[:3]
    return tensors_of(engine.infer(network, carry.parameters, carry.state, batch, errors=errors, feedback=feedback))


@INTEGRATORS
@pytest.mark.parametrize(("size", "members", "errors"), [(1, 3, False), (3, 1, True), (8, 3, True)])
def test_a_closed_loop_equals_torch(
    native: NativeEngine, integrator: str, size: int, members: int, errors: bool
) -> None:
    work = loop(integrator, size, members)
    ours, theirs = (close(engine, work, errors) for engine in (native, TORCH))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    open_loop = close(native, work, errors, None)[-1]
    assert torch.equal(ours[-1][:, :, :FORCED], open_loop[:, :, :FORCED])
    assert not torch.equal(ours[-1][:, :, FORCED:], open_loop[:, :, FORCED:])


@DTYPES
@INTEGRATORS
def test_no_true_value_past_the_switch_is_read(native: NativeEngine, integrator: str, dtype: torch.dtype) -> None:
    work = native_work.cast(loop(integrator), dtype)
    clean = close(native, work)
    assert all(x.isfinite().all() for x in clean)
    assert native_work.same(close(native, poisoned(work)), clean)


@pytest.mark.parametrize("given", [(1, (0, 0, 0), 1), (4, (1, 0, 5), 4), (2, (50, 60, 70), 2)])
@INTEGRATORS
def test_any_horizon_and_any_delays(native: NativeEngine, integrator: str, given: Any) -> None:
    """The shortest horizon, a signal that is predicted as early as possible, and one that is never reached."""
    ours, theirs = (close(engine, loop(integrator), feedback=DelayedFeedback(*given)) for engine in (native, TORCH))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


class Last(DelayedFeedback):
    """A feedback of another class, which the native engine does not know."""


def test_other_feedback_is_refused(native: NativeEngine) -> None:
    """The choice of an engine gives the reason before a run, and the engine the same reason in it."""
    short = DelayedFeedback(1, (0, 1), 1)
    for feedback, clause in (
        (lambda t, inputs, outputs: inputs[:, :, t], "closes a loop by DelayedFeedback only, not by function"),
        (Last(HORIZON, DELAYS, FORCED), "by DelayedFeedback only, not by Last"),
        (short, "feedback with 2 delays is not for a network of 3 inputs"),
        (FEEDBACK, None),
    ):
        work = loop("rk4")
        reason = native.refusal(EngineRequest(work.network, GLE(), "cpu", torch.float32, feedback))
        if clause is None:
            assert reason is None
            continue
        assert reason is not None
        assert clause in reason
        with pytest.raises(NotImplementedError, match=clause):
            close(native, work, feedback=feedback)


def test_a_signal_shorter_than_its_window_is_not_read_beyond_its_end(native: NativeEngine) -> None:
    work = odd_work(2, 3, integrator="rk4")
    with pytest.raises(ValueError, match="inputs of 3 steps do not make a window of 4"):
        native_work.do(native, work._replace(batch=work.batch._replace(steps=4)))


def test_a_target_that_begins_or_ends_with_the_window_is_refused(native: NativeEngine) -> None:
    work = odd_work(2, 3, integrator="rk4")
    after = Instant(normal(1, 2, work.network.inputs, seed=5), None, None)
    with pytest.raises(NotImplementedError, match="one throughout or none"):
        native_work.do(native, work._replace(batch=work.batch._replace(following=after)))


# Threads and company --------------------------------------------------------------------------------------------------


def everything(engine: Any, work: Work, members: Sequence[int]) -> Callable[[int], list[Tensor]]:
    """Each member's results of learning and of closed loops."""
    chosen = native_work.chosen(work, members)
    result, looped = native_work.do(engine, chosen), close(engine, chosen)[-1]
    return lambda place: [*native_work.of_member(work.network, result, place), looped[place]]


@DTYPES
@ORDERED
@pytest.mark.parametrize("size", [1, 11])
def test_threads_and_company_change_no_bit(
    native: NativeEngine, threads: Callable[[int], None], integrator: str, dtype: torch.dtype, size: int
) -> None:
    work = native_work.cast(loop(integrator, size, 5), dtype)
    threads(1)
    alone = [everything(native, work, [member])(0) for member in range(5)]
    for count, number in ((1, 3), (2, MANY), (5, 1), (5, 2), (5, MANY)):
        threads(number)
        together = everything(native, work, range(count))
        assert all(native_work.same(together(member), alone[member]) for member in range(count))


# Divergence -----------------------------------------------------------------------------------------------------------


@DTYPES
@ORDERED
@pytest.mark.parametrize("phi", PHIS)
def test_not_a_number_goes_where_it_goes_in_torch(
    native: NativeEngine, phi: str, integrator: str, dtype: torch.dtype
) -> None:
    work = odd_work(5, 8, members=3, phis=[phi] * 4, integrator=integrator, **TAUS)
    work = native_work.infected(native_work.cast(work, dtype), torch.nan)
    ours, theirs = (native_work.do(engine, work) for engine in (native, TORCH))
    assert native_work.same([x.isnan() for x in tensors_of(ours)], [x.isnan() for x in tensors_of(theirs)])
    assert ours.answers[1, 2, -1].isnan().all()
    assert all(x[:, 1].isnan().any() for x in tensors_of(ours.carry.parameters))


@DTYPES
@INTEGRATORS
def test_a_loop_that_explodes_says_so_and_leaves_its_company_alone(
    native: NativeEngine, threads: Callable[[int], None], integrator: str, dtype: torch.dtype
) -> None:
    """The second member's output grows without limit."""
    threads(1)
    work = native_work.cast(loop(integrator, 1, 3), dtype)
    network = make_network((3, 9, 6, 1), ["identity"] * 3, integrator=integrator, loss="mse")
    carry = work.carry._replace(parameters=native_work.converted(work.carry.parameters, Tensor.clone))
    for block in carry.parameters:
        block.weight[:, 1] *= 1e20
    work = work._replace(network=network, carry=carry)
    outputs = close(native, work)[-1]
    assert not outputs[1].isfinite().all()
    assert torch.equal(outputs.isfinite(), close(TORCH, work)[-1].isfinite())
    for member in (0, 2):
        alone = close(native, native_work.chosen(work, [member]))[-1][0]
        assert alone.isfinite().all()
        assert torch.equal(outputs[member], alone)


# The machine ---------------------------------------------------------------------------------------------------------


@ORDERED
def test_steps_need_no_memory(native: NativeEngine, threads: Callable[[int], None], integrator: str) -> None:
    """A network needs a few times the memory of its parameters, moments and state."""
    threads(1)
    work = native_work.cast(predictors(integrator), torch.float32)
    held = sum(x.numel() * x.element_size() for x in tensors_of(work.carry)) / 3
    sizes = []
    for steps in (2, work.batch.steps):
        batch = work.batch.part(0, steps)
        native.learn(work.network, GLE(), Optimizer(), work.carry, batch, work.rates)
        sizes.append(native.buffer_bytes)
    assert 0 < sizes[0] == sizes[1] < 2 * held


def test_a_batch_of_many_samples_may_learn_too(native: NativeEngine) -> None:
    network = make_network((3, 17, 5), integrator="rk4")
    batch = make_batch(network, 2, 100)
    work = Work(network, midway(network, 100), batch, torch.tensor([0.01], dtype=torch.float64))
    native_work.assert_close(native_work.do(native, work), native_work.do(TORCH, work))
