"""The figures of the paper by their name, each built and drawn when it is asked for."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gle_bench.errors import UsageError, look_up
from gle_bench.paper import FIGURES, SKETCHES, ChainFigure, Figure, ForecastFigure, SmallNetsFigure, TrainingPanel
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.panels import kind_of, save
from gle_bench.report.figures.plot import Built
from gle_bench.tracking.store import Skipped


class Made(NamedTuple):
    """A figure as plain data, or the sentence that stands for it; the text for a terminal; the records passed over."""

    shown: dict[str, Any]
    text: str
    skipped: Sequence[Skipped]


def make(name: str, request: Request, out: Path | None = None, draw: bool = True) -> Made:
    """Makes the figure of that name, and draws it into the file `out`, or into `figure-<name>.png` for None.

    Of a figure that holds no data it makes a sentence alone.

    Raises:
        UnknownName: with the nearest name. UsageError: a file of another kind; a model or a seed that the figure does
            not have; a file for a figure that holds no data. GleBenchError: none of its runs is there, with the command
            that would make them; the file cannot be written.
    """
    subject = look_up("figure", name, {**FIGURES, **SKETCHES})
    if isinstance(subject, str):
        if out is not None:
            raise UsageError(f"--out {out}: {_first_small(_sketch(name, subject))}")
        return Made({"title": f"Figure {name}", "sketch": _sketch(name, subject)}, _sketch(name, subject), ())
    path = Path(f"figure-{name}.png") if out is None else out
    if draw:
        kind_of(path)  # a wrong name is refused before anything is read
    plot, skipped = _built(name, subject, request)
    if draw:
        save(plot, path)
    return Made(asdict(plot), "\n".join([str(path), *plot.notes]), skipped)


def built(name: str, request: Request) -> Built:
    """The figure of that name as plain data, and the records that were passed over.

    Raises:
        As `make`. UsageError: a figure that holds no data.
    """
    subject = look_up("figure", name, {**FIGURES, **SKETCHES})
    if isinstance(subject, str):
        raise UsageError(_sketch(name, subject))
    return _built(name, subject, request)


def _sketch(name: str, shows: str) -> str:
    """The sentence on a figure that holds no data."""
    return f"Figure {name} is a sketch without data, and is not drawn here; it shows {shows}."


def _first_small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _built(name: str, subject: Figure, request: Request) -> Built:
    if isinstance(subject, TrainingPanel):
        from gle_bench.report.figures import figure8

        return figure8.build(name, subject, request)
    # The others need PyTorch.
    if isinstance(subject, ForecastFigure):
        from gle_bench.report.figures import figure10

        return figure10.build(name, subject, request)
    if isinstance(subject, ChainFigure):
        from gle_bench.report.figures import chain

        return chain.build(name, subject, request)
    if isinstance(subject, SmallNetsFigure):
        from gle_bench.report.figures import figure6

        return figure6.build(name, subject, request)
    _refuse_runs(name, request)
    from gle_bench.report.figures import figure3, figure11, figure12

    return {"3": figure3.build, "11": figure11.build, "12": figure12.build}[name](name, subject)


def _refuse_runs(name: str, request: Request) -> None:
    """Raises a UsageError for options that choose runs."""
    protocol = None if request.protocol == "paper" else request.protocol
    for option, value in (("model", request.model), ("seed", request.seed), ("protocol", protocol)):
        if value is not None:
            raise UsageError(f"--{option} {value}: figure {name} is computed without runs; leave it out.")
