"""Tests of multiply-accumulates: PyTorch's count equals one by shapes, and a missing count has a reason."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from toy_runs import run
from toys import PAIRS as TOYS
from toys import ToyPerceptron

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.config import RunConfig
from gle_bench.contracts import OfflineModel, OnlineModel, Pair, Shape
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.models.macs import count_macs
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.table import results_table
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.online import OnlineModule

SHAPE = Shape(steps=20, inputs=16, outputs=3)
EVERY = {f"{pair.task} {pair.model}": pair for pair in registry.pairs()}


class ByShapes(TorchDispatchMode):
    """A counter of products by the shapes of inputs and outputs, without PyTorch's formulas."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm"):
            left = args[1] if name.startswith(("addmm", "baddbmm")) else args[0]
            self.macs += out.numel() * left.shape[-1]
        elif name == "convolution":
            self.macs += out.numel() * math.prod(args[1].shape[1:])
        return out


@pytest.mark.parametrize("name", EVERY)
def test_every_models_count_is_that_of_another_method(name: str) -> None:
    pair: Pair = EVERY[name]
    config = pair.configure("paper")
    task = registry.task(pair.task)
    shape = task.shape(config.options)
    if isinstance(config.network, OfflineModel):
        module = config.network.build(shape, 1)
        inputs = torch.rand(2, shape.steps, shape.inputs, dtype=torch.float64)
        with torch.no_grad(), ByShapes() as by_shapes:
            module.eval().double()(inputs)
        assert count_macs(config.network.build(shape, 1), shape) == (by_shapes.macs // 2, None)
    else:
        assert isinstance(config.network, OnlineModel)
        assert _of_network(config) == _by_simulation(config, shape)


def _of_network(config: RunConfig) -> int:
    number = OnlineModule(Experiment.of(resolved(config)), [1]).macs.number
    assert number is not None
    return number


def _by_simulation(config: RunConfig, shape: Shape) -> int:
    """The products that the readable engine does in two steps of one sample, for all steps of a sample."""
    assert isinstance(config.network, OnlineModel)
    network = config.network.network(shape, registry.task(config.task).loss)
    parameters = config.network.initialise(network, 1)
    window = Window(2, torch.rand(1, 1, 2, shape.inputs), None, None)
    with torch.no_grad(), ByShapes() as by_shapes:
        TorchEngine().infer(network, parameters, zero_state(network, parameters, 1), window)
    return by_shapes.macs // 2 * shape.steps


COUNTED: list[tuple[Callable[[], nn.Module], int]] = [
    (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 20 * (4 * 256 + 2 * 512) + 2 * 20 * 20 * 16),
    (lambda: nn.LSTM(16, 8, batch_first=True), 20 * 4 * 8 * (16 + 8)),
    (lambda: nn.GRU(16, 8, batch_first=True), 20 * 3 * 8 * (16 + 8)),
    (lambda: Attention(), 20 * 4 * 256 + 2 * 20 * 20 * 16),
    (lambda: nn.Linear(16, 5), 20 * 16 * 5),
    (lambda: Made(lambda x: torch.einsum("btc,cd->btd", x, x[0].T @ x[0])), 20 * 16 * 16 + 16 * 20 * 16),
    (lambda: nn.Sequential(nn.LayerNorm(16), nn.Softmax(-1), nn.Dropout()), 0),
]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x, x, x, need_weights=False)[0]
        return out


class Made(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(("make", "macs"), COUNTED)
@pytest.mark.parametrize("training", [True, False])
def test_counts_by_hand(make: Callable[[], nn.Module], macs: int, training: bool) -> None:
    """Including modules that PyTorch would run by fused kernels, which its counter does not see."""
    module = make().train(training)
    assert count_macs(module, SHAPE) == (macs, None)
    assert module.training is training


@torch.library.custom_op("glebench_test::product", mutates_args=())
def product(x: Tensor) -> Tensor:
    return x @ x.mT


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: product(x), "glebench_test::product"),
        (lambda x: torch.linalg.qr(x)[0], "linalg_qr"),
        (lambda x: torch.cdist(x, x), "cdist"),
        (lambda x: torch.linalg.solve(torch.eye(20, dtype=x.dtype), x), "linalg"),
        (lambda x: x.float() @ torch.ones(3, 3), "RuntimeError"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: torch.cat([x] * len(x)) @ x[0].T, "no multiple"),
        (lambda x: (x[..., None] * torch.ones(16, 3, dtype=x.dtype)).sum(-2), "aten::mul"),
    ],
)
def test_what_cannot_be_trusted_is_blank_with_its_reason(function: Callable[[Tensor], Tensor], reason: str) -> None:
    number, missing = count_macs(Made(function), SHAPE)
    assert number is None
    assert missing is not None
    assert reason in missing


def test_a_count_leaves_the_module_and_pytorch_as_they_were() -> None:
    module = nn.Sequential(nn.BatchNorm1d(20), nn.TransformerEncoderLayer(16, 4, 32, batch_first=True))
    before = {name: x.clone() for name, x in module.state_dict().items()}
    count_macs(module, SHAPE)
    assert all(torch.equal(x, before[name]) for name, x in module.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()
    assert next(module.parameters()).dtype == torch.float32


def test_a_model_without_a_count_says_so_in_its_record_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = ToyPerceptron.build

    def built(self: ToyPerceptron, shape: Shape, seed: int) -> nn.Module:
        return nn.Sequential(Made(lambda x: x + 0 * product(x)[..., : x.shape[-1]]), build(self, shape, seed))

    monkeypatch.setattr(ToyPerceptron, "build", built)
    (pair,) = [pair for pair in TOYS if (pair.task, pair.model) == ("toy-classes", "toy-mlp")]
    (record,) = run(pair.configure("short"), [1], tmp_path)
    assert record.status == "done"
    assert record.cost.macs is None
    assert record.cost.macs_missing == "PyTorch does not say how much glebench_test::product multiplies"
    written = json.loads(next(tmp_path.glob("*/*/*/*/record.json")).read_text())
    assert written["cost"]["macs"] is None
    table = markdown(results_table(registry.task("toy-classes"), [record]))
    assert "Multiply-accumulates of toy-mlp are not known: PyTorch does not say how much" in table


def test_todays_count_is_that_of_every_committed_record() -> None:
    from gle_bench.report.results import gather

    counts: dict[tuple[str, str], set[int]] = {}
    for _, record in gather(Path("none"))[0]:
        if record.cost.macs is not None:
            counts.setdefault((record.task, record.model), set()).add(record.cost.macs)
    assert len(counts) > 10
    for (task, model), kept in counts.items():
        config = registry.pair(task, model).configure("paper")
        if isinstance(config.network, OfflineModel):
            shape = registry.task(task).shape(config.options)
            assert {count_macs(config.network.build(shape, 1), shape).number} == kept
        else:
            assert {_of_network(config)} == kept


def test_a_network_that_numpy_computes_has_no_count() -> None:
    class ByNumPy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            weight = self.inner.weight.detach().numpy()
            return torch.from_numpy(x.detach().numpy() @ weight.T)

    number, missing = count_macs(ByNumPy(), SHAPE)
    assert (number, missing) == (None, "none of its 1 learned matrices is seen in a product, as where NumPy computes")
