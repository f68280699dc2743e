"""LeNet-5 that learns by backpropagation: the paper's comparison, and one that shares all it can with LE's network."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from gle_bench.models.cifar10 import LeNet5, pair
from gle_bench.protocols import OfflineModel, RateGroup, Shape

if TYPE_CHECKING:
    from torch import nn


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


_LOSS = "bp's loss is cross-entropy, that of le and bp-matched half a squared error: the two cannot be compared."
PAIRS = (
    pair(
        "bp",
        "backprop",
        LeNet(phi="relu", initial="torch"),
        0.01,
        "LeNet-5 with ReLU, cross-entropy and plain gradients: the paper's comparison, 657,080 parameters",
        (
            "The paper calls it of identical structure to le: activation, loss, first weights and optimizer are "
            "others, as in the released LE code. bp-matched shares them.",
            _LOSS,
        ),
    ),
    pair(
        "bp-matched",
        "backprop",
        LeNet(loss="mse", factors=(1.0, 0.2, 0.2, 0.1), average_biases=True),
        0.1,
        "le's network, first weights, loss and layer factors, by autograd: one update a batch, 657,080 parameters",
        (
            "Not in the paper. A seed's first weights are those of le. The rate is ours, the best of 0.05, 0.1, 0.2, "
            "0.4 and 0.8 on 1,000 images of validation after 120 updates by seed 1. 0.8, which is what the 50 steps of "
            "LE add up to, blew up within the first of them.",
            "A convolution's bias learns from the average over positions, as LE's does.",
            _LOSS,
        ),
        tried=4,
    ),
)
