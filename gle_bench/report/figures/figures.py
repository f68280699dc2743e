"""The figures that can be drawn, each built when it is asked for."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from gle_bench.errors import look_up
from gle_bench.report.figures.groups import Request
from gle_bench.report.figures.panels import kind_of, save
from gle_bench.report.figures.plot import as_json
from gle_bench.tracking.store import Skipped


class Listed(NamedTuple):
    """A figure of the table; its module's `build(name, request)` makes it."""

    summary: str
    module: str


FIGURES = {
    "8d": Listed("MNIST-1D: accuracy over training", "gle_bench.report.figures.figure8"),
    "8e": Listed("Google Speech Commands: accuracy over training", "gle_bench.report.figures.figure8"),
    "8f": Listed("LagNet on MNIST-1D: accuracy over training", "gle_bench.report.figures.figure8"),
    "8g": Listed("CIFAR-10: test errors, and errors over training", "gle_bench.report.figures.figure8"),
    "10": Listed("Mackey-Glass: forecasts, and sMAPE over training", "gle_bench.report.figures.figure10"),
}


class Made(NamedTuple):
    """A figure: what it shows as plain data, a line on where it is drawn, and the records that were passed over."""

    shown: dict[str, Any]
    told: str
    skipped: Sequence[Skipped]


def make(name: str, request: Request, out: Path | None = None, draw: bool = True) -> Made:
    """The figure of that name, drawn into the file `out`; `figure-<name>.png` for None.

    Raises:
        UnknownName: with the nearest name. UsageError: a file of another kind; a model or a seed that the figure does
            not have. GleBenchError: none of its runs is there, with the command that would make them; the file cannot
            be written.
    """
    listed = look_up("figure", name, FIGURES)
    path = Path(f"figure-{name}.png") if out is None else out
    if draw:
        kind_of(path)  # before anything is read
    plot, skipped = import_module(listed.module).build(name, request)
    if draw:
        save(plot, path)
    return Made(as_json(plot), "\n".join([str(path), *plot.notes]), skipped)
