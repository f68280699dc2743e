"""What the task CIFAR-10 and its models agree on: images, budgets, seeds, and the LeNet-5 that they all are."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gle_bench.config import Budget, Count, ModelConfig, Positive, RunConfig, TaskOptions, TrainingConfig
from gle_bench.models.gle import Phi
from gle_bench.models.initial import seeded
from gle_bench.names import UsageError
from gle_bench.protocols import Pair, Shape

if TYPE_CHECKING:
    from torch import Tensor

EPOCHS: Final[dict[Budget, int]] = {"smoke": 1, "short": 4, "paper": 100}
SMOKE_IMAGES: Final = 256  # a split: the LE network takes a second or two for 128 of them
SEEDS: Final = (1, 2, 3, 5, 7, 8, 13, 21, 34, 55)  # of which the README of the released LE code lacks the last


class CIFAR10Options(TaskOptions):
    """How images are shown, and which there are.

    Attributes:
        steps: time steps that an image is shown to a network with dynamics; 1 for the others.
        images: at most so many of each split, for a quick look; None: all.
    """

    steps: Count = 50
    images: Count | None = None


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
    phi: Phi = "hard-sigmoid"
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


def training(rate: float, budget: Budget) -> TrainingConfig:
    """Plain gradient descent in batches of 128, in evaluations too: there the state runs on from batch to batch."""
    return TrainingConfig(epochs=EPOCHS[budget], batch_size=128, evaluation_batch_size=128, optimizer="sgd", rate=rate)


def pair(
    model: str,
    rule: str,
    network: LeNet5,
    rate: float,
    summary: str,
    notes: tuple[str, ...],
    *,
    alias: str = "",
    tried: int = 0,
) -> Pair:
    """A network on CIFAR-10: 4 epochs (`short`) or 100 (`paper`), or one of a few images (`smoke`).

    `alias` is a second name for it.
    """

    def configure(budget: Budget) -> RunConfig:
        images = SMOKE_IMAGES if budget == "smoke" else None
        shown = CIFAR10Options(images=images) if rule != "backprop" else CIFAR10Options(images=images, steps=1)
        return RunConfig(
            task="cifar10",
            model=model,
            rule=rule,
            budget=budget,
            options=shown,
            network=network,
            training=training(rate, budget),
        )

    return Pair("cifar10", alias or model, configure, SEEDS, summary, notes, tried)
