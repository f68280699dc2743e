"""The PyTorch module of causal networks without recurrence, and the windows of past values that networks see."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


def windows(past: Tensor, values: Tensor, dilation: int = 1) -> Tensor:
    """The windows (B, T, K, C) that end at the steps of `values` (B, T, C), each from its oldest value to its newest.

    `past` (B, P, C) are the values before the first step. A window reaches back over P steps and holds every
    `dilation`-th value: K = 1 + P / dilation.
    """
    reach = past.shape[1] + 1
    return torch.cat([past, values], 1).unfold(1, reach, 1)[..., ::dilation].transpose(2, 3)


class CausalLayer(nn.Module):
    """A layer phi(W w + b) of the window w of `taps` values below it, `dilation` steps apart.

    If `residual`, the present values below are added to it.
    """

    def __init__(
        self, below: int, above: int, taps: int, dilation: int, phi: Literal["relu", "tanh"], residual: bool
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(taps * below, above)
        self.below, self.past, self.dilation = below, (taps - 1) * dilation, dilation
        self.phi, self.residual = phi, residual

    def forward(self, past: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Past values (B, P, C) and values (B, T, C) below -> the values to keep (B, P, C) and outputs (B, T, N)."""
        driven = self.linear(windows(past, values, self.dilation).flatten(2))
        kept = torch.cat([past, values], 1)[:, values.shape[1] :]
        outputs = driven.tanh() if self.phi == "tanh" else driven.relu()
        return kept, values + outputs if self.residual else outputs


class Causal(nn.Module):
    """Causal layers one above the other and a linear readout: (B, T, C_in) -> (B, T, C_out).

    The memory has the past values below each layer that its next window reaches back to. They start at zero.
    """

    recurrent = False  # the memory is no state of neurons

    def __init__(self, layers: Sequence[CausalLayer], readout: nn.Linear) -> None:
        super().__init__()
        self.layers, self.readout = nn.ModuleList(layers), readout
        self._sizes = [(layer.past, layer.below) for layer in layers]

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """The memory before the first time step, (B, P, C) for each layer."""
        return tuple(self.readout.weight.new_zeros(batch, *size) for size in self._sizes)

    def step(self, x: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One time step: x (B, C_in) and the memory so far -> outputs (B, C_out) and the memory from here on."""
        outputs, memory = self._run(x[:, None], memory)
        return outputs[:, 0], memory

    def forward(self, inputs: Tensor) -> Tensor:
        return self._run(inputs, self.start(len(inputs)))[0]

    def _run(self, values: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        kept = []
        for layer, past in zip(self.layers, memory, strict=True):
            past, values = layer(past, values)
            kept.append(past)
        return self.readout(values), tuple(kept)
