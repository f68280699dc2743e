"""Tests of the native engine: every build of it equals `torch`, and threads, company and layout change no bit."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
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
    assert_close,
    cast,
    chosen,
    converted,
    deviation,
    do,
    infected,
    midway,
    odd_work,
    of_member,
    same,
    tensors_of,
    torch_rounds_at_a_kink,
)
from networks import DT, FIXED, PHIS, make_batch, make_network, normal
from torch import Tensor
from toy_runs import assert_alike, configured, run

from gle_bench.bench.networks import NETWORKS
from gle_bench.contracts import Batch
from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.native.engine import NativeEngine
from gle_bench.dynamics.ensemble import join
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.state import State, initial_parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.rules.gle import GLE

# Work, and what comes of it -----------------------------------------------------------------------------------------


# Equal to `torch` in float64 ----------------------------------------------------------------------------------------


def each_layer(depth: int, of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """A value for every layer, either one for each or the same for all."""
    return st.lists(of, min_size=depth, max_size=depth) | of.map(lambda one: [one] * depth)


@st.composite
def some_networks(draw: st.DrawFn) -> Network:
    """Random networks of one to four layers that the engine supports, some with several equal layers."""
    depth, widths = draw(st.integers(1, 4)), st.integers(1, 40)
    layer = st.fixed_dictionaries(
        {
            "connection": st.sampled_from([Dense(), FIXED]),
            "gamma": st.sampled_from([0.0, 0.3]),
            **{name: st.booleans() for name in ("bias", "prospective_errors", "forgets")},
        }
    )
    layers = draw(each_layer(depth, layer))
    assume(any(one["connection"].plastic for one in layers))
    learns = {name: draw(st.booleans()) for name in ("learn_tau_m", "learn_tau_r")}
    return make_network(
        [draw(widths), *draw(each_layer(depth, widths))],
        draw(each_layer(depth, st.sampled_from(list(PHIS)))),
        layers=layers,
        loss=draw(st.sampled_from(["ce", "mse"])),
        beta=draw(st.sampled_from([1.0, 0.3])),
        tau_range=(0.3, 1.5),
        **learns,
    )


@st.composite
def some_work(draw: st.DrawFn) -> Work:
    """Random batches of any memory layout; every signal is each member's own or shared, changing or constant."""
    network, kind = draw(some_networks()), draw(st.sampled_from(["adam", "sgd"]))
    members, size, steps, seed = (draw(st.integers(1, most)) for most in (3, 40, 8, 1000))

    def signal(*channels: int) -> Tensor:
        shape = (draw(st.sampled_from([1, members])), size, draw(st.sampled_from([1, steps])), *channels)
        return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](normal(*shape, seed=draw(st.integers(0, 1000))))

    target = draw(st.none() | st.builds(signal, st.just(network.outputs)))
    mask = draw(st.none() | st.builds(lambda: (signal() > 0).double()))
    return Work(
        network,
        midway(network, draw(st.sampled_from([size, 5])), members, kind, seed),
        Window(steps, signal(network.inputs), target, mask),
        0.003 * torch.arange(1, members + 1, dtype=torch.float64),
        kind,
        draw(st.sampled_from([1.0, 0.9])),
        draw(st.booleans()),
    )


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=some_work())
@example(work=odd_work(5, 3, **TAUS))
def test_it_equals_torch_whatever_the_network_and_the_batch(native: NativeEngine, work: Work) -> None:
    """And leaves alone what it is given."""
    assume(not torch_rounds_at_a_kink(work))
    before = [tensor.clone() for tensor in tensors_of(work)]
    assert_close(do(native, work), do(TORCH, work))
    assert same(tensors_of(work), before)


@cache
def sized(size: int) -> tuple[Work, Result]:
    """The work of two networks, and its result by `torch`."""
    work = odd_work(size, 5, members=2, **TAUS)
    return work, do(TORCH, work)


@pytest.mark.parametrize("size", [1, 7, 97, 100, 256])
def test_it_equals_torch_at_any_size_of_batch(each_build: NativeEngine, size: int) -> None:
    work, expected = sized(size)
    assert_close(do(each_build, work), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_learned_so_far_may_lie_in_memory_as_it_likes(native: NativeEngine, layout: str) -> None:
    work = odd_work(7, 4, members=2, **TAUS)
    if layout != "samples alike":  # another content
        moved = work._replace(carry=converted(work.carry, LAYOUTS[layout]))
        assert same(tensors_of(do(native, work)), tensors_of(do(native, moved)))


# The networks of MNIST-1D over a whole sample -------------------------------------------------------------------------


@cache
def sample_long(name: str) -> Work:
    """The work of eight seeds of a standard network, each with a small batch of its own: 360 steps, float64."""
    standard, seeds = NETWORKS[name](), range(8)
    network, size = standard.network(), 13
    carries = [start(network, standard.model.initialise(network, seed), Optimizer(), size) for seed in seeds]
    batch = make_batch(network, standard.shape.steps, size, members=len(seeds))
    rates = torch.full((len(seeds),), standard.rate, dtype=torch.float64)
    return cast(Work(network, join(network, carries), batch, rates), torch.float64)


@cache
def by_torch(name: str, dtype: torch.dtype) -> Result:
    return do(TORCH, cast(sample_long(name), dtype))


@pytest.mark.parametrize("name", ["gle-15k", "gle-42k"])
def test_a_whole_sample_of_mnist1d_equals_torch(native: NativeEngine, name: str) -> None:
    assert_close(do(native, sample_long(name)), by_torch(name, torch.float64))


@pytest.mark.parametrize("name", ["gle-15k", "gle-42k"])
def test_single_precision_costs_no_more_than_it_costs_torch(native: NativeEngine, name: str) -> None:
    """After 360 steps of learning; and not so much that trajectories have parted, where all deviations are alike."""
    exact, work = by_torch(name, torch.float64), cast(sample_long(name), torch.float32)
    theirs = deviation(by_torch(name, torch.float32), exact)
    assert (theirs < 1e-4).all()
    assert (deviation(do(native, work), exact) <= 3 * theirs).all()


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("phi", PHIS)
def test_nor_does_it_with_any_activation(native: NativeEngine, phi: str, loss: str) -> None:
    work = odd_work(13, 30, members=8, phis=[phi] * 4, loss=loss, **TAUS)
    exact, single = do(TORCH, work), cast(work, torch.float32)
    theirs = deviation(do(TORCH, single), exact)
    assert (theirs < 1e-3).all()
    assert (deviation(do(native, single), exact) <= 3 * theirs).all()


POTENTIALS = [*torch.linspace(-25, 25, 2001).tolist(), 1.0, 88.0, 1e4, 1e30, -88.0, -1e4, -1e30, torch.nan]


@DTYPES
@pytest.mark.parametrize("phi", PHIS)
def test_rates_and_slopes_are_right_everywhere(native: NativeEngine, phi: str, dtype: torch.dtype) -> None:
    ours, theirs = (neurons_at(POTENTIALS, engine, phi, dtype) for engine in (native, TORCH))
    scale = torch.finfo(dtype).eps
    torch.testing.assert_close(ours.r, theirs.r, rtol=4 * scale, atol=4 * scale, equal_nan=True)
    torch.testing.assert_close(ours.slope, theirs.slope, rtol=4 * scale, atol=8 * scale, equal_nan=True)


@DTYPES
def test_tanh_keeps_its_digits_where_it_is_small_and_stays_within_one(native: NativeEngine, dtype: torch.dtype) -> None:
    """The torch engine cannot show this, since its tanh is made of a sigmoid."""
    potentials = [sign * 10.0**power for sign in (1, -1) for power in torch.linspace(-9, 3, 1201).tolist()]
    rates = neurons_at(potentials, native, "tanh", dtype).r.flatten()
    exact = torch.tensor(potentials, dtype=dtype).double().tanh()
    assert rates.abs().max() <= 1
    torch.testing.assert_close(rates.double(), exact, rtol=4 * torch.finfo(dtype).eps, atol=0)


def neurons_at(potentials: list[float], engine: Any, phi: str, dtype: torch.dtype) -> State:
    """A neuron whose prospective potential is its input, which differs from sample to sample."""
    network = Network((Layer(1, 1, (1.0,), (1.0,), phi=phi),), DT)
    inputs = torch.tensor(potentials, dtype=dtype)
    parameters = initial_parameters(network, [torch.ones(1, 1, dtype=dtype)], [torch.zeros(1, dtype=dtype)])
    window = Window(1, inputs[None, :, None, None], None, None)
    (state,) = engine.infer(network, parameters, zero_state(network, parameters, len(inputs)), window)[0]
    return state


# Threads and company --------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("options", [{}, TAUS], ids=["fixed taus", "taus"])
def test_threads_and_company_change_no_bit(
    native: NativeEngine, threads: Callable[[int], None], dtype: torch.dtype, options: dict[str, Any]
) -> None:
    """One or many networks for each thread, many threads for each network, and both in turn."""
    work = cast(odd_work(97, 6, members=5, **options), dtype)
    threads(1)
    alone = [of_member(work.network, do(native, chosen(work, [member])), 0) for member in range(5)]
    for count in (1, 2, 3, 5):
        for number in (1, 2, 3, MANY):
            threads(number)
            together = do(native, chosen(work, range(count)))
            assert all(same(of_member(work.network, together, member), alone[member]) for member in range(count))


@pytest.mark.parametrize("size", [1, 5, 9])
def test_there_may_be_more_threads_than_parts_of_a_batch(
    native: NativeEngine, threads: Callable[[int], None], size: int
) -> None:
    work, results = odd_work(size, 6, members=2), []
    for number in (1, 100):
        threads(number)
        results.append(tensors_of(do(native, work)))
    assert same(*results)


def test_a_shared_batch_is_as_good_as_copies_of_it(native: NativeEngine) -> None:
    work = odd_work(13, 4, members=1)
    work = work._replace(carry=midway(work.network, 13, members=3), rates=torch.tensor([0.01, 0.02, 0.03]))
    copies = work._replace(batch=converted(work.batch, lambda x: x.repeat(3, *[1] * (x.dim() - 1))))
    assert same(tensors_of(do(native, work)), tensors_of(do(native, copies)))


# Divergence -----------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("phi", PHIS)
def test_not_a_number_goes_where_it_goes_in_torch(native: NativeEngine, phi: str, dtype: torch.dtype) -> None:
    """NaN spreads through its sample to the outputs, and through errors to all weights."""
    work = infected(cast(odd_work(13, 12, members=3, phis=[phi] * 4, **TAUS), dtype), torch.nan)
    ours, theirs = do(native, work), do(TORCH, work)
    assert same([x.isnan() for x in tensors_of(ours)], [x.isnan() for x in tensors_of(theirs)])
    assert ours.answers[1, 2, -1].isnan().all()
    assert all(x[:, 1].isnan().any() for x in tensors_of(ours.carry.parameters))


@DTYPES
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_who_diverges_does_so_alone(
    native: NativeEngine, threads: Callable[[int], None], value: float, dtype: torch.dtype
) -> None:
    """Members before and after it in the same thread have the same results as without it."""
    threads(1)
    work = infected(cast(odd_work(13, 12, members=3, **TAUS), dtype), value)
    together = do(native, work)
    for nest in (together.state, together.carry.state, together.carry.parameters):
        assert not all(x[:, 1].isfinite().all() for x in tensors_of(nest))
    for member in (0, 2):
        alone = of_member(work.network, do(native, chosen(work, [member])), 0)
        assert all(x.isfinite().all() for x in alone)
        assert same(of_member(work.network, together, member), alone)


def test_a_run_ends_as_diverged_and_not_its_company(
    native: NativeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = toys.ToySplit.fetch

    def fetch(self: Any, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        batch = original(self, indices, seed, epoch, place)
        return batch._replace(inputs=batch.inputs * torch.nan) if (seed, epoch) == (2, 1) else batch

    monkeypatch.setattr(toys.ToySplit, "fetch", fetch)
    config = configured("toy-own-signal", "toy-gle", budget="short")
    records = run(config, [1, 2, 3], tmp_path / "together", engine="native")
    assert [record.status for record in records] == ["done", "diverged", "done"]
    for seed in (1, 3):
        run(config, [seed], tmp_path / "alone", engine="native")
        assert_alike(tmp_path / "together", tmp_path / "alone", seed)


# The machine ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("flushed", [False, True])
def test_denormals_are_treated_afterwards_as_before(
    native: NativeEngine, threads: Callable[[int], None], number: int, flushed: bool
) -> None:
    threads(number)
    torch.set_flush_denormal(flushed)
    try:
        do(native, odd_work(9, 2))
        assert bool((torch.tensor([1e-40]) * 1 == 0).all()) == flushed
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_its_buffers_stay_small(native: NativeEngine, threads: Callable[[int], None], name: str) -> None:
    """Buffers are small beside state and parameters, and do not grow with the number of steps."""
    threads(1)
    standard = NETWORKS[name]()
    network = standard.network()
    carry = start(network, standard.model.initialise(network, 0), Optimizer(), standard.batch)
    held = sum(x.numel() * x.element_size() for x in tensors_of((carry.parameters, carry.state)))
    batch = converted(make_batch(network, 3, standard.batch), Tensor.float)
    rates = torch.full((1,), standard.rate)
    sizes = []
    for steps in (1, 3):
        native.learn(network, GLE(), Optimizer(), carry, batch.part(0, steps), rates)
        sizes.append(native.buffer_bytes)
    native.infer(network, carry.parameters, carry.state, batch.part(0, 1))
    assert 0 < native.buffer_bytes <= sizes[0] == sizes[1] < 6 * held
