"""Chunks of time steps on buffers at fixed addresses, captured as CUDA graphs on a GPU, and run directly on a CPU."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gle_bench.dynamics.window import Window

SHORTEST, LONGEST = 20, 60  # steps of a chunk: enough to make its copies cheap, few enough to capture soon


class Loop:
    """A loop over the chunks of a batch: it copies signals into buffers, runs each chunk and copies outputs out.

    Args:
        window: buffers for the signals of a chunk.
        outputs: buffer for the outputs of a chunk, (steps, S, B, C).
        tf32: whether matrix products may round float32 to TF32.
    """

    def __init__(self, window: Window, outputs: Tensor, tf32: bool) -> None:
        self.window, self.outputs, self.tf32 = window, outputs, tf32
        self.calls: dict[int, Callable[[], None]] = {}

    def prepare(self, steps: int, chunk: Callable[[int], Tensor]) -> None:
        """Captures the graphs that a batch of `steps` steps needs and that do not exist yet; this overwrites buffers.

        `chunk` runs a number of steps on the buffers and returns the outputs (steps, S, B, C). It is not kept as an
        attribute, because a circular reference to its owner would keep GPU memory after the last use.
        """
        rest = steps % self.window.steps
        for length in (self.window.steps, *([rest] if rest else [])):
            if length not in self.calls:
                self.calls[length] = capture(self._body(chunk, length), self.outputs.device, self.tf32)

    def _body(self, chunk: Callable[[int], Tensor], length: int) -> Callable[[], None]:
        def body() -> None:
            self.outputs[:length].copy_(chunk(length))

        return body

    def run(self, batch: Window, load: Callable[[int, int], object] = lambda begin, end: None) -> Tensor:
        """The outputs (S, B, T, C) of a batch. `load(begin, end)` fills further buffers before each chunk of steps."""
        outputs = self.outputs.new_empty(batch.steps, *self.outputs.shape[1:])
        for begin in range(0, batch.steps, self.window.steps):
            end = min(begin + self.window.steps, batch.steps)
            copy(self.window.part(0, end - begin), batch.part(begin, end))
            load(begin, end)
            self.calls[end - begin]()
            outputs[begin:end] = self.outputs[: end - begin]
        return outputs.permute(1, 2, 0, 3)


def capture(body: Callable[[], None], device: torch.device, tf32: bool) -> Callable[[], None]:
    """A function that repeats `body`: on a GPU its CUDA graph, captured after a first run; on a CPU `body` itself."""
    if device.type != "cuda":
        return body
    with torch.cuda.device(device), matmul_precision(tf32):
        # One stream for both: cuBLAS makes its handle and workspace for a stream at first use, which is not captured.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            body()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Threads that load data may pin memory meanwhile: only what this thread does must suit a capture.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            body()
    return graph.replay


@contextmanager
def matmul_precision(tf32: bool) -> Iterator[None]:
    """A context that sets whether CUDA's float32 products and convolutions use TF32.

    A graph keeps the setting with which it was captured. PyTorch's default is TF32 for convolutions only, and
    convolution algorithms that may differ in the last bits from call to call; here they are deterministic.
    """
    kinds = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before, repeats = [kind.fp32_precision for kind in kinds], torch.backends.cudnn.deterministic
    for kind in kinds:
        kind.fp32_precision = "tf32" if tf32 else "ieee"
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = repeats
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


def chunk_length(steps: int) -> int:
    """The number of steps of a chunk: a suitable divisor of all steps if there is one, else nearly equal parts."""
    if steps <= LONGEST:
        return steps
    divisors = (length for length in range(LONGEST, SHORTEST - 1, -1) if steps % length == 0)
    return next(divisors, steps // -(-steps // LONGEST))


def tensors(nested: object) -> list[Tensor]:
    """The list of all tensors in nested tuples, in order."""
    if isinstance(nested, Tensor):
        return [nested]
    return [tensor for part in nested for tensor in tensors(part)] if isinstance(nested, tuple) else []


def form(nested: object) -> Hashable:
    """The structure of nested tuples of tensors, with shapes, types and devices, as a key for fitting buffers."""
    if isinstance(nested, Tensor):
        return nested.shape, nested.dtype, nested.device
    return tuple(form(part) for part in nested) if isinstance(nested, tuple) else None


def copy(buffers: object, values: object) -> None:
    """Overwrites the tensors of nested tuples with those of others, in order."""
    for buffer, value in zip(tensors(buffers), tensors(values), strict=True):
        buffer.copy_(value)


def switch(buffers: object, values: object) -> None:
    """Overwrites buffers like `copy`, where the values may be views of other buffers."""
    copy(buffers, tuple(tensor.clone() for tensor in tensors(values)))
