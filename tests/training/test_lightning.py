"""Lightning is imported without what it recognises only, which costs several times what PyTorch costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from gle_bench.training import lightning

IMPORTED = "import sys; import gle_bench.training.lightning; "


def python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_neither_it_nor_an_optimizer_of_ours_loads_what_compiles_plots_or_filters() -> None:
    heavy = {"matplotlib", "scipy", "sympy", "torch._dynamo", "torchmetrics"}
    python(
        IMPORTED + "from gle_bench.training.modules.online import EngineOptimizer;"
        "EngineOptimizer();"
        f"found = {heavy} & set(sys.modules); assert not found, found"
    )


@pytest.mark.systems
def test_the_real_modules_are_there_for_who_imports_them_afterwards() -> None:
    python(
        IMPORTED + "import torch, torchmetrics, torch._dynamo; torchmetrics.MeanMetric();"
        "assert torch._dynamo.OptimizedModule.__module__.startswith('torch._dynamo');"
        "assert torch.compile(lambda x: x + 1, backend='eager')(torch.ones(2)).sum() == 4"
    )


@pytest.mark.systems
@pytest.mark.parametrize("stand_in", ['"disable": _unchanged', '"MetricCollection": type("MetricCollection", (), {})'])
def test_a_lightning_that_asks_for_more_is_imported_as_it_is(stand_in: str) -> None:
    source = Path(lightning.__file__).read_text()
    assert stand_in in source
    python(
        f"exec({source.replace(stand_in, '')!r}); import torchmetrics; assert issubclass(torchmetrics.Metric, object)"
    )
