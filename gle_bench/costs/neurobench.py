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
    """What running samples takes, a sample each. A layer whose inputs are all 0, 1 or -1 counts as spiking: ACs.

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
    """Share of zeros among the weights of its layers, to four places; None where it has no layer that NeuroBench knows.

    Biases count in recurrent layers only.
    """
    from neurobench.metrics.static import ConnectionSparsity

    model = _wrapped(module)
    if not any(weight.numel() for layer in model.connection_layers() for weight in layer.parameters()):
        return None
    return float(ConnectionSparsity()(model))


def workload(module: nn.Module, samples: Tensor, activations: Sequence[type[nn.Module]] = ()) -> Workload | None:
    """What the module does with samples (B, T, C), beside what it answers; in evaluation mode and without autograd.

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
    """As NeuroBench wants a model: it looks at the children of what it is given, so a lone layer needs a parent."""
    from neurobench.models import TorchModel

    return TorchModel(module if list(module.children()) else nn.Sequential(module))


@contextmanager
def _watched(model: Any) -> Any:
    model.register_hooks()
    try:
        yield
    finally:
        model.cleanup_hooks()
