"""Results: how they are read, and what the literature has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gle_bench.words import Direction, Selection, SpreadKind


@dataclass(frozen=True)
class Metric:
    """How a result is called and read: `unit` as printed, `better` up or down."""

    name: str
    unit: str = ""
    better: Direction = "higher"


def averaged(name: str) -> str:
    """The name of a metric measured with averaged weights, beside that of the raw weights: accuracy_averaged."""
    return f"{name}_averaged"


@dataclass(frozen=True)
class Published:
    """A number from the literature, for one cell of a table.

    Attributes:
        model: the model of ours that it is compared with.
        value, spread: in the metric's unit; `spread_kind` says what the spread is, `n` over how many seeds.
        margin: half width of equivalence in the metric's unit, fixed before our runs; None: compare without verdict.
        selection: 'last' or 'best' epoch.
        source: table and version; caveat: what a reader must know.
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
    """A line of the literature's table that says how its models were trained.

    Attributes:
        name: as `Task.describe` calls ours; 'parameters' is counted from the network.
        printed: {model: as printed}.
        notes: {model: what a reader must know}, where the literature disagrees with itself, or ours with it.
    """

    name: str
    printed: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
