"""LeNet-5: the hyper-parameters that LE and backpropagation share, and the network that learns by backpropagation."""

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
    """The shape of an image, or of the neurons of a convolution: channels, height and width."""

    channels: int
    height: int
    width: int


class LeNet5(ModelConfig):
    """LeNet-5: two convolutions, each with max pooling of 2 x 2, a hidden layer and a linear readout.

    Attributes:
        image: channels, height and width of the input.
        channels: numbers of channels of the two convolutions.
        kernel: height and width of their kernels; stride 1, no padding.
        hidden: width of the hidden layer.
        phi: activation of the convolutions and of the hidden layer.
        initial: first weights and biases: normal, of standard deviation `std`, or as PyTorch draws them.
        factors: factors on the learning rate, one for each layer.
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
        """Checks that the task's images have the size of `image`.

        Raises:
            UsageError: they have another size.
        """
        if prod(self.image) != shape.inputs:
            raise UsageError(f"image = {self.image} has {prod(self.image)} values, but the task's have {shape.inputs}.")

    def volumes(self) -> tuple[Volume, Volume, Volume, Volume, Volume]:
        """The shapes of the image and of the outputs of convolution, pooling, convolution and pooling.

        Raises:
            UsageError: the image is too small for the kernels.
        """
        volumes = [Volume(*self.image)]
        for channels in self.channels:
            _, height, width = volumes[-1]
            height, width = height - self.kernel + 1, width - self.kernel + 1
            if min(height, width) < 2:
                raise UsageError(
                    f"kernel = {self.kernel} leaves {height} x {width} of image = {self.image}, too little to "
                    "pool 2 x 2; lower kernel."
                )
            volumes += [Volume(channels, height, width), Volume(channels, height // 2, width // 2)]
        image, first, pooled, second, top = volumes
        return image, first, pooled, second, top

    def first_weights(self, outputs: int, seed: int) -> tuple[list[Tensor], list[Tensor]]:
        """First weights and biases of the four layers from the seed alone: the same for LE and for backpropagation."""
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
    """A LeNet-5 that learns by backpropagation and sees each image once.

    Attributes:
        average_biases: whether the gradient of a convolution's bias is averaged over positions, as in LE, or summed.
    """

    average_biases: bool = False

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out).

        Raises:
            UsageError: the task has images of another size, or they are too small for the kernels.
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
