"""The figures of the paper by their name, each built and drawn when it is asked for."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gle_bench.errors import look_up
from gle_bench.paper import FIGURES, ForecastFigure, TrainingPanel
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.panels import kind_of, save
from gle_bench.report.figures.plot import Built
from gle_bench.tracking.store import Skipped


class Made(NamedTuple):
    """A figure as plain data, the text about it for a terminal, and the records that could not be read for it."""

    shown: dict[str, Any]
    text: str
    skipped: Sequence[Skipped]


def make(name: str, request: Request, out: Path | None = None, draw: bool = True) -> Made:
    """Makes the figure of that name, and draws it into the file `out`, or into `figure-<name>.png` for None.

    Raises:
        UnknownName: with the nearest name. UsageError: a file of another kind; a model or a seed that the figure does
            not have. GleBenchError: none of its runs is there, with the command that would make them; the file cannot
            be written.
    """
    subject = look_up("figure", name, FIGURES)
    path = Path(f"figure-{name}.png") if out is None else out
    if draw:
        kind_of(path)  # a wrong name is refused before anything is read
    plot, skipped = _built(name, subject, request)
    if draw:
        save(plot, path)
    return Made(asdict(plot), "\n".join([str(path), *plot.notes]), skipped)


def _built(name: str, subject: TrainingPanel | ForecastFigure, request: Request) -> Built:
    if isinstance(subject, TrainingPanel):
        from gle_bench.report.figures import figure8

        return figure8.build(name, subject, request)
    from gle_bench.report.figures import figure10  # which needs PyTorch

    return figure10.build(name, subject, request)
