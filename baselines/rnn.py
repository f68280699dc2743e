"""Gated recurrent networks, with a readout of their whole history or of their last state."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from gle_bench.config import Count
from gle_bench.models import gsc, mnist1d
from gle_bench.models.initial import seeded
from gle_bench.protocols import OfflineModel, Shape


class GRU(OfflineModel):
    """One bidirectional layer of gated recurrent units, then a linear readout of both directions at all time steps.

    So it predicts after the whole sequence only, and its readout grows with the sequence.

    Attributes:
        hidden: units a direction; they start at zero.
    """

    streamed: ClassVar[bool] = True  # as the paper's Table 2 counts it, although one direction reads from the end

    hidden: Count = 6

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out)."""
        with seeded(seed):
            units = nn.GRU(shape.inputs, self.hidden, batch_first=True, bidirectional=True)
            return _Recurrent(units, nn.Linear(2 * self.hidden * shape.steps, shape.outputs))


class _Recurrent(nn.Module):
    def __init__(self, units: nn.GRU, readout: nn.Linear) -> None:
        super().__init__()
        self.units, self.readout = units, readout

    def forward(self, inputs: Tensor) -> Tensor:
        history, _ = self.units(inputs)  # (B, T, 2 H)
        logits: Tensor = self.readout(history.flatten(1))
        return logits


class LastStateGRU(OfflineModel):
    """TensorFlow 1's gated recurrent units, one way, and a linear readout of their last state.

        r, z = sigmoid(W [x, h] + b)    c = tanh(V [x, r * h] + a)    h <- z * h + (1 - z) * c

    PyTorch's GRU resets V's product with h instead of h itself, and has a second bias.

    Attributes:
        hidden: units; they start at zero.
        gate_bias: first value of b; a starts at zero.
    """

    streamed: ClassVar[bool] = True

    hidden: Count = 400
    gate_bias: float = 1.0

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out)."""
        with seeded(seed):
            units = _ResetBefore(shape.inputs, self.hidden, self.gate_bias)
            return _LastState(units, _glorot(nn.Linear(self.hidden, shape.outputs), 0.0))


class _ResetBefore(nn.Module):
    def __init__(self, inputs: int, hidden: int, gate_bias: float) -> None:
        super().__init__()
        self.gates = _glorot(nn.Linear(inputs + hidden, 2 * hidden), gate_bias)
        self.candidate = _glorot(nn.Linear(inputs + hidden, hidden), 0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, C_in) -> (B, H), the last state."""
        channels, hidden = inputs.shape[2], self.candidate.out_features
        weight = torch.cat([self.gates.weight[:, :channels], self.candidate.weight[:, :channels]])
        # What the inputs contribute, at all steps at once: (T, B, 2 H) and (T, B, H).
        driven = nn.functional.linear(inputs.transpose(0, 1), weight, torch.cat([self.gates.bias, self.candidate.bias]))
        to_gates, to_candidate = torch.split(driven, [2 * hidden, hidden], 2)
        gates, candidate = self.gates.weight[:, channels:].t(), self.candidate.weight[:, channels:].t()
        state = inputs.new_zeros(len(inputs), hidden)
        for gate_input, candidate_input in zip(to_gates.unbind(), to_candidate.unbind(), strict=True):
            reset, update = torch.addmm(gate_input, state, gates).sigmoid().chunk(2, 1)
            new = torch.addmm(candidate_input, reset * state, candidate).tanh()
            state = new + update * (state - new)
        return state


class LastStateLSTM(OfflineModel):
    """TensorFlow 1's basic LSTM, one way, without peepholes or projection, and a linear readout of its last output.

    Attributes:
        hidden: units; they start at zero.
        forget_bias: first value of the forget gate's bias; the other biases start at zero.
    """

    streamed: ClassVar[bool] = True

    hidden: Count = 344
    forget_bias: float = 1.0

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out)."""
        with seeded(seed):
            units = _OneBias(shape.inputs, self.hidden, self.forget_bias)
            return _LastState(units, _glorot(nn.Linear(self.hidden, shape.outputs), 0.0))


class _OneBias(nn.Module):
    """PyTorch's LSTM, which has two biases, without any: a further input that is always 1 brings a single one."""

    def __init__(self, inputs: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.units = nn.LSTM(inputs + 1, hidden, bias=False, batch_first=True)
        from_input, from_state = self.units.parameters()
        bound = math.sqrt(6 / (inputs + hidden + 4 * hidden))  # Glorot's, of one kernel for input, state and all gates
        with torch.no_grad():
            from_input.uniform_(-bound, bound)[:, inputs] = 0
            from_input[hidden : 2 * hidden, inputs] = forget_bias  # in PyTorch's order of gates: i, f, g, o
            from_state.uniform_(-bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, C_in) -> (B, H), the last output."""
        last: Tensor = self.units(nn.functional.pad(inputs, (0, 1), value=1.0))[1][0][0]
        return last


class _LastState(nn.Module):
    def __init__(self, units: nn.Module, readout: nn.Linear) -> None:
        super().__init__()
        self.units, self.readout = units, readout

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.units(inputs))
        return logits


def _glorot(layer: nn.Linear, bias: float) -> nn.Linear:
    """The layer, its first weights uniform on +-sqrt(6 / (fan-in + fan-out)), its biases all the same."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.constant_(layer.bias, bias)
    return layer


PAIRS = (
    mnist1d.offline_pair(
        "gru",
        GRU(),
        steps=72,
        rate=0.01,
        summary="6 units a direction on 72 steps, the generator's own resolution: 8,974 parameters",
    ),
    mnist1d.offline_pair(
        "gru-0",
        GRU(),
        steps=40,
        rate=0.01,
        summary="6 units a direction on MNIST-1D's original length: 5,134 parameters",
    ),
    gsc.offline_pair(
        "gru",
        LastStateGRU(),
        front_end="mfcc-49",
        summary="Hello Edge's GRU-L, 400 units on 49 frames of 10 MFCC: 498,012 parameters",
        notes=("PyTorch's own GRU resets after the product and has two biases: 499,212 parameters, another function.",),
    ),
    gsc.offline_pair(
        "lstm",
        LastStateLSTM(),
        front_end="mfcc-49",
        summary="Hello Edge's basic LSTM-L, 344 units on 49 frames of 10 MFCC: 492,620 parameters",
        notes=(
            "The paper's Table 3 gives a window of 20 ms; the frozen graph and the commands of Hello Edge say 40 ms.",
        ),
    ),
)
