"""Gated recurrent networks, with a readout of their whole history, of every state or of their last state."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, Literal

from gle_bench.config import Count
from gle_bench.contracts import OfflineModel, Refused, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes import cifar10, gsc, mackey_glass, mnist1d

if TYPE_CHECKING:
    from torch import nn


class Bidirectional(OfflineModel):
    """A bidirectional layer of PyTorch's recurrent units and a linear readout of both directions at all time steps.

    It predicts only after the whole sequence, and its readout grows with the length of the sequence.

    Attributes:
        cell: gated recurrent units or long short-term memory.
        hidden: number of units in each direction; they start at zero.
    """

    streamed: ClassVar[bool] = True  # as the paper's Table 2 counts it, although one direction reads from the end

    cell: Literal["gru", "lstm"] = "gru"
    hidden: Count = 6

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out)."""
        from torch import nn

        from .modules.rnn import WholeHistory

        layer = {"gru": nn.GRU, "lstm": nn.LSTM}[self.cell]
        with seeded(seed):
            units = layer(shape.inputs, self.hidden, batch_first=True, bidirectional=True)
            return WholeHistory(units, nn.Linear(2 * self.hidden * shape.steps, shape.outputs))


class EveryStateGRU(OfflineModel):
    """PyTorch's gated recurrent units, one way, and a linear readout of their state at every time step.

    Attributes:
        hidden: units; they start at zero.
    """

    streamed: ClassVar[bool] = True
    closed_loop: ClassVar[bool] = True

    hidden: Count = 54

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, T, C_out)."""
        from torch import nn

        from .modules.rnn import EveryState

        with seeded(seed):
            units = nn.GRU(shape.inputs, self.hidden, batch_first=True)
            return EveryState(units, nn.Linear(self.hidden, shape.outputs))


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
        Bidirectional(),
        steps=72,
        rate=0.01,
        summary="6 units a direction on 72 steps, the generator's own resolution: 8,974 parameters",
    ),
    mnist1d.offline_pair(
        "gru-0",
        Bidirectional(),
        steps=40,
        rate=0.01,
        summary="6 units a direction on MNIST-1D's original length: 5,134 parameters",
    ),
    mnist1d.offline_pair(
        "lstm",
        Bidirectional(cell="lstm"),
        steps=72,
        rate=0.03,
        summary="gru with 6 units of long short-term memory a direction: 9,082 parameters",
        notes=(
            "The paper has no LSTM on this task; length and units are those of its gru. The rate is higher: with seed "
            "1, clean's validation gave 90.6 % at 0.03, 87.4 % at 0.01 and 84.3 % at 0.003 under budget short.",
        ),
        tried=2,
    ),
    mackey_glass.offline_pair(
        "gru",
        EveryStateGRU(),
        mackey_glass.last_value(washout=0.9),
        updates=300,
        rate=2e-2,
        summary="54 units on the last value: 9,289 parameters",
        notes=("Rates 0.002, 0.01 and 0.02 gave an sMAPE of 10.9, 9.4 and 8.7 % on clean's validation, sequence 0.",),
        tried=3,
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
    cifar10.offline_pair(
        "gru",
        LastStateGRU(hidden=420),
        summary="Hello Edge's kind of GRU, 420 units on the rows of an image: 655,630 parameters",
        tried=1,
    ),
    cifar10.offline_pair(
        "lstm",
        LastStateLSTM(hidden=358),
        summary="Hello Edge's kind of LSTM, 358 units on the rows of an image: 655,150 parameters",
        tried=1,
    ),
)

REFUSED = (Refused(("gru-0",), "a variant for the table of MNIST-1D; the model of each task is named gru"),)
