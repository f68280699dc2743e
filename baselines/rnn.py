"""Gated recurrent networks, with a readout of their whole history or of their last state."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from gle_bench.config import Count
from gle_bench.contracts import OfflineModel, Refused, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes import gsc, mnist1d

if TYPE_CHECKING:
    from torch import nn


class GRU(OfflineModel):
    """A bidirectional layer of gated recurrent units and a linear readout of both directions at all time steps.

    It predicts only after the whole sequence, and its readout grows with the length of the sequence.

    Attributes:
        hidden: number of units in each direction; they start at zero.
    """

    streamed: ClassVar[bool] = True  # as the paper's Table 2 counts it, although one direction reads from the end

    hidden: Count = 6

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out)."""
        from torch import nn

        from .modules.rnn import Recurrent

        with seeded(seed):
            units = nn.GRU(shape.inputs, self.hidden, batch_first=True, bidirectional=True)
            return Recurrent(units, nn.Linear(2 * self.hidden * shape.steps, shape.outputs))


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
        from torch import nn

        from .modules.rnn import ResetBefore, glorot

        with seeded(seed):
            units = ResetBefore(shape.inputs, self.hidden, self.gate_bias)
            readout = glorot(nn.Linear(self.hidden, shape.outputs), 0.0)
            return nn.Sequential(OrderedDict(units=units, readout=readout))


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
        from torch import nn

        from .modules.rnn import OneBias, glorot

        with seeded(seed):
            units = OneBias(shape.inputs, self.hidden, self.forget_bias)
            readout = glorot(nn.Linear(self.hidden, shape.outputs), 0.0)
            return nn.Sequential(OrderedDict(units=units, readout=readout))


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

REFUSED = (Refused(("gru-0",), "a variant for the table of MNIST-1D; the model of each task is named gru"),)
