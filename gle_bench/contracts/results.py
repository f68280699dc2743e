"""The results of a task: the metric they are measured in, and results and settings from the literature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gle_bench.words import Direction, Selection, SpreadKind


@dataclass(frozen=True)
class Metric:
    """The metric of a result: its name, its unit as printed, and whether higher or lower values are better."""

    name: str
    unit: str = ""
    better: Direction = "higher"


def averaged(name: str) -> str:
    """The name of a metric when it is measured with averaged weights, for example `accuracy_averaged`."""
    return f"{name}_averaged"


@dataclass(frozen=True)
class Published:
    """A result from the literature, which a table shows beside ours.

    Attributes:
        model: our model that the result is compared with.
        value, spread: in the metric's unit; `spread_kind` names the kind of spread, `n` is the number of seeds.
        margin: half the width of the equivalence interval, in the metric's unit, fixed before our runs; None: the
            comparison gets no verdict.
        selection: the epoch that was reported, 'last' or 'best'.
        source: the paper's table and version.
        caveat: a warning that readers need in order to understand the result.
    """

    model: str
    value: float
    source: str
    spread: float | None = None
    spread_kind: SpreadKind = "population sd"
    n: int | None = None
    split: str = "test"
    selection: Selection = "last"
    margin: float | None = None
    caveat: str = ""


@dataclass(frozen=True)
class Setting:
    """A training setting of the literature's models, such as the number of epochs, as the paper prints it.

    Attributes:
        name: the name that `Task.describe` gives to our own setting; 'parameters' is counted from the network.
        printed: {model: value as printed}.
        notes: {model: note}, where the literature contradicts itself, or our setting differs from it.
    """

    name: str
    printed: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
