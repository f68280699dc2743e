"""LeNet-5: what all of its networks share, and the one that learns by backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple

from gle_bench.config import Count, ModelConfig, Positive
from gle_bench.contracts import OfflineModel, RateGroup, Shape
from gle_bench.errors import UsageError
from gle_bench.models.initial import seeded
from gle_bench.words import Activation

if TYPE_CHECKING:
    from torch import Tensor, nn


class Volume(NamedTuple):
    """Neurons of a convolution, or pixels: channels of height x width."""

    channels: int
    height: int
    width: int


class LeNet5(ModelConfig):
    """Convolution, maximum of 2 x 2, convolution, maximum of 2 x 2, a hidden layer and a linear readout.

    Attributes:
        image: the input as channels, height and width.
        channels: of the two convolutions.
        kernel: their height and width; stride 1, no padding.
        hidden: width of the hidden layer.
        phi: activation of the convolutions and of the hidden layer.
        initial: first weights and biases: normal, of standard deviation `std`, or as PyTorch draws them.
        factors: on the learning rate, a layer each.
    """

    image: tuple[Count, Count, Count] = (3, 32, 32)
    channels: tuple[Count, Count] = (20, 50)
    kernel: Count = 5
    hidden: Count = 500
    phi: Activation = "hard-sigmoid"
    initial: Literal["normal", "torch"] = "normal"
    std: Positive = 0.05
    factors: tuple[Positive, Positive, Positive, Positive] = (1.0, 1.0, 1.0, 1.0)

    def check(self, shape: Shape) -> None:
        """Refuses a task of other images.

        Raises:
            UsageError: with both sizes.
        """
        if prod(self.image) != shape.inputs:
            raise UsageError(f"image = {self.image} has {prod(self.image)} values, and the task {shape.inputs}.")

    def volumes(self) -> tuple[Volume, Volume, Volume, Volume, Volume]:
        """The image, then what each convolution and each maximum makes of it.

        Raises:
            UsageError: an image too small for the kernels.
        """
        volumes = [Volume(*self.image)]
        for channels in self.channels:
            _, height, width = volumes[-1]
            height, width = height - self.kernel + 1, width - self.kernel + 1
            if min(height, width) < 2:
                raise UsageError(
                    f"kernel = {self.kernel} leaves {height} x {width} of image = {self.image}, too little to "
                    "pool 2 x 2 of; lower kernel."
                )
            volumes += [Volume(channels, height, width), Volume(channels, height // 2, width // 2)]
        image, first, pooled, second, top = volumes
        return image, first, pooled, second, top

    def first_weights(self, outputs: int, seed: int) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and biases of the four layers, by the seed alone: the same ones for LE and for backpropagation."""
        import torch
        from torch import nn

        _, _, _, _, top = self.volumes()
        image, (first, second), square = Volume(*self.image), self.channels, (self.kernel, self.kernel)
        with seeded(seed):
            layers = (
                nn.Conv2d(image.channels, first, square),
                nn.Conv2d(first, second, square),
                nn.Linear(prod(top), self.hidden),
                nn.Linear(self.hidden, outputs),
            )
            weights, biases = ([getattr(layer, name).detach() for layer in layers] for name in ("weight", "bias"))
            if self.initial == "normal":
                weights, biases = ([torch.randn_like(x) * self.std for x in drawn] for drawn in (weights, biases))
        return weights, biases


class LeNet(LeNet5, OfflineModel):
    """A LeNet-5 that sees an image once, as a whole.

    Attributes:
        average_biases: the gradient of a convolution's bias is averaged over positions, as LE's is, and not summed.
    """

    average_biases: bool = False

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out).

        Raises:
            UsageError: images of another size, or too small for the kernels.
        """
        from .modules.lenet import Network

        self.check(shape)
        self.volumes()
        weights, biases = self.first_weights(shape.outputs, seed)
        return Network(self.image, self.phi, weights, biases)

    def rate_groups(self, module: nn.Module) -> Sequence[RateGroup]:
        from .modules.lenet import Network

        assert isinstance(module, Network)
        _, first, _, second, _ = self.volumes()
        averaged = [prod(volume[1:]) if self.average_biases else 1 for volume in (first, second)] + [1, 1]
        factors = [*self.factors, *(factor / count for factor, count in zip(self.factors, averaged, strict=True))]
        parameters = [*module.weights, *module.biases]
        return [RateGroup((parameter,), factor) for parameter, factor in zip(parameters, factors, strict=True)]
