"""A baseline in one file: a leaky recurrent network on MNIST-1D."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from gle_bench.config import Count, Positive
from gle_bench.contracts import OfflineModel, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes.mnist1d import offline_pair


class LeakyRNN(OfflineModel):
    """A layer of leaky integrators, which answers by a linear readout of their mean over time.

    Attributes:
        hidden: neurons.
        tau: their time constant, in time steps.
    """

    streamed: ClassVar[bool] = True  # it reads one time step after the other

    hidden: Count = 32
    tau: Positive = 5.0

    def build(self, shape: Shape, seed: int) -> nn.Module:
        with seeded(seed):
            return LeakyUnits(shape, self.hidden, self.tau)


class LeakyUnits(nn.Module):
    """h <- h + (tanh(W x + V h) - h) / tau."""

    def __init__(self, shape: Shape, hidden: int, tau: float) -> None:
        super().__init__()
        self.tau = tau
        self.inputs = nn.Linear(shape.inputs, hidden)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        self.readout = nn.Linear(hidden, shape.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """The sequence (B, T, C_in) -> the logits (B, C_out)."""
        h, history = inputs.new_zeros(len(inputs), self.recurrent.in_features), []
        for current in self.inputs(inputs).unbind(1):
            h = h + ((current + self.recurrent(h)).tanh() - h) / self.tau
            history.append(h)
        logits: Tensor = self.readout(torch.stack(history).mean(0))
        return logits


PAIRS = (
    offline_pair("leaky-rnn", LeakyRNN(), steps=40, rate=0.005, summary="32 leaky units on MNIST-1D's original length"),
)
