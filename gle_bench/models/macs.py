"""Multiply-accumulates of a module's forward pass, as counted by PyTorch; none where the count is not reliable."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from gle_bench.contracts import Shape
from gle_bench.plugins import described

FLOPS_A_MAC: Final = 2


class Macs(NamedTuple):
    """The multiply-accumulates of one sample; None if they cannot be counted, and why."""

    number: int | None
    missing: str | None = None


def count_macs(module: nn.Module, shape: Shape) -> Macs:
    """Counts the multiply-accumulates of matrix products and convolutions; elementwise operations do not count.

    Fused kernels are avoided: in evaluation mode PyTorch would use them for some layers (transformer encoders,
    attention, LSTMs in float32), and its counter does not know them. If the module uses an operator that neither the
    counter nor this file knows, there is no count.
    """
    try:
        few, more = (_products(module, shape, samples) for samples in (2, 4))  # a batch norm refuses a single one
    except Exception as error:  # a plugin's module may fail in float64, on zeros, or when copied
        return Macs(None, f"the module cannot be run to be counted: {described(error)}")
    if unknown := few.unknown | more.unknown:
        return Macs(None, f"PyTorch does not say how much {', '.join(sorted(unknown))} multiplies")
    a_sample, rest = divmod(more.macs - few.macs, 2)
    once = few.macs - 2 * a_sample  # products of weights alone, which do not depend on the samples
    if not more.macs and (unseen := sum(x.dim() > 1 and x.numel() > 0 for x in module.parameters() if x.requires_grad)):
        return Macs(None, f"none of its {unseen} learned matrices is seen in a product, as where NumPy computes")
    if rest or once < 0 or a_sample < 0:
        return Macs(None, f"2 samples take {few.macs} and 4 take {more.macs}, which is no multiple")
    return Macs(once + a_sample)


class _Counted(NamedTuple):
    macs: int
    unknown: frozenset[str]


def _products(module: nn.Module, shape: Shape, samples: int) -> _Counted:
    # A copy, since counting may move running averages; float64, as float32 has fused kernels that float64 has not.
    copy = deepcopy(module).eval().double()
    device = next((x.device for x in copy.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(samples, shape.steps, shape.inputs, dtype=torch.float64, generator=generator).to(device)
    watch = _Watch()
    with torch.no_grad(), _unfused(), watch, FlopCounterMode(display=False) as counter:
        copy(inputs)
    macs, rest = divmod(int(counter.get_total_flops()), FLOPS_A_MAC)
    assert rest == 0, "PyTorch counts two operations a multiply-accumulate"
    return _Counted(macs, frozenset(watch.unknown))


@contextmanager
def _unfused() -> Iterator[None]:
    """Makes PyTorch compute attention by matrix products, and transformer layers without fused kernels."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recorder of all operators, decomposed as far as PyTorch can, whose number of products is not known."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unknown: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        outer = func.overloadpacket.__name__.rstrip("_") in _BY_ELEMENTS and _is_outer(args, out)
        if outer or not (func.overloadpacket in flop_registry or _multiplies_nothing(func)):
            self.unknown.add(func.overloadpacket.__str__().replace(".", "::"))
        return out


def _multiplies_nothing(func: Any) -> bool:
    """Whether an operator is elementwise, a reduction, a copy, a view or a constructor, which has no products."""
    if func.namespace not in ("aten", "prim"):
        return False  # the tags of third-party operators are not trusted
    tags = {torch.Tag.pointwise, torch.Tag.reduction, torch.Tag.inplace_view}
    return func.is_view or bool(tags & set(func.tags)) or func.overloadpacket.__name__.rstrip("_") in _HARMLESS


def _is_outer(args: Any, out: Any) -> bool:
    """Whether an elementwise product is larger than all of its factors, as in a matrix product written by hand."""
    factors = [x for x in args if isinstance(x, Tensor) and x.numel() > 1]
    return len(factors) > 1 and all(out.numel() > x.numel() for x in factors)


_BY_ELEMENTS: Final = frozenset({"mul", "addcmul"})
# Operators without products of matrices that PyTorch does not tag as such.
_HARMLESS: Final = frozenset(
    """
    _adaptive_avg_pool2d _adaptive_avg_pool3d _fft_c2c _fft_c2r _fft_r2c _index_put_impl _local_scalar_dense
    _log_softmax _native_batch_norm_legit _native_batch_norm_legit_functional _native_batch_norm_legit_no_training
    _reshape_copy _safe_softmax _softmax _to_copy _unsafe_index _unsafe_view _weight_norm_interface
    adaptive_max_pool2d adaptive_max_pool3d all amax amin any arange argmax argmin argsort avg_pool1d avg_pool2d
    avg_pool3d bernoulli bucketize cat complex constant_pad_nd copy cummax cummin cumprod cumsum detach diag_embed dim
    embedding empty empty_like empty_permuted empty_strided eye fill flip full full_like gather glu index index_add
    index_copy index_fill index_put index_select item lift_fresh linalg_vector_norm linspace logcumsumexp logspace
    logsumexp masked_scatter masked_select max max_pool2d_with_indices max_pool3d_with_indices mean min
    native_batch_norm native_dropout native_group_norm native_layer_norm new_empty new_empty_strided new_full
    new_ones new_zeros nonzero norm normal ones ones_like pixel_shuffle pixel_unshuffle polar prod rand rand_like randn
    randn_like randperm reflection_pad1d reflection_pad2d repeat replication_pad1d replication_pad2d resize roll
    rot90 scalar_tensor scatter scatter_add scatter_reduce searchsorted select_scatter set_ slice_scatter sort
    split_with_sizes_copy stack std std_mean sum sym_size topk tril triu unbind_copy unfold_copy uniform
    unsafe_split unsafe_split_with_sizes upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
    var var_mean zero zeros zeros_like
    """.split()  # noqa: SIM905 (a line each would be a page)
)
