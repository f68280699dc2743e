"""Multi-layer perceptrons that see a sequence as one vector."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from gle_bench.config import Count
from gle_bench.contracts import OfflineModel, Refused, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes import cifar10, gsc, mnist1d

if TYPE_CHECKING:
    from torch import nn


class MLP(OfflineModel):
    """A multi-layer perceptron of ReLU layers and a linear readout, on all time steps and channels at once.

    Attributes:
        hidden: widths of the hidden layers.
        residual: from the second hidden layer on, add a layer's input to its output: h + relu(W h + b).
        initial: PyTorch's first weights, or Hello Edge's.
    """

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (100, 100)
    residual: bool = False
    initial: Literal["torch", "hello-edge"] = "torch"

    @model_validator(mode="after")
    def _equal_widths(self) -> MLP:
        if self.residual and len(set(self.hidden)) > 1:
            raise ValueError(f"residual layers need equal widths, not hidden = {self.hidden}; or set residual to false")
        return self

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out)."""
        from torch import nn

        from .modules.mlp import Perceptron, draw_as_hello_edge

        widths = [shape.steps * shape.inputs, *self.hidden, shape.outputs]
        with seeded(seed):
            layers = [nn.Linear(below, above) for below, above in pairwise(widths)]
            if self.initial == "hello-edge":
                draw_as_hello_edge(layers)
            return Perceptron(layers, self.residual)


PAIRS = (
    mnist1d.offline_pair(
        "mlp",
        MLP(),
        steps=360,
        rate=0.005,
        summary="360-100-100-10, as the paper describes it: 47,210 parameters",
        notes=("The paper's 65.5 % is not of this network but of mlp-published; the rate is that of both.",),
    ),
    mnist1d.offline_pair(
        "mlp-published",
        MLP(residual=True),
        steps=120,
        rate=0.005,
        summary="120-100-100-10 with a residual, as the paper ran it: 23,210 parameters",
        notes=(
            "The reference's loss traces belong to samples of 120 steps and h + relu(W h) in the second hidden layer; "
            "the paper says 360 steps and mentions no residual.",
        ),
    ),
    mnist1d.offline_pair(
        "mlp-0",
        MLP(residual=True),
        steps=40,
        rate=0.01,
        summary="40-100-100-10 with a residual, on MNIST-1D's original length: 15,210 parameters",
    ),
    gsc.offline_pair(
        "mlp",
        MLP(hidden=(436, 436, 436), initial="hello-edge"),
        front_end="mfcc-25",
        summary="Hello Edge's DNN-L, 250-436-436-436-12, on 25 frames of 10 MFCC at once: 495,744 parameters",
    ),
    cifar10.offline_pair(
        "mlp",
        MLP(hidden=(200, 200)),
        summary="3072-200-200-10 on the whole image as a vector: 656,810 parameters",
        presentation="still",
        tried=2,
    ),
)

REFUSED = (
    Refused(("mlp-published", "mlp-0"), "a variant for the table of MNIST-1D; the model of each task is named mlp"),
)
