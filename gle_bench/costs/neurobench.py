"""NeuroBench's own metrics of any module that its hooks can watch.

Only the metrics of NeuroBench are imported, which need snnTorch, but no libraries of data sets. They are called as
NeuroBench's `Benchmark` calls them, but an error is raised, which `Benchmark` would turn into a zero.
"""

from collections.abc import Sequence
from contextlib import contextmanager
from importlib.metadata import version as installed
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Workload(NamedTuple):
    """NeuroBench's counts for running a module, per sample; layers whose inputs are all 0, 1 or -1 count as spiking.

    Attributes:
        dense: products, those with zeros too.
        effective_macs, effective_acs: those in which neither the weight nor what comes in is zero.
        activation_sparsity: share of zeros in what activations give; None where no activation module was called.
    """

    dense: float
    effective_macs: float
    effective_acs: float
    activation_sparsity: float | None


def version() -> str:
    """The version of NeuroBench that is installed."""
    return installed("neurobench")


def footprint(module: nn.Module) -> int:
    """The bytes of a module's parameters and buffers."""
    from neurobench.metrics.static import Footprint

    return int(Footprint()(_wrapped(module)))


def connection_sparsity(module: nn.Module) -> float | None:
    """The share of zeros among the weights of a module, to four places; None if NeuroBench knows none of its layers.

    Biases count in recurrent layers only.
    """
    from neurobench.metrics.static import ConnectionSparsity

    model = _wrapped(module)
    if not any(weight.numel() for layer in model.connection_layers() for weight in layer.parameters()):
        return None
    return float(ConnectionSparsity()(model))


def workload(module: nn.Module, samples: Tensor, activations: Sequence[type[nn.Module]] = ()) -> Workload | None:
    """The workload of a module on samples (B, T, C), in evaluation mode and without autograd.

    None where NeuroBench cannot see all of it: a layer whose weights are used without calling it, or a kind that it
    cannot count, or a module without any layer that it knows.

    Args:
        activations: classes of activation modules, beside `nn.ReLU` and `nn.Sigmoid`.
    """
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations

    model = _wrapped(module)
    for kind in activations:
        model.add_activation_module(kind)
    if any(isinstance(part, nn.RNNBase) for part in module.modules()):
        return None  # `SynapticOperations` raises at whole recurrent layers, and knows single cells
    with torch.no_grad(), _watched(model):
        outputs = model(samples)
        if not model.connection_hooks or not all(hook.inputs for hook in model.connection_hooks):
            return None
        data = (samples, outputs)
        counted = SynapticOperations()(model, outputs, data)
        active = any(hook.activation_outputs for hook in model.activation_hooks)
        sparsity = float(ActivationSparsity()(model, outputs, data)) if active else None
    return Workload(counted["Dense"], counted["Effective_MACs"], counted["Effective_ACs"], sparsity)


def _wrapped(module: nn.Module) -> Any:
    """A module in the form that NeuroBench needs: as the child of another, because it looks at children alone."""
    from neurobench.models import TorchModel

    return TorchModel(module if list(module.children()) else nn.Sequential(module))


@contextmanager
def _watched(model: Any) -> Any:
    model.register_hooks()
    try:
        yield
    finally:
        model.cleanup_hooks()
