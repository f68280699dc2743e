"""The conversion of modules that NeuroBench's hooks cannot watch, by recording the operations that PyTorch executes."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gle_bench.costs.exhibits import Activated, Exhibit, Run
from gle_bench.models.modules.ridge import linear


def traced_exhibit(module: nn.Module, samples: Tensor) -> Exhibit:
    """The exhibit of a module, made of PyTorch's operations while the module runs on samples (B, T, C).

    Products with weights, or with functions of weights alone, become `nn.Linear` and convolutions, one for each
    matrix. Outputs of nonlinear functions become the rates of neurons, except inside PyTorch's own recurrent layers
    and cells, which NeuroBench does not look into either.
    """
    with torch.no_grad(), _Trace(module) as trace:
        outputs = module(samples)
    trace.close()
    connections = [call.connection for call in trace.calls.values()]
    given = [torch.cat(call.given) for call in trace.calls.values()]
    return Exhibit(connections, [Activated() for _ in trace.rates], lambda _: Run(given, trace.rates, outputs))


class _Call(NamedTuple):
    """A matrix of weights as a module, and all inputs that were multiplied with it."""

    connection: nn.Module
    given: list[Tensor]


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recorder of products with weights, and of the outputs of nonlinear functions."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: dict[tuple[Any, ...], _Call] = {}
        self.rates: list[Tensor] = []
        self._weights = {x.untyped_storage().data_ptr(): x for x in (*module.parameters(), *module.buffers())}
        self._weights.pop(0, None)  # the address of all empty tensors
        self._inside = 0  # number of recurrent modules that are running
        recurrent = [part for part in module.modules() if isinstance(part, nn.RNNBase | nn.RNNCellBase)]
        self._hooks = [part.register_forward_pre_hook(lambda *_: self._went(1)) for part in recurrent]
        self._hooks += [part.register_forward_hook(lambda *_: self._went(-1)) for part in recurrent]

    def _went(self, by: int) -> None:
        self._inside += by

    def close(self) -> None:
        """Removes the hooks from the module."""
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [
            x for arg in args for x in (arg if isinstance(arg, list | tuple) else [arg]) if isinstance(x, Tensor)
        ]
        name = func.overloadpacket.__name__.rstrip("_")
        constant = tensors and all(map(self._is_weight, tensors)) and name not in _ANEW
        for made in out if isinstance(out, list | tuple) else [out]:
            if isinstance(made, Tensor) and constant:
                self._weights[made.untyped_storage().data_ptr()] = made  # kept, so that its address stays taken
            elif isinstance(made, Tensor):  # overwritten, so no longer a constant
                self._weights.pop(made.untyped_storage().data_ptr(), None)
        if constant:
            return out
        if name in _PRODUCTS:
            self._multiplied(*_PRODUCTS[name](args))
        elif name == "convolution":
            self._convolved(args)
        elif name in _NONLINEAR and not self._inside:
            self.rates.append(out.clone())
        return out

    def _is_weight(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._weights

    def _multiplied(self, left: Tensor, right: Tensor) -> None:
        if left.dim() == 3:  # side by side
            for one, other in zip(left, right, strict=True):
                self._multiplied(one, other)
            return
        if self._is_weight(left):  # W x instead of x W^T
            left, right = (right.mT if right.dim() > 1 else right[None]), left.mT
        if self._is_weight(right):
            matrix = right if right.dim() > 1 else right[:, None]
            self._note(matrix, left, lambda: linear(matrix.mT))

    def _convolved(self, args: Any) -> None:
        inputs, weight, _, stride, padding, dilation, _, _, groups = args
        kinds: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}

        def made() -> nn.Module:
            shape = (inputs.shape[1], len(weight), weight.shape[2:])
            rest = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": False}
            layer = kinds[weight.dim()](*shape, **rest, dtype=weight.dtype)
            layer.weight = nn.Parameter(weight)
            return layer

        self._note(weight, inputs, made)

    def _note(self, weight: Tensor, given: Tensor, made: Callable[[], nn.Module]) -> None:
        place = (weight.untyped_storage().data_ptr(), weight.storage_offset(), weight.shape, weight.stride())
        key = (*place, given.shape[1:])
        if key not in self.calls:
            self.calls[key] = _Call(made(), [])
        self.calls[key].given.append(given.clone())


_PRODUCTS: dict[str, Callable[[Any], tuple[Tensor, Tensor]]] = {
    "mm": lambda args: (args[0], args[1]),
    "bmm": lambda args: (args[0], args[1]),
    "mv": lambda args: (args[0], args[1]),
    "addmm": lambda args: (args[1], args[2]),
    "baddbmm": lambda args: (args[1], args[2]),
    "addmv": lambda args: (args[1], args[2]),
}
# What is made of a weight's shape or kind, but not of its values.
_ANEW: Final = frozenset(
    {"new_empty", "new_full", "new_ones", "new_zeros", "empty_like", "full_like", "ones_like", "zeros_like"}
)
_NONLINEAR: Final = frozenset({"relu", "tanh", "sigmoid", "softplus", "hardtanh", "leaky_relu", "elu", "gelu", "silu"})
