"""NeuroBench's LSTM on Mackey-Glass, whose cell sees a layer-normalised window of the last values at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gle_bench.config import Count, Positive, RunConfig, TrainingConfig
from gle_bench.contracts import OfflineModel, Pair, Refused, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes.mackey_glass import MEAN, SCALE, last_value
from gle_bench.words import Budget

if TYPE_CHECKING:
    from torch import nn

# NeuroBench's 1e-3 belongs to the mean squared error of the signal as it is. Our loss is half that in standard units.
WEIGHT_DECAY = 1e-3 / (2 * SCALE**2)
EPOCHS: dict[Budget, int] = {"smoke": 5, "short": 50, "paper": 200}


class LookbackLSTM(OfflineModel):
    """A layer norm of the window, an LSTM cell, ReLU and a linear readout, of a signal shift + scale * input.

    Attributes:
        hidden: units of the cell; they start at zero.
        window: number of last values that the cell sees; values before the first are zero.
        shift, scale: shift and scale of the input, and of the output, which is the signal's next value.
    """

    streamed: ClassVar[bool] = True
    closed_loop: ClassVar[bool] = True
    normalised: ClassVar[bool] = True

    hidden: Count = 40
    window: Count = 50
    shift: float = 0.0
    scale: Positive = 1.0

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, T, C_out)."""
        from .modules.lookback import Lookback

        with seeded(seed):
            return Lookback(shape, hidden=self.hidden, window=self.window, shift=self.shift, scale=self.scale)


def _pair(model: str, hidden: int, summary: str, notes: tuple[str, ...]) -> Pair:
    def configure(budget: Budget) -> RunConfig:
        return RunConfig(
            task="mackey-glass",
            model=model,
            rule="backprop",
            budget=budget,
            precision="float64",
            options=last_value(),
            network=LookbackLSTM(hidden=hidden, shift=MEAN, scale=SCALE),
            training=TrainingConfig(
                batches=EPOCHS[budget],  # an epoch is a single batch, and not worth an evaluation in closed loop
                evaluate_every=20,
                batch_size=1,
                evaluation_batch_size=1,
                rate=5e-3,
                weight_decay=WEIGHT_DECAY,
            ),
        )

    return Pair("mackey-glass", model, configure, tuple(range(30)), summary, (*notes, *_COMMON))


_COMMON = (
    "NeuroBench's training: Adam, one update an epoch from the whole training half; its weight decay of 1e-3 is "
    f"{WEIGHT_DECAY:.3g} of our loss, which is in standard units and halved.",
    "The loop closes after 9 Lyapunov times of true signal, not 10, so that both protocols warm the network up alike.",
)

PAIRS = (
    _pair("lstm", 40, "NeuroBench's LSTM on windows of 50 values, 40 units: 14,861 parameters", ()),
    _pair(
        "lstm-100",
        100,
        "the same with 100 units: 61,001 parameters",
        ("NeuroBench's board does not say its size; its footprint of 490,008 bytes is that of 100 units.",),
    ),
)

REFUSED = (
    Refused(("lstm-100",), "a size of NeuroBench's board on Mackey-Glass; the model of each task is named lstm"),
)
