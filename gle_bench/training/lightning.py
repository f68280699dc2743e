"""What training uses of PyTorch Lightning, imported without the packages that Lightning imports and we never use.

Lightning asks torchmetrics for the classes of its metrics and torch._dynamo for the class of compiled modules, only to
recognise their objects. The two import scipy.signal, matplotlib and sympy, and take three times as long as PyTorch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

_PACKAGES = ("pytorch_lightning", "lightning_fabric")


def _unchanged(function: Any = None, *_: Any, **__: Any) -> Any:
    """The function as it is, as a decorator with arguments or without."""
    return _unchanged if function is None else function


# The names that Lightning 2.6 looks up while it is imported. Classes have no objects, so that `isinstance` is false.
_STAND_INS: dict[str, dict[str, Any]] = {
    "torchmetrics": {"Metric": type("Metric", (), {}), "MetricCollection": type("MetricCollection", (), {})},
    "torch._dynamo": {"OptimizedModule": type("OptimizedModule", (), {}), "disable": _unchanged},
}


@contextmanager
def _standing_in() -> Iterator[None]:
    """Has small modules stand in for those of `_STAND_INS` that nobody has imported yet; afterwards they are gone."""
    absent = [name for name in _STAND_INS if name not in sys.modules]
    for name in absent:
        module = ModuleType(name)
        vars(module).update(_STAND_INS[name])
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
        if "torch._dynamo" in absent:
            vars(torch).pop("_dynamo", None)  # so that its next import binds the real one


def _import_quickly() -> None:
    """Imports Lightning with stand-ins; a Lightning that asks more of them is imported as it is."""
    if "pytorch_lightning" in sys.modules:
        return
    try:
        with _standing_in():
            importlib.import_module("pytorch_lightning")
            torch.optim.SGD([torch.zeros(1)], lr=1.0)  # the first optimizer of a process asks for torch._dynamo, too
    except (AttributeError, ImportError):
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]


_import_quickly()

from lightning_fabric.plugins.environments.lightning import LightningEnvironment  # noqa: E402
from lightning_fabric.utilities import move_data_to_device  # noqa: E402
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer  # noqa: E402
from pytorch_lightning.strategies import SingleDeviceStrategy  # noqa: E402

__all__ = [
    "Callback",
    "LightningDataModule",
    "LightningEnvironment",
    "LightningModule",
    "SingleDeviceStrategy",
    "Trainer",
    "move_data_to_device",
]
