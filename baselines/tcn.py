"""Convolutional networks over the whole sequence: along time alone, or over time and channels as an image."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from gle_bench.config import Count
from gle_bench.contracts import OfflineModel, Refused, Shape
from gle_bench.errors import UsageError
from gle_bench.models.initial import seeded
from gle_bench.recipes import cifar10, gsc, mnist1d

if TYPE_CHECKING:
    from torch import nn


class TCN(OfflineModel):
    """Convolutions along time with ReLU, and a linear readout of all channels at all remaining positions.

    Attributes:
        channels: number of channels of every layer.
        kernels: widths of the layers' kernels, in taps.
        stride, dilation: stride and dilation of every layer, in time steps of its input.
        padding: zeros on either side of every layer's input.
    """

    channels: Count = 25
    kernels: Annotated[tuple[Count, ...], Field(min_length=1)] = (5, 3, 3)
    stride: Count = 2
    dilation: Count = 9
    padding: Annotated[int, Field(ge=0)] = 1

    def positions(self, steps: int) -> int:
        """The number of positions in the last layer's output for a sequence of so many steps.

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
        from torch import nn

        from .modules.tcn import Convolutions

        features = self.channels * self.positions(shape.steps)
        widths = [shape.inputs, *[self.channels] * len(self.kernels)]
        with seeded(seed):
            layers: list[nn.Module] = []
            for kernel, (below, above) in zip(self.kernels, pairwise(widths), strict=True):
                layers += [nn.Conv1d(below, above, kernel, self.stride, self.padding, self.dilation), nn.ReLU()]
            return Convolutions(nn.Sequential(*layers), nn.Linear(features, shape.outputs))


_NORM = (1e-3, 0.01)  # eps and momentum: TensorFlow's defaults, whose momentum is one minus PyTorch's


class KeywordCNN(OfflineModel):
    """Hello Edge's convolutions over time and frequency, then a linear layer, a hidden layer and a readout.

    Batch norm and ReLU follow both convolutions and the hidden layer, but not the linear layer.

    Attributes:
        channels: numbers of channels of the two convolutions.
        kernel: extent of both kernels, in frames and coefficients.
        strides: strides of the two along time; along frequency they are 1.
        linear, hidden: widths of the two layers below the readout.
    """

    normalised: ClassVar[bool] = True

    channels: tuple[Count, Count] = (60, 76)
    kernel: tuple[Count, Count] = (10, 4)
    strides: tuple[Count, Count] = (1, 2)
    linear: Count = 58
    hidden: Count = 128

    def positions(self, shape: Shape) -> int:
        """The number of positions, in time and frequency together, in the output of the convolutions.

        Raises:
            UsageError: if there are none.
        """
        time, frequency = shape.steps, shape.inputs
        for number, stride in enumerate(self.strides, start=1):
            if time < self.kernel[0] or frequency < self.kernel[1]:
                raise UsageError(
                    f"kernel = {self.kernel} does not fit into the {time} x {frequency} inputs (time x frequency) of "
                    f"convolution {number}; lower kernel, or take a task with more of them."
                )
            time, frequency = (time - self.kernel[0]) // stride + 1, frequency - self.kernel[1] + 1
        return time * frequency

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out).

        Raises:
            UsageError: if the sample is too small for the kernels.
        """
        from torch import nn

        (first, second), features = self.channels, self.channels[1] * self.positions(shape)
        with seeded(seed):
            convolutions = (
                nn.Conv2d(1, first, self.kernel, (self.strides[0], 1)),
                nn.Conv2d(first, second, self.kernel, (self.strides[1], 1)),
            )
            linear = nn.Linear(features, self.linear)
            hidden, readout = nn.Linear(self.linear, self.hidden), nn.Linear(self.hidden, shape.outputs)
            for layer in (*convolutions, hidden, readout):
                nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)  # TensorFlow cuts at two deviations
                nn.init.zeros_(layer.get_parameter("bias"))
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        below = [layer for c in convolutions for layer in (c, nn.BatchNorm2d(c.out_channels, *_NORM), nn.ReLU())]
        as_image = nn.Unflatten(1, (1, shape.steps))  # an image of one channel: (B, T, C) -> (B, 1, T, C)
        above = [linear, hidden, nn.BatchNorm1d(self.hidden, *_NORM), nn.ReLU(), readout]
        return nn.Sequential(as_image, *below, nn.Flatten(), *above)


PAIRS = (
    mnist1d.offline_pair(
        "tcn",
        TCN(),
        steps=360,
        rate=0.01,
        summary="three layers of 25 channels, dilation 9, on 360 steps, as the paper ran it: 11,210 parameters",
        notes=(
            "The paper's text gives these layers; 11,960, which its Table 2 counts, needs 400 steps (see tcn-table2).",
        ),
    ),
    mnist1d.offline_pair(
        "tcn-table2",
        TCN(dilation=10),
        steps=400,
        rate=0.01,
        summary="three layers of 25 channels, dilation 10, on 400 steps: Table 2's 11,960 parameters",
        notes=("The paper's 96.7 % is not of this network but of tcn.",),
    ),
    mnist1d.offline_pair(
        "tcn-0",
        TCN(dilation=1),
        steps=40,
        rate=0.01,
        summary="three layers of 25 channels, not dilated, on MNIST-1D's original length: 5,210 parameters",
    ),
    gsc.offline_pair(
        "tcn",
        KeywordCNN(),
        front_end="mfcc-49",
        summary="Hello Edge's CNN-L, two 10 x 4 convolutions on 49 frames of 10 MFCC: 476,734 parameters",
        notes=(
            "The paper calls it TCN; its parameters are those of Hello Edge's CNN-L, which is not dilated.",
            "Its accuracy is by running averages of the batch norm. What Hello Edge's training script prints is by "
            "each batch's own statistics: recorded beside it, as accuracy_by_batch.",
        ),
    ),
    cifar10.offline_pair(
        "tcn",
        TCN(channels=290, dilation=1),
        summary="three layers of 290 channels along the rows of an image: 656,280 parameters",
        notes=("The layers are MNIST-1D's tcn-0, whose kernels span 5, 3 and 3 steps at stride 2, only wider.",),
        tried=2,
    ),
)

REFUSED = (
    Refused(("tcn-table2", "tcn-0"), "a variant for the table of MNIST-1D; the model of each task is named tcn"),
)
