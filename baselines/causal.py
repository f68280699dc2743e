"""Feed-forward networks on the past of a signal: perceptrons of delayed values or of a window, and dilated TCNs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from gle_bench.config import Count
from gle_bench.contracts import OfflineModel, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes import mackey_glass
from gle_bench.recipes.mackey_glass import MackeyGlassOptions

if TYPE_CHECKING:
    from torch import nn

Counts = Annotated[tuple[Count, ...], Field(min_length=1)]


class CausalNetwork(OfflineModel):
    """Hidden layers that each see a window of the values below them, and a linear readout at every time step.

    A layer is a causal convolution along time. With one tap it is that of a perceptron, which sees the present only;
    with several in the first layer alone, that of a perceptron on a window of the inputs.

    Attributes:
        hidden: widths of the hidden layers.
        taps: number of values in the window of each hidden layer, the present one included.
        dilations: distance of those values in time steps, for each hidden layer.
        phi: activation of the hidden layers.
        residual: from the second hidden layer on, add the values below to a layer's output.

    Raises:
        ValueError: `taps` or `dilations` are not one for each hidden layer, or residual layers differ in width.
    """

    streamed: ClassVar[bool] = True
    closed_loop: ClassVar[bool] = True

    hidden: Counts
    taps: Counts
    dilations: Counts
    phi: Literal["relu", "tanh"] = "tanh"
    residual: bool = False

    @model_validator(mode="after")
    def _one_a_layer(self) -> CausalNetwork:
        for name, values in (("taps", self.taps), ("dilations", self.dilations)):
            if len(values) != len(self.hidden):
                raise ValueError(
                    f"{name} = {list(values)} are not one for each of {len(self.hidden)} hidden layers; give as many"
                )
        if self.residual and len(set(self.hidden)) > 1:
            raise ValueError(f"residual layers need equal widths, not hidden = {self.hidden}; or set residual to false")
        return self

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, T, C_out)."""
        from torch import nn

        from .modules.causal import Causal, CausalLayer

        widths = pairwise((shape.inputs, *self.hidden))
        with seeded(seed):
            layers = [
                CausalLayer(below, above, taps, dilation, self.phi, residual=self.residual and number > 0)
                for number, ((below, above), taps, dilation) in enumerate(
                    zip(widths, self.taps, self.dilations, strict=True)
                )
            ]
            return Causal(layers, nn.Linear(self.hidden[-1], shape.outputs))


# The washout leaves out targets whose window reaches back before the first value.
_WINDOW = mackey_glass.last_value(washout=0.9)

PAIRS = (
    mackey_glass.offline_pair(
        "mlp",
        CausalNetwork(hidden=(93, 93), taps=(1, 1), dilations=(1, 1), phi="relu"),
        MackeyGlassOptions(horizon=2.6),
        updates=1000,
        rate=1e-2,
        summary="4-93-93-1 on the inputs of gle, without its dynamics: its 9,301 parameters",
        notes=(
            "After 500 updates, the sMAPE of the held-out stretch of sequence 0 was 3.6 with ReLU at a rate of 1e-2; "
            "with tanh 5.7 at 1e-2, 11.5 at 3e-3 and 7.2 at 3e-2.",
        ),
        tried=3,
    ),
    mackey_glass.offline_pair(
        "mlp-window",
        CausalNetwork(hidden=(74, 74), taps=(50, 1), dilations=(1, 1)),
        _WINDOW,
        updates=2000,
        rate=3e-3,
        summary="50-74-74-1 on the last 50 values: 9,399 parameters",
        notes=(
            "The window is that of NeuroBench's LSTM.",
            "The mean sMAPE of the held-out stretches of sequences 0, 10 and 20 was 1.28 at a rate of 3e-3, 2.07 at "
            "1e-3 and 1.39 at 1e-2. On sequence 0 it was 0.56, with ReLU 0.55, and 1.09 after 1,000 updates without a "
            "washout.",
        ),
        tried=4,
    ),
    mackey_glass.offline_pair(
        "tcn",
        CausalNetwork(hidden=(30,) * 6, taps=(2,) * 6, dilations=(1, 2, 4, 8, 16, 32), residual=True),
        _WINDOW,
        updates=1500,
        rate=1e-2,
        summary="six layers of 30 channels, dilations 1 to 32, that see the last 64 values: 9,271 parameters",
        notes=(
            "Dilated causal convolutions with residual connections are those of temporal convolutional networks "
            "(Bai et al., arXiv:1803.01271), whose two convolutions a block, normalisation and dropout are left out.",
            "The sMAPE of the held-out stretch of sequence 0 was 0.75 at a rate of 1e-2, 1.00 at 3e-2 and 3.1 at 3e-3; "
            "without residual connections 0.85 at 1e-2 and 2.4 at 3e-3, or 6.8 there after 1,000 updates without a "
            "washout; with ReLU 4.5 at 3e-3.",
        ),
        tried=6,
    ),
)
