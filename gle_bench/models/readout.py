"""The base class and the pairs of models with a linear readout of fixed features; imports no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from gle_bench.config import RunConfig, TaskOptions, TrainingConfig
from gle_bench.contracts import OfflineModel, Pair, Shape
from gle_bench.words import Budget, Precision

if TYPE_CHECKING:
    from gle_bench.models.modules.ridge import Readout

Reads = Literal["every step", "mean"]


class ReadoutModel(OfflineModel):
    """A family whose modules are linear readouts of fixed features, `gle_bench.models.modules.ridge.Readout`.

    Attributes:
        ridge: weight of the squared readout weights against the squared errors, both summed.
    """

    streamed: ClassVar[bool] = True
    closed_loop: ClassVar[bool] = True

    ridge: Annotated[float, Field(ge=0)] = 0.0

    def build(self, shape: Shape, seed: int) -> Readout:
        raise NotImplementedError


def readout_pair(
    task: str,
    model: str,
    network: ReadoutModel,
    options: Callable[[Budget], TaskOptions],
    *,
    seeds: tuple[int, ...],
    summary: str,
    precision: Precision = "float32",
    notes: tuple[str, ...] = (),
    tried: int | None = 0,
) -> Pair:
    """The pair of a readout model and a task. Under every budget the model sees each training sample once."""

    def configure(budget: Budget) -> RunConfig:
        return RunConfig(
            task=task,
            model=model,
            rule="readout",
            budget=budget,
            precision=precision,
            options=options(budget),
            network=network,
            training=TrainingConfig(epochs=1, shuffle=False),
        )

    return Pair(task, model, configure, seeds, summary, notes, tried)
