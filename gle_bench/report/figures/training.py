"""A panel of several models' metric over training: means with spread, published levels, the authors' released means."""

from collections.abc import Mapping
from typing import Final

from gle_bench.contracts import Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import GleBenchError
from gle_bench.report.figures.curves import Curves, axis_name, curves, levels, limits, mean_line, reference_line
from gle_bench.report.figures.groups import Found, Request
from gle_bench.report.figures.plot import Line, Panel
from gle_bench.report.figures.reference import reference

BAND: Final = "Solid: our mean, with a band of one sample standard deviation; in brackets, how many seeds."
DASHED: Final = "Dashed: published."
DOTTED: Final = "Dotted: mean of the {seeds} runs that the authors released, on the {split} split."


def training_panel(
    letter: str, task: Task, found: Found, colors: Mapping[str, int], request: Request
) -> tuple[Panel, list[str]]:
    """The panel of the models that have a colour, and what its reader must know.

    Raises:
        GleBenchError: if no history can be drawn.
    """
    split = task.evaluation_split(request.protocol)
    lines, notes, drawn = _lines(task, found, colors, split)
    published = levels(task, colors, split)
    overlaid = {model: curve for model in colors if (curve := reference(task.name, model)) is not None}
    panel = Panel(
        letter=letter,
        title=f"protocol {request.protocol}",
        x_label="epoch",
        y_label=axis_name(task.metric, split),
        lines=(*(reference_line(curve, colors[model]) for model, curve in overlaid.items()), *lines),
        levels=published,
        y_limits=limits(task.metric, drawn, published),
    )
    dotted = sorted({DOTTED.format(seeds=curve.seeds, split=curve.split) for curve in overlaid.values()})
    missing = [model for model in colors if model not in found.groups]
    cure = f"; say `{RunCommand(task.name, missing[0], protocol=request.protocol)}`" if missing else ""
    not_run = [f"Not run: {', '.join(missing)}{cure}."] if missing else []
    return panel, [" ".join([BAND, DASHED, *dotted]), *notes, *not_run]


def _lines(
    task: Task, found: Found, colors: Mapping[str, int], split: str
) -> tuple[list[Line], list[str], list[Curves]]:
    """Our means, what a reader must know, and the curves."""
    lines, notes, drawn = [], [], []
    for model in (model for model in colors if model in found.groups):
        group = found.groups[model]
        curve, told = curves(task.metric, split, group)
        notes += [*told, *group.notes]
        if curve is not None:
            lines.append(mean_line(curve, group.label, colors[model]))
            drawn.append(curve)
    if not drawn:
        raise GleBenchError(" ".join(notes))
    return lines, notes, drawn
