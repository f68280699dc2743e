"""The PyTorch module of NeuroBench's LSTM, whose cell sees a window of the last values."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gle_bench.contracts import Shape

from .causal import windows


class Memory(NamedTuple):
    """The state of the network, which is carried from step to step."""

    window: Tensor  # (B, W, C_in)
    h: Tensor  # (B, H)
    c: Tensor


class Lookback(nn.Module):
    """An LSTM cell that sees the last `window` values of the signal shift + scale * input, and a linear readout."""

    window: Tensor
    h: Tensor
    c: Tensor

    def __init__(self, shape: Shape, *, hidden: int, window: int, shift: float, scale: float) -> None:
        super().__init__()
        seen = window * shape.inputs
        self.cell = nn.LSTMCell(seen, hidden)
        self.readout = nn.Linear(hidden, shape.outputs)
        self.norm = nn.LayerNorm(seen)
        self.shift, self.scale = shift, scale
        # What the memory starts from; a buffer, so that it counts in the footprint, as NeuroBench's does.
        self.register_buffer("window", torch.zeros(1, window, shape.inputs), persistent=False)
        self.register_buffer("h", torch.zeros(1, hidden), persistent=False)
        self.register_buffer("c", torch.zeros(1, hidden), persistent=False)

    def start(self, batch: int) -> Memory:
        """The memory before the first time step."""
        return Memory(*(x.expand(batch, *x.shape[1:]) for x in (self.window, self.h, self.c)))

    def step(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """One time step: x (B, C_in) and the memory so far -> outputs (B, C_out) and the memory from here on."""
        window = torch.cat([memory.window[:, 1:], (self.shift + self.scale * x)[:, None]], 1)
        h, c = self.cell(self.norm(window.flatten(1)), memory[1:])
        return self._read(h), Memory(window, h, c)

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs (B, T, C_in) -> (B, T, C_out). Only the cell runs step by step; the rest is computed at once."""
        memory = self.start(len(inputs))
        seen = windows(memory.window[:, 1:], self.shift + self.scale * inputs)  # (B, T, W, C_in)
        state, outputs = memory[1:], []
        for window in self.norm(seen.flatten(2)).unbind(1):
            state = self.cell(window, state)
            outputs.append(state[0])
        return self._read(torch.stack(outputs, 1))

    def _read(self, h: Tensor) -> Tensor:
        outputs: Tensor = (self.readout(h.relu()) - self.shift) / self.scale
        return outputs
