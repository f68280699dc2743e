"""The native engine with every rule that it has: local rules of any choices, and backpropagation through time."""

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any, NamedTuple

import pytest
import torch
from golden_rules import load
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from native_work import DTYPES, MANY, TORCH, converted, same, tensors_of
from networks import DT, make_batch, make_parameters, normal
from pydantic import ValidationError
from shared import shared_path
from sparing import first
from torch import Tensor

from gle_bench import registry
from gle_bench.dynamics import local_memory
from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.engines.interface import EngineRequest, start
from gle_bench.dynamics.engines.native.engine import NativeEngine
from gle_bench.dynamics.ensemble import Carry, select
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.rules.bptt import BPTT
from gle_bench.rules.gle import GLE
from gle_bench.rules.local import LocalRule

POPULATIONS = ((1.2, 0.2), (0.6, 0.3), (0.9, 0.9))  # tau_m and tau_r; the last one is instantaneous
WIDTHS = (3, 17, 17, 17, 9, 5)  # three layers are one block, and no width is a multiple of a tile's
RULES = [rule for name in registry.RULES if isinstance(rule := registry.rule(name), LocalRule | BPTT)]
NAMED = pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
OPTIMIZERS = pytest.mark.parametrize("kind", ["adam", "sgd"])


class Work(NamedTuple):
    """A rule, what it learns from in two batches, and by what."""

    rule: OnlineRule
    network: Network
    batch: Window
    seeds: tuple[int, ...]
    kind: Any = "adam"


class Outcome(NamedTuple):
    """What is left after the batches."""

    carry: Carry
    outputs: Tensor


def populated(sorted_places: bool = False, widths: tuple[int, ...] = WIDTHS, **options: Any) -> Network:
    """Neurons of three populations, which lie in turns unless they are sorted."""
    layers = []
    for number, (inputs, neurons) in enumerate(pairwise(widths)):
        taus = [POPULATIONS[(n + number) % 3] for n in range(neurons)]
        tau_m, tau_r = zip(*(sorted(taus) if sorted_places else taus), strict=True)
        layers.append(Layer(inputs, neurons, tau_m, tau_r, phi="identity" if number == len(widths) - 2 else "tanh"))
    return Network(tuple(layers), **{"dt": DT, "tau_range": (0.2, 5.0), **options})


def with_options(rule: OnlineRule, **options: Any) -> OnlineRule:
    return rule.with_options(rule.options(**options))


def work(rule: OnlineRule, network: Network, steps: int, size: int = 11, members: int = 2, kind: Any = "adam") -> Work:
    """A masked batch of each member's own."""
    mask = (normal(members, size, steps, seed=3) > -1).double()
    batch = make_batch(network, steps, size, members=members)._replace(mask=mask)
    return Work(rule, network, batch, tuple(range(3, 3 + members)), kind)


def do(engine: Any, work: Work, dtype: torch.dtype = torch.float64, batches: int = 2) -> Outcome:
    """The batch, over and over, from the state and the memory that the last one left."""
    members, size, optimizer = len(work.seeds), work.batch.inputs.shape[1], Optimizer(work.kind)
    parameters, batch = converted((make_parameters(work.network, members=members), work.batch), lambda x: x.to(dtype))
    carry, outputs = start(work.network, parameters, optimizer, size), []
    rates = torch.linspace(0.002, 0.003, members, dtype=torch.float64)
    for _ in range(batches):
        carry, output = engine.learn(
            work.network, work.rule, optimizer, carry, batch, rates, 0.999, Seams(seeds=work.seeds)
        )
        outputs.append(output)
    return Outcome(carry._replace(memory=as_read(work, carry.memory)), torch.stack(outputs, 1))


def as_read(work: Work, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The memory with zeros where delay lines of a block are longer than a layer's own, which reads nothing there."""
    options, network = work.rule.chosen, work.network
    if not isinstance(options, LocalOptions):
        return memory
    memory = converted(memory, torch.clone)
    kept = local_memory.nested(network, options, memory)  # views
    for own, delays in zip(kept, local_memory.delays(network, options), strict=True):
        for k, delay in enumerate(delays):
            for line in (own.rates, own.slopes, own.u_dots):
                if line is not None:
                    line[k, :, : max(delays) - delay] = 0
    return memory


def relative_deviation(ours: Any, theirs: Any) -> float:
    """The worst deviation of a tensor, in its largest number."""
    pairs = zip(tensors_of(ours), tensors_of(theirs), strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs if b.numel())


def refused(work: Work) -> str | None:
    return NativeEngine().refusal(EngineRequest(work.network, work.rule, "cpu", torch.float64, None))


@pytest.mark.parametrize("steps", first([45, 180]))  # of a batch
@OPTIMIZERS
@pytest.mark.parametrize("taus", [False, True], ids=["fixed taus", "taus"])
@NAMED
def test_a_sample_of_learning_equals_torch(
    native: NativeEngine, rule: OnlineRule, taus: bool, kind: str, steps: int
) -> None:
    """Two batches; what a rule remembers is the same, too."""
    task = work(rule, populated(learn_tau_m=taus, learn_tau_r=taus), steps, kind=kind)
    if taus and getattr(rule.chosen, "own", None) == "trace":
        assert (
            refused(task)
            == "time constants that learn need a trace for every weight, and it has those of populations only"
        )
        return
    assert refused(task) is None
    ours, theirs = do(native, task), do(TORCH, task)
    assert relative_deviation(ours, theirs) < 1e-10
    assert ours.carry.optimizer.updates == theirs.carry.optimizer.updates


@pytest.mark.parametrize("sorted_places", [False, True], ids=["in turns", "sorted"])
@NAMED
def test_single_precision_is_of_the_same_order_as_torch_s(
    native: NativeEngine, rule: OnlineRule, sorted_places: bool
) -> None:
    task = work(rule, populated(sorted_places), steps=60)
    exact = do(TORCH, task)
    theirs = relative_deviation(do(TORCH, task, torch.float32), exact)
    assert theirs < 1e-2
    assert relative_deviation(do(native, task, torch.float32), exact) < max(10 * theirs, 1e-5)


@st.composite
def some_rules(draw: st.DrawFn) -> OnlineRule:
    """Any combination of choices, and windows of any length."""
    if draw(st.integers(0, 7)) == 0:
        return with_options(BPTT(), window=draw(st.integers(2, 9)))
    fields = ("sent", "own", "feedback", "delay", "signal")
    choices = {name: draw(st.sampled_from(LocalOptions.model_fields[name].annotation.__args__)) for name in fields}
    numbers = {name: draw(st.sampled_from([0.05, 0.3, 2.0])) for name in ("gain_time", "lowpass_tau", "clip", "decay")}
    try:
        return with_options(GLE(), **choices, **numbers)
    except ValidationError:
        assume(False)
        raise


@st.composite
def some_work(draw: st.DrawFn) -> Work:
    """Layers that are alike, fixed, without biases, or whose errors are instantaneous; batches of any size."""
    widths = draw(st.lists(st.sampled_from([1, 5, 9, 18]), min_size=2, max_size=5))
    network = populated(
        draw(st.booleans()), tuple(widths), loss=draw(st.sampled_from(["ce", "mse"])), learn_tau_m=draw(st.booleans())
    )
    more = {name: draw(st.booleans()) for name in ("bias", "prospective_errors", "forgets")}
    first, *others = network.layers
    changed = Layer(**{**vars(first), **more}) if draw(st.booleans()) else first
    network = Network(**{**vars_of(network), "layers": (changed, *others)})
    steps, size, members = draw(st.integers(1, 9)), draw(st.integers(1, 20)), draw(st.integers(1, 3))
    return work(draw(some_rules()), network, steps, size, members, draw(st.sampled_from(["adam", "sgd"])))


def vars_of(network: Network) -> dict[str, Any]:
    return {name: getattr(network, name) for name in network.__dataclass_fields__}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=some_work())
def test_it_equals_torch_whatever_the_choices(native: NativeEngine, task: Work) -> None:
    assume(refused(task) is None)
    assert relative_deviation(do(native, task), do(TORCH, task)) < 1e-9


@DTYPES
@NAMED
def test_threads_and_company_change_no_bit(
    native: NativeEngine, threads: Callable[[int], None], rule: OnlineRule, dtype: torch.dtype
) -> None:
    task = work(rule, populated(), steps=8, size=37, members=3)
    results = []
    for number in (1, 2, MANY):
        threads(number)
        results.append(tensors_of(do(native, task, dtype)))
        alone = task._replace(batch=converted(task.batch, lambda x: x[:1] if len(x) == 3 else x), seeds=task.seeds[:1])
        lone = do(native, alone, dtype, batches=1)
        together = do(native, task, dtype, batches=1)
        carry = select(task.network, together.carry, [0])
        assert same(tensors_of(lone.carry), tensors_of(carry))
    assert all(same(results[0], other) for other in results[1:])


@NAMED
def test_a_sample_in_parts_is_the_same_sample(native: NativeEngine, rule: OnlineRule) -> None:
    """Bit by bit: delay lines, traces and moments go from batch to batch, whatever the place of a ring."""
    if isinstance(rule, BPTT):
        rule = with_options(rule, window=10)
    task = work(rule, populated(), steps=60)
    parameters, optimizer = make_parameters(task.network, members=2), Optimizer("adam")
    rates, seams = torch.tensor([0.002, 0.003], dtype=torch.float64), Seams(seeds=task.seeds)
    begun = start(task.network, parameters, optimizer, 11)
    whole, outputs = native.learn(task.network, rule, optimizer, begun, task.batch, rates, seams=seams)
    carry, parts = begun, []
    for begin, end in ((0, 10), (10, 20), (20, 50), (50, 60)):
        part = task.batch.part(begin, end)
        carry, output = native.learn(task.network, rule, optimizer, carry, part, rates, seams=seams)
        parts.append(output)
    assert same(tensors_of(carry), tensors_of(whole))
    assert torch.equal(torch.cat(parts, 2), outputs)


@NAMED
def test_another_batch_size_goes_on_as_in_torch(native: NativeEngine, rule: OnlineRule) -> None:
    task, optimizer = work(rule, populated(), steps=20), Optimizer("adam")
    rates, seams = torch.tensor([0.002, 0.003], dtype=torch.float64), Seams(seeds=task.seeds)
    outcomes = []
    for engine in (native, TORCH):
        carry = start(task.network, make_parameters(task.network, members=2), optimizer, 11)
        for size in (11, 4, 13):
            batch = make_batch(task.network, 20, size, members=2)
            carry, outputs = engine.learn(task.network, rule, optimizer, carry, batch, rates, seams=seams)
        outcomes.append((carry._replace(memory=as_read(task, carry.memory)), outputs))
    assert relative_deviation(*outcomes) < 1e-10


@pytest.mark.parametrize("every", [None, 7, 30])
@pytest.mark.parametrize("taus", [False, True], ids=["fixed taus", "taus"])
@NAMED
def test_gradients_at_frozen_weights_equal_torch_s(
    native: NativeEngine, rule: OnlineRule, taus: bool, every: int | None
) -> None:
    """With the memory of a batch before; `every` may cut the window of a tape."""
    task = work(rule, populated(learn_tau_m=taus, learn_tau_r=taus), steps=30)
    if taus and getattr(rule.chosen, "own", None) == "trace":
        pytest.skip("refused, as another test shows")
    parameters = make_parameters(task.network, members=2)
    before = converted(parameters, torch.clone)
    made = []
    for engine in (native, TORCH):
        state, memory = zero_state(task.network, parameters, 11), ()
        for _ in range(2):
            result = engine.gradients(
                task.network, rule, parameters, state, task.batch, memory=memory, every=every, seams=Seams(seeds=(3, 4))
            )
            state, memory = result.state, result.memory
        made.append(result._replace(memory=as_read(task, result.memory)))
    assert relative_deviation(*made) < 1e-10
    assert len(made[0].windowed) == (0 if every is None else -(-30 // every))
    assert same(tensors_of(parameters), tensors_of(before))


@OPTIMIZERS
@pytest.mark.parametrize(
    ("integrator", "name"), list(product(("exponential", "rk4"), ("gle", "instantaneous", "gle-fa")))
)
def test_ordered_networks_learn_as_in_torch(native: NativeEngine, integrator: str, name: str, kind: str) -> None:
    network = populated(integrator=integrator, loss="mse", learn_tau_m=True, learn_tau_r=True)
    rule = registry.rule(name)
    assert isinstance(rule, OnlineRule)
    task = work(rule, network, steps=40, kind=kind)
    assert refused(task) is None
    assert relative_deviation(do(native, task), do(TORCH, task)) < 1e-10
    parameters = make_parameters(network, members=2)
    state, seams = zero_state(network, parameters, 11), Seams(seeds=task.seeds)
    ours, theirs = (
        engine.gradients(network, rule, parameters, state, task.batch, every=15, seams=seams)
        for engine in (native, TORCH)
    )
    assert relative_deviation(ours, theirs) < 1e-10


@pytest.mark.parametrize("name", ["small_ce", "small_mse"])
def test_golden_gradients_are_reproduced(native: NativeEngine, name: str) -> None:
    golden = load(shared_path(f"golden-rules/{name}.npz"))
    fixed = Network(**{**vars_of(golden.network), "learn_tau_m": False, "learn_tau_r": False})
    state = zero_state(fixed, golden.parameters, golden.batch.inputs.shape[1])
    rules = {key.split("/")[0] for key in golden.gradients}
    assert len(rules) > 6
    for spelled in rules:
        sent, *rest = spelled.split("-")
        rule = BPTT() if sent == "bptt" else with_options(GLE(), sent=sent, own=rest[0], delay=rest[1])
        made = native.gradients(fixed, rule, golden.parameters, state, golden.batch)
        torch.testing.assert_close(made.outputs[0], golden.outputs, rtol=0, atol=1e-12)
        for block, sums in zip(fixed.blocks, made.accumulated, strict=True):
            assert sums.weight is not None
            for k, weight in enumerate(sums.weight):
                assert relative_deviation(weight[0], golden.gradients[f"{spelled}/weight_{block.first + k}"]) < 1e-10
