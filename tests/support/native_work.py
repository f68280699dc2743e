"""Batches for tests of the native engine, what an engine makes of them, and the comparison of results."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import torch
from networks import generator, make_batch, make_network, make_parameters, normal
from sparing import first
from torch import Tensor

from gle_bench.dynamics import neurons
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.native import build, library
from gle_bench.dynamics.engines.native.engine import NativeEngine
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, select
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer, OptimizerState
from gle_bench.dynamics.state import State
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError
from gle_bench.rules.gle import GLE

TORCH = TorchEngine()


FORCED = os.environ.get(library.VARIABLE, "")  # scripts/sanitize names the library to test


BUILDS = [FORCED] if FORCED else list(build.VARIANTS)


DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


TAUS: dict[str, Any] = {"learn_tau_m": True, "learn_tau_r": True, "tau_range": (0.2, 5.0)}


ODD = (3, 17, 17, 9, 5)  # no width is a multiple of a vector's length or a tile's, and two layers are one block


# The build that users get; the others, which take as long again, with scripts/test --systems
OWN_BUILDS = BUILDS if FORCED else first(["", *BUILDS])


def called(build: str) -> str:
    """The name of a build in a test's name."""
    return Path(build).name or "best"


@pytest.fixture(params=OWN_BUILDS, ids=called)
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> NativeEngine:
    """The engine by the best build, with --systems by each build in turn, or by the one that the environment names."""
    return native_by(request.param, monkeypatch)


@pytest.fixture(params=BUILDS, ids=called)
def each_build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> NativeEngine:
    """The engine by each build in turn, or by the one that the environment names; skipped if it cannot be loaded."""
    return native_by(request.param, monkeypatch)


def native_by(name: str, monkeypatch: pytest.MonkeyPatch) -> NativeEngine:
    """The engine by the build of that name, or by the best one if it is empty; skips the test without it."""
    monkeypatch.setenv(library.VARIABLE, name)
    try:
        library.load()
    except GleBenchError as error:
        pytest.skip(str(error))
    return NativeEngine()


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """A function that sets the number of threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Work(NamedTuple):
    """A batch with the network, its state and the options that an engine needs to learn from it."""

    network: Network
    carry: Carry
    batch: Window
    rates: Tensor
    kind: Any = "adam"
    decay: float = 1.0
    errors: bool = True  # in the evaluation

    def __repr__(self) -> str:
        """The network and the shapes of tensors, so that Hypothesis prints an example without their numbers."""
        return f"Work({self.network}, {self.kind}, {[(tuple(x.shape), x.stride()) for x in tensors_of(self.batch)]})"


class Result(NamedTuple):
    """The state and outputs after learning from a batch, and those after an evaluation of the same batch before it."""

    carry: Carry
    outputs: Tensor
    state: State
    answers: Tensor


def do(engine: Any, work: Work) -> Result:
    network, carry, batch, rates, kind, decay, errors = work
    state, answers = engine.infer(network, carry.parameters, carry.state, batch, errors=errors)
    learned, outputs = engine.learn(network, GLE(), Optimizer(kind), carry, batch, rates, decay)
    return Result(learned, outputs, state, answers)


def torch_rounds_at_a_kink(work: Work) -> bool:
    """Whether a potential is as good as 0 or 1 but for rounding errors, when `torch` does the work.

    There the slopes of relu and hard-sigmoid jump, so that engines which round differently differ by a whole slope.
    """
    near: list[bool] = []

    def note(potential: Tensor) -> None:
        distances = torch.stack([potential, potential - 1]).abs()
        near.append(bool(((distances > 0) & (distances < 1e-12)).any()))

    def step(*arguments: Any) -> tuple[Tensor, Tensor]:
        u, potential = membrane_step(*arguments)
        note(potential)
        return u, potential

    def prospective(*arguments: Any) -> Tensor:
        potential = prospective_potential(*arguments)
        note(potential)
        return potential

    membrane_step, prospective_potential = neurons.membrane_step, neurons.prospective_potential
    with patch.object(neurons, "membrane_step", step), patch.object(neurons, "prospective_potential", prospective):
        do(TORCH, work)
    return any(near)


def tensors_of(nest: Any) -> list[Tensor]:
    """Every tensor in nested tuples, in order."""
    if isinstance(nest, Tensor):
        return [nest]
    return [tensor for part in nest for tensor in tensors_of(part)] if isinstance(nest, tuple) else []


def converted(nest: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nest of tuples with every tensor changed."""
    if isinstance(nest, Tensor):
        return change(nest)
    if not isinstance(nest, tuple):
        return nest
    parts = [converted(part, change) for part in nest]
    return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)


def cast(work: Work, dtype: torch.dtype) -> Work:
    """The work in another precision; rates stay float64."""
    carry, batch = converted((work.carry, work.batch), lambda x: x.to(dtype))
    return work._replace(carry=carry, batch=batch)


def chosen(work: Work, members: Sequence[int]) -> Work:
    """The work of these members of the ensemble alone."""
    index = list(members)
    batch = converted(work.batch, lambda x: x if len(x) == 1 else x[index])
    return work._replace(carry=select(work.network, work.carry, index), batch=batch, rates=work.rates[index])


def of_member(network: Network, result: Result, number: int) -> list[Tensor]:
    """One member's part of a result."""
    state = select(network, result.carry._replace(state=result.state), [number]).state
    signals = [x[number : number + 1] for x in (result.outputs, result.answers)]
    return [*tensors_of(select(network, result.carry, [number])), *tensors_of(state), *signals]


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def assert_close(ours: Result, theirs: Result) -> None:
    assert ours.carry.optimizer.updates == theirs.carry.optimizer.updates
    for a, b in zip(tensors_of(ours), tensors_of(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10, equal_nan=True)


def midway(network: Network, size: int, members: int = 1, kind: Any = "adam", seed: int = 0) -> Carry:
    """A state as after some learning, in which nothing is zero."""
    draw = generator(seed)
    carry = start(network, make_parameters(network, seed, members), Optimizer(kind), size)
    state = converted(carry.state, lambda x: torch.randn(x.shape, generator=draw, dtype=x.dtype))
    mean, square = (torch.rand(x.shape, generator=draw, dtype=x.dtype) for x in carry.optimizer[:2])
    return carry._replace(state=state, optimizer=OptimizerState(mean - 0.5, square + 0.5, 5))


def odd_work(size: int, steps: int, members: int = 1, **options: Any) -> Work:
    """A work with the widths of ODD, a mask, and a rate for each member."""
    network = make_network(ODD, **options)
    batch = make_batch(network, steps, size, members=members)
    batch = batch._replace(mask=(normal(members, size, steps, seed=3) > -1).double())
    rates = torch.linspace(0.01, 0.02, members, dtype=torch.float64)
    return Work(network, midway(network, size, members), batch, rates, decay=0.99)


def reversed_dimensions(x: Tensor) -> Tensor:
    return x.permute(*reversed(range(x.dim())))


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "dimensions reversed": lambda x: reversed_dimensions(reversed_dimensions(x).contiguous()),
    "with gaps": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "samples alike": lambda x: x[:, :1].expand_as(x),
}


def deviation(result: Result, exact: Result) -> Tensor:
    """The deviation of parameters, state, outputs and answers from exact ones, (4,).

    It is the RMS in each member, and its geometric mean over members: one slope that jumps where a potential is nearly
    zero multiplies a member's deviation, and would decide an arithmetic mean alone.
    """
    pairs = zip(by_member(result), by_member(exact), strict=True)
    return torch.stack([(a - b).square().mean(1).sqrt().log().mean().exp() for a, b in pairs])


def by_member(result: Result) -> list[Tensor]:
    """The parameters, state, outputs and answers that `deviation` compares, (S, any) each."""
    blocks = [
        torch.cat([x.double().transpose(0, 1).flatten(1) for x in tensors_of(nest)], 1)
        for nest in (result.carry.parameters, result.carry.state)
    ]
    return [*blocks, *(x.double().flatten(1) for x in (result.outputs, result.answers))]


MANY = 2 * (os.cpu_count() or 1) + 1  # more than there are cores


def infected(work: Work, value: float) -> Work:
    """The work with this value in one input of one sample of the second member."""
    inputs = work.batch.inputs.clone()
    inputs[1, 2, 3, 0] = value
    return work._replace(batch=work.batch._replace(inputs=inputs))
