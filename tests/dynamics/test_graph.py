"""Tests of the graph engine, which computes like the torch engine, in chunks that a CUDA graph can record."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from networks import FIXED, make_batch, make_network, make_parameters, normal
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gle_bench.dynamics.engines import chunks
from gle_bench.dynamics.engines.chunks import chunk_length, matmul_precision, tensors
from gle_bench.dynamics.engines.graph import KEPT, GraphEngine
from gle_bench.dynamics.engines.interface import EngineRequest, start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Corrections, Optimizer
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import Parameters, State
from gle_bench.dynamics.window import Learned, Window
from gle_bench.rules.gle import GLE

MEMBERS, BATCH = 3, 4
SIZES = (2, 5, 5, 5, 3)
LAYERS: dict[str, list[dict[str, Any]]] = {
    "plain": [{}] * 4,
    "gamma": [{"gamma": 0.3}] * 4,
    "instantaneous errors": [{"prospective_errors": False}] * 4,
    "fixed chain that forgets": [{"connection": FIXED, "forgets": True, "bias": False}, {}, {}, {}],
    "no bias": [{"bias": False}] * 4,
}
RULE = GLE()
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class Tape(TorchDispatchMode):
    """A recorder of operations with their tensors, which stands for a CUDA graph, and repeats them on the same memory.

    A replay ignores Python, so that a value which changes from call to call outside of a buffer is detected.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, Any]] = []  # keeps its tensors, and so their addresses
        self.made: set[int] = set()
        self.outside: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert str(func) not in ("aten._local_scalar_dense.default", "aten.lift_fresh.default"), f"{func} waits"
        kwargs = kwargs or {}
        self.outside |= memory((args, tuple(kwargs.values()))) - self.made
        result = func(*args, **kwargs)
        self.made |= memory(result) - self.outside
        self.done.append((func, args, kwargs, result))
        return result

    def replay(self) -> None:
        for func, args, kwargs, result in self.done:
            written = memory((args, tuple(kwargs.values())))
            for old, new in zip(flat(result), flat(func(*args, **kwargs)), strict=True):
                if not memory(old) & written:
                    old.copy_(new)


def flat(nested: Any) -> list[Tensor]:
    if isinstance(nested, list | tuple):
        return [tensor for part in nested for tensor in flat(part)]
    return [nested] if isinstance(nested, Tensor) else []


def memory(nested: Any) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in flat(nested)}


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Makes the engine record and replay chunks as on a GPU, with buffers that a warm-up has changed.

    Beside its own results, a chunk must read the same buffers in each recording, not new tensors from the host.
    """
    tapes: list[Tape] = []

    def capture(body: Callable[[], None], device: torch.device, tf32: bool) -> Callable[[], None]:
        recordings = Tape(), Tape()
        for tape in recordings:
            with tape:
                body()
        assert recordings[0].outside == recordings[1].outside
        tapes.append(recordings[1])
        return recordings[1].replay

    monkeypatch.setattr(chunks, "capture", capture)
    return tapes


def started(network: Network, kind: str = "adam", dtype: torch.dtype = torch.float64, members: int = MEMBERS) -> Carry:
    parameters = make_parameters(network, members=members)
    cast = tuple(type(block)(*(None if x is None else x.to(dtype) for x in block)) for block in parameters)
    return start(network, cast, Optimizer(kind), BATCH)


def batch_of(
    network: Network, steps: int, size: int, seed: int, dtype: torch.dtype = torch.float64, masked: bool = False
) -> Window:
    """A batch of this number; every second batch is the same for all members."""
    batch = make_batch(network, steps, size, seed, MEMBERS if seed % 2 else 1)
    mask = (normal(1, size, steps, seed=seed) > 0).to(dtype) if masked else None
    assert batch.target is not None
    return Window(steps, batch.inputs.to(dtype), batch.target.to(dtype), mask)


def close(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    pairs = list(zip(tensors(ours), tensors(theirs), strict=True))
    assert pairs
    for a, b in pairs:
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b.to(a.device), rtol=0, atol=tolerance)


def train(engine: Any, network: Network, carry: Carry, windows: list[Window], decay: float = 1.0) -> list[Any]:
    """Trains on batches, with evaluations after each; the last evaluation passes its state on."""
    kind = "adam" if carry.optimizer.mean.numel() else "sgd"
    rates = torch.tensor([0.01, 0.003, 0.02], dtype=torch.float64)
    results: list[Any] = []
    for number, batch in enumerate(windows):
        carry, outputs = engine.learn(
            network, RULE, Optimizer(kind), carry, batch, rates / (1 + number), decay if number else 1.0
        )
        passing = engine.infer(network, carry.parameters, carry.state, batch, errors=False)
        state, seen = engine.infer(network, carry.parameters, carry.state, batch)
        results.append((carry, outputs, passing, state, seen))
        carry = carry._replace(state=state)
    return results


def both(network: Network, carry: Carry, windows: list[Window], tolerance: float = 1e-10, decay: float = 1.0) -> None:
    ours, theirs = (train(engine, network, carry, windows, decay) for engine in (GraphEngine(), TorchEngine()))
    close(tuple(ours), tuple(theirs), tolerance)
    assert [x[0].optimizer.updates for x in ours] == [x[0].optimizer.updates for x in theirs]


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("layers", LAYERS)
def test_trajectories_are_those_of_the_torch_engine(layers: str, loss: str, kind: str) -> None:
    """With batches of different sizes, with and without a mask, of one chunk and a rest."""
    taus = {"learn_tau_m": True, "learn_tau_r": True, "tau_range": (0.5, 0.9)} if layers != "no bias" else {}
    network = make_network(SIZES, layers=LAYERS[layers], loss=loss, **taus)
    sizes = [(67, BATCH, False), (23, 6, True), (23, BATCH, True), (7, 2, False)]
    windows = [batch_of(network, *sizes[n][:2], seed=n, masked=sizes[n][2]) for n in range(4)]
    both(network, started(network, kind), windows, decay=0.99)


@pytest.mark.parametrize("steps", [1, 7, 60, 61, 120, 130])
def test_any_number_of_steps(steps: int) -> None:
    network = make_network(SIZES)
    both(network, started(network), [batch_of(network, steps, BATCH, seed) for seed in range(2)])


@pytest.mark.parametrize(
    "phis", [("identity", "tanh", "softplus", "identity"), ("relu", "hard-sigmoid", "tanh", "tanh")]
)
@pytest.mark.parametrize("layers", LAYERS)
def test_a_recorded_chunk_does_the_same_when_replayed(layers: str, phis: Any, taped: list[Tape]) -> None:
    """A CUDA graph allows no values from the host or Python; a tape of the operations shows that there are none."""
    taus = {"learn_tau_m": True, "learn_tau_r": True, "tau_range": (0.5, 0.9)} if layers != "no bias" else {}
    network = make_network(SIZES, phis, layers=LAYERS[layers], **taus)
    # Shared data and each member's own, alternating; a decay of 1 in the first batch.
    windows = [batch_of(network, 12, BATCH, seed, masked=True) for seed in (0, 2, 4, 1)]
    both(network, started(network), windows, decay=0.95)
    learning, evaluation = 3, 2 if layers == "gamma" else 4
    assert len(taped) == learning + evaluation


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_recorded_chunks_are_replayed_many_times_and_so_is_the_rest(kind: str, taped: list[Tape]) -> None:
    network = make_network(SIZES)
    both(network, started(network, kind), [batch_of(network, 67, BATCH, seed) for seed in (0, 2)], decay=1.0)
    assert chunk_length(67) == 33
    assert len(taped) == 2 * 3  # learning and the two evaluations, each with a rest of one step


def test_float32_is_as_near_as_its_rounding() -> None:
    network = make_network(SIZES, learn_tau_m=True, tau_range=(0.5, 0.9))
    windows = [batch_of(network, 97, BATCH, seed, torch.float32) for seed in range(2)]
    both(network, started(network, dtype=torch.float32), windows, tolerance=1e-5)


def test_what_is_passed_in_and_what_was_returned_stay_as_they_are() -> None:
    network, engine = make_network(SIZES, learn_tau_m=True), GraphEngine()
    carry, batch = started(network), batch_of(network, 97, BATCH, 1, masked=True)
    rates = torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    given = (carry, batch, rates)
    copies = [tensor.clone() for tensor in tensors(given)]
    first = engine.learn(network, learner := GLE(), Optimizer(), carry, batch, rates, 0.9)
    seen = engine.infer(network, carry.parameters, carry.state, batch)
    kept = [tensor.clone() for tensor in tensors((first, seen))]
    again = engine.learn(network, learner, Optimizer(), first[0], batch, rates, 0.9)
    engine.infer(network, again[0].parameters, again[0].state, batch)
    assert all(torch.equal(a, b) for a, b in zip(tensors(given), copies, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors((first, seen)), kept, strict=True))
    storages = {x.untyped_storage().data_ptr() for x in tensors(first) if x.numel()}
    assert not storages & {x.untyped_storage().data_ptr() for x in tensors(again) if x.numel()}


def test_parameters_may_be_expanded_views() -> None:
    network = make_network(SIZES)
    alone = make_parameters(network)
    shared = tuple(type(b)(*(None if x is None else x.expand(-1, MEMBERS, -1, -1) for x in b)) for b in alone)
    both(network, start(network, shared, Optimizer(), BATCH), [batch_of(network, 25, BATCH, 1)])


def test_programs_are_made_once_and_few_are_kept() -> None:
    network, engine, learner = make_network(SIZES), GraphEngine(), GLE()
    rates = torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    carry = started(network)

    def learn(size: int, **options: Any) -> set[int]:
        engine.learn(network, learner, Optimizer(), carry, batch_of(network, 25, size, 1, **options), rates)
        return {id(program) for program in engine._programs.values()}

    first = learn(BATCH)
    assert learn(BATCH) == first
    assert len(learn(BATCH, masked=True)) == 2
    assert first <= learn(5)
    for size in range(6, 6 + KEPT):
        learn(BATCH)  # what is used goes on being kept
        kept = learn(size)
        assert first <= kept
    assert len(kept) == KEPT


def test_another_learner_gets_a_program_of_its_own() -> None:
    """Even if it lies at the memory address of a learner that was deleted."""
    network, engine = make_network(SIZES), GraphEngine()
    carry, batch = started(network), batch_of(network, 25, BATCH, 1)
    rates = torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    for factor in (1.0, 2.0, 3.0):
        after, _ = engine.learn(network, Scaled(factor), Optimizer("sgd"), carry_of(carry), batch, rates)
        expected, _ = TorchEngine().learn(network, Scaled(factor), Optimizer("sgd"), carry_of(carry), batch, rates)
        close(after, expected)


def carry_of(carry: Carry) -> Carry:
    empty = carry.optimizer.mean.new_zeros(0)
    return carry._replace(optimizer=carry.optimizer._replace(mean=empty, square=empty))


class Scaled(GLE):
    """The rule GLE with larger gradients."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def learn(
        self, network: Network, parameters: Parameters, state: State, memory: Any, window: Window, seams: Seams
    ) -> Learned:
        learned = super().learn(network, parameters, state, (), window, seams)
        larger = tuple(
            type(block)(*(None if x is None else x * self.factor for x in block)) for block in learned.gradients
        )
        return learned._replace(gradients=larger)


class Delayed(GLE):
    """The rule GLE with the gradients of two steps ago, which are kept in its memory."""

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        weight = parameters[0].weight
        assert weight is not None
        return tuple(torch.zeros_like(weight.transpose(0, 1)) for _ in range(2))

    def learn(
        self, network: Network, parameters: Parameters, state: State, memory: Any, window: Window, seams: Seams
    ) -> Learned:
        learned = super().learn(network, parameters, state, (), window, seams)
        first, *others = learned.gradients
        late = first._replace(weight=memory[1].transpose(0, 1))
        return learned._replace(gradients=(late, *others), memory=(first.weight.transpose(0, 1), memory[0]))


@pytest.mark.parametrize("steps", [1, 25, 61])
def test_a_rules_memory_is_carried(steps: int, taped: list[Tape]) -> None:
    """Even if one of its tensors takes the place of another; with another batch size the memory starts anew."""
    network = make_network(SIZES)
    rates = torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    carries = []
    for engine in (GraphEngine(), TorchEngine()):
        carry, learner = started(network), Delayed()
        for seed, size in enumerate((BATCH, BATCH, 6)):
            batch = batch_of(network, steps, size, seed)
            carry, _ = engine.learn(network, learner, Optimizer(), carry, batch, rates)
        carries.append(carry)
    assert len(carries[0].memory) == 2
    close(*carries)


def test_it_works_across_inference_mode() -> None:
    """Lightning evaluates in inference mode; the estimate of the time does not."""
    network, engine = make_network(SIZES), GraphEngine()
    carry, batch = started(network), batch_of(network, 25, BATCH, 1)
    with torch.inference_mode():
        state, inside = engine.infer(network, carry.parameters, carry.state, batch)
    _, outside = engine.infer(network, carry.parameters, carry.state, batch)
    assert torch.equal(inside, outside)
    rates = torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    engine.learn(network, GLE(), Optimizer(), carry._replace(state=state), batch, rates)
    with torch.inference_mode():
        engine.learn(network, GLE(), Optimizer(), carry._replace(state=state), batch, rates)


def test_nan_goes_through_and_stays_with_its_member() -> None:
    network, engine = make_network(SIZES), GraphEngine()
    carry, batch = started(network), batch_of(network, 25, BATCH, 1)
    batch.inputs[1, 0, 3] = torch.nan
    rates = torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    _, outputs = engine.learn(network, GLE(), Optimizer(), carry, batch, rates)
    assert outputs[1].isnan().any()
    assert outputs[[0, 2]].isfinite().all()


def test_what_it_refuses() -> None:
    network = make_network(SIZES)
    request = EngineRequest(network, GLE(), "cpu", torch.float32, None)
    engine = GraphEngine()
    assert engine.refusal(request) == ("the device is cpu" if torch.cuda.is_available() else "there is no GPU")
    on_gpu = request._replace(device="cuda")
    assert "closed" in str(engine.refusal(on_gpu._replace(feedback=DelayedFeedback(1, (0,), 1))))
    in_order = replace(network, integrator="rk4")
    assert "integrator = 'rk4'" in str(engine.refusal(on_gpu._replace(network=in_order)))
    long = GLE()
    long.window = 5
    assert "learns from 5 steps at once" in str(engine.refusal(on_gpu._replace(rule=long)))
    carry, batch = started(network), batch_of(network, 7, BATCH, 1)
    with pytest.raises(NotImplementedError, match="learns from 5 steps at once"):
        engine.learn(network, long, Optimizer(), carry, batch, torch.ones(MEMBERS))
    with pytest.raises(NotImplementedError, match="closed"):
        engine.infer(network, carry.parameters, carry.state, batch, feedback=lambda t, x, y: x[:, :, t])
    with pytest.raises(NotImplementedError, match="in order"):
        engine.infer(in_order, carry.parameters, carry.state, batch)
    with pytest.raises(NotImplementedError, match="in order"):
        engine.learn(in_order, GLE(), Optimizer(), carry, batch, torch.ones(MEMBERS))


def test_with_a_gpu_it_refuses_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    request = EngineRequest(make_network(SIZES), GLE(), "cuda", torch.float32, None)
    assert GraphEngine().refusal(request) is None
    assert GraphEngine().refusal(request._replace(device="cpu")) == "the device is cpu"


@pytest.mark.parametrize(
    ("steps", "chunk"),
    [(1, 1), (7, 7), (60, 60), (61, 30), (72, 36), (97, 48), (101, 50), (110, 55), (125, 25), (360, 60), (720, 60)],
)
def test_chunks_divide_the_steps_where_they_can(steps: int, chunk: int) -> None:
    assert chunk_length(steps) == chunk


def test_a_rest_is_short() -> None:
    for steps in range(1, 2000):
        chunk = chunk_length(steps)
        assert min(steps, 20) <= chunk <= 60
        assert steps % chunk < -(-steps // chunk)


@pytest.mark.parametrize("before", ["none", "ieee", "tf32"])
@pytest.mark.parametrize("tf32", [True, False])
@pytest.mark.parametrize("kind", [torch.backends.cuda.matmul, torch.backends.cudnn.conv], ids=["products", "images"])
def test_the_precision_of_products_is_put_back(kind: Any, before: str, tf32: bool) -> None:
    seen = []
    found, kind.fp32_precision = kind.fp32_precision, before
    try:
        with matmul_precision(tf32):
            seen.append(kind.fp32_precision)
            assert torch.backends.cudnn.deterministic
        seen.append(kind.fp32_precision)
    finally:
        kind.fp32_precision = found
    assert seen == ["tf32" if tf32 else "ieee", before]
    assert not torch.backends.cudnn.deterministic


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_update_with_corrections_from_a_tensor_is_the_same(dtype: torch.dtype) -> None:
    optimizer, rate = Optimizer("adam"), torch.rand(40, dtype=dtype)
    flats, gradients = [normal(40, seed=0).to(dtype) for _ in range(2)], normal(50, 40, seed=1).to(dtype)
    states = [optimizer.start(flats[0]) for _ in range(2)]
    for number, gradient in enumerate(gradients, 1):
        states[0] = optimizer.update(flats[0], gradient, states[0], rate)
        table = torch.tensor(optimizer.corrections(number), dtype=torch.float64).to(dtype)
        optimizer.descend(flats[1], gradient, states[1], rate, Corrections(*table.unbind()))
    close(flats[1], flats[0], 1e-14 if dtype == torch.float64 else 1e-5)
    assert states[0].updates == 50


def on_gpu(value: Any) -> Any:
    """Nested tuples with their tensors on the GPU."""
    if isinstance(value, Tensor):
        return value.cuda()
    if isinstance(value, tuple):
        parts = [on_gpu(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


@GPU
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("steps", [97, 120])
def test_on_a_gpu_captured_chunks_give_the_torch_engines_trajectories(layers: str, steps: int) -> None:
    network = make_network(SIZES, layers=LAYERS[layers], learn_tau_m=True, tau_range=(0.5, 0.9))
    carry, windows = started(network), [batch_of(network, steps, BATCH, seed, masked=seed > 1) for seed in range(4)]
    theirs = train(TorchEngine(), network, carry, windows, 0.99)
    ours = train(GraphEngine(), network, on_gpu(carry), [on_gpu(window) for window in windows], 0.99)
    assert ours[0][1].is_cuda
    close(tuple(theirs), tuple(ours))


@GPU
def test_on_a_gpu_tf32_is_used_only_on_request() -> None:
    network = make_network((32, 64, 64, 12))
    carry = started(network, dtype=torch.float32)
    batch = batch_of(network, 60, BATCH, 1, torch.float32)
    exact = train(TorchEngine(), network, carry, [batch])[0][4]
    plain, rough = (
        train(GraphEngine(tf32), network, on_gpu(carry), [on_gpu(batch)])[0][4].cpu() for tf32 in (False, True)
    )
    assert (plain - exact).abs().max() < (rough - exact).abs().max() / 5
