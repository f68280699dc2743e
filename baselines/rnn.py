"""Gated recurrent networks with a readout of their whole history."""

from typing import ClassVar

from torch import Tensor, nn

from gle_bench.config import Count
from gle_bench.models.initial import seeded
from gle_bench.models.mnist1d import offline_pair
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


PAIRS = (
    offline_pair(
        "gru",
        GRU(),
        steps=72,
        rate=0.01,
        summary="6 units a direction on 72 steps, the generator's own resolution: 8,974 parameters",
    ),
    offline_pair(
        "gru-0",
        GRU(),
        steps=40,
        rate=0.01,
        summary="6 units a direction on MNIST-1D's original length: 5,134 parameters",
    ),
)
