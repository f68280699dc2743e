"""Temporal convolutional networks: strided, dilated convolutions over the whole sequence."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from gle_bench.config import Count
from gle_bench.models.initial import seeded
from gle_bench.models.mnist1d import offline_pair
from gle_bench.names import UsageError
from gle_bench.protocols import OfflineModel, Shape


class TCN(OfflineModel):
    """Convolutions along time with ReLU, and a linear readout of all channels at all positions that are left.

    Attributes:
        channels: of every layer.
        kernels: widths of the layers' kernels, in taps.
        stride, dilation: of every layer, in time steps (of its own input).
        padding: zeros on either side of every layer's input.
    """

    channels: Count = 25
    kernels: Annotated[tuple[Count, ...], Field(min_length=1)] = (5, 3, 3)
    stride: Count = 2
    dilation: Count = 9
    padding: Annotated[int, Field(ge=0)] = 1

    def positions(self, steps: int) -> int:
        """Positions that the last layer leaves of a sequence.

        Raises:
            UsageError: if a layer has no input as long as its dilated kernel.
        """
        for number, kernel in enumerate(self.kernels, start=1):
            reach, padded = self.dilation * (kernel - 1) + 1, steps + 2 * self.padding
            if reach > padded:
                raise UsageError(
                    f"dilation = {self.dilation} spreads the kernel of layer {number} over {reach} steps, more than "
                    f"its {padded} padded inputs; lower dilation or raise padding."
                )
            steps = (padded - reach) // self.stride + 1
        return steps

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out).

        Raises:
            UsageError: if the sequence is too short for the layers.
        """
        features = self.channels * self.positions(shape.steps)
        widths = [shape.inputs, *[self.channels] * len(self.kernels)]
        with seeded(seed):
            layers: list[nn.Module] = []
            for kernel, (below, above) in zip(self.kernels, pairwise(widths), strict=True):
                layers += [nn.Conv1d(below, above, kernel, self.stride, self.padding, self.dilation), nn.ReLU()]
            return _Convolutions(nn.Sequential(*layers), nn.Linear(features, shape.outputs))


class _Convolutions(nn.Module):
    def __init__(self, layers: nn.Sequential, readout: nn.Linear) -> None:
        super().__init__()
        self.layers, self.readout = layers, readout

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.layers(inputs.transpose(1, 2)).flatten(1))
        return logits


PAIRS = (
    offline_pair(
        "tcn",
        TCN(),
        steps=360,
        rate=0.01,
        summary="three layers of 25 channels, dilation 9, on 360 steps, as the paper ran it: 11,210 parameters",
        notes=(
            "The paper's text gives these layers; 11,960, which its Table 2 counts, needs 400 steps (see tcn-table2).",
        ),
    ),
    offline_pair(
        "tcn-table2",
        TCN(dilation=10),
        steps=400,
        rate=0.01,
        summary="three layers of 25 channels, dilation 10, on 400 steps: Table 2's 11,960 parameters",
        notes=("The paper's 96.7 % is not of this network but of tcn.",),
    ),
    offline_pair(
        "tcn-0",
        TCN(dilation=1),
        steps=40,
        rate=0.01,
        summary="three layers of 25 channels, not dilated, on MNIST-1D's original length: 5,210 parameters",
    ),
)
