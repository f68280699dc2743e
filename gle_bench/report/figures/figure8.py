"""Figure 8 d-f: accuracy over training, with its spread, the published levels and the authors' released mean curves."""

from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.names import GleBenchError, UsageError
from gle_bench.protocols import Task
from gle_bench.report.figures.curves import Curves, axis_name, curves, levels, limits, mean_line, reference_line
from gle_bench.report.figures.groups import Found, Request, command, find
from gle_bench.report.figures.plot import Built, Line, Panel, Plot
from gle_bench.report.figures.reference import reference


class Subject(NamedTuple):
    """What a panel of the paper compares; models in the order of their colours."""

    title: str
    task: str
    models: tuple[str, ...]


SUBJECTS: Final = {
    "8d": Subject("MNIST-1D", "mnist1d", ("gle-42k", "gle-15k", "mlp-published", "tcn", "gru")),
    "8e": Subject("Google Speech Commands", "gsc", ("gle", "mlp", "tcn", "gru", "lstm")),
    "8f": Subject("LagNet on MNIST-1D", "mnist1d", ("lagnet-le", "mlp-0", "tcn-0", "gru-0")),
}
SIZE: Final = (6.2, 3.6)  # inches
BAND: Final = "Solid: our mean, with a band of one sample standard deviation; in brackets, how many seeds."
DASHED: Final = "Dashed: published."
DOTTED: Final = "Dotted: mean of the {seeds} runs that the authors released, on the {split} split."


def build(name: str, request: Request) -> Built:
    """The panel of that name.

    Raises:
        UsageError: a seed, or a model that the panel does not have. GleBenchError: nothing of it was run.
    """
    subject = SUBJECTS[name]
    if request.seed is not None:
        raise UsageError(f"--seed {request.seed}: figure {name} shows all seeds; leave it out.")
    if request.model is not None and request.model not in subject.models:
        raise UsageError(f"--model {request.model}: figure {name} has {', '.join(subject.models)}.")
    task = registry.task(subject.task)
    models = subject.models if request.model is None else (request.model,)
    found = find(task, models, request)
    return Built(_plot(name, subject, task, found, models, request), found.skipped)


def _plot(name: str, subject: Subject, task: Task, found: Found, models: tuple[str, ...], request: Request) -> Plot:
    split = task.evaluation_split(request.protocol)
    colors = {model: number for number, model in enumerate(subject.models) if model in models}
    lines, notes, drawn = _lines(task, found, models, colors, split)
    published = levels(task, colors, split)
    overlaid = {r for model in models if (r := reference(task.name, model)) is not None}
    panel = Panel(
        letter=name[-1],
        title=f"protocol {request.protocol}",
        x_label="epoch",
        y_label=axis_name(task.metric, split),
        lines=(*(reference_line(r, colors[m]) for m in models if (r := reference(task.name, m))), *lines),
        levels=published,
        y_limits=limits(task.metric, drawn, published),
    )
    dotted = sorted({DOTTED.format(seeds=curve.seeds, split=curve.split) for curve in overlaid})
    first = [" ".join([BAND, DASHED, *dotted])]
    missing = [model for model in models if model not in found.groups]
    cure = f"; say `{command(task, missing[0], request.protocol)}`" if missing else ""
    not_run = [f"Not run: {', '.join(missing)}{cure}."] if missing else []
    return Plot(f"Figure {name} - {subject.title}", (panel,), (name[-1],), SIZE, (*first, *notes, *not_run))


def _lines(
    task: Task, found: Found, models: tuple[str, ...], colors: dict[str, int], split: str
) -> tuple[list[Line], list[str], list[Curves]]:
    """Our means, what a reader must know, and the curves.

    Raises:
        GleBenchError: if no history can be drawn.
    """
    lines, notes, drawn = [], [], []
    for model in (model for model in models if model in found.groups):
        group = found.groups[model]
        curve, told = curves(task.metric, split, group)
        notes += [*told, *group.notes]
        if curve is not None:
            lines.append(mean_line(curve, group.label, colors[model]))
            drawn.append(curve)
    if not drawn:
        raise GleBenchError(" ".join(notes))
    return lines, notes, drawn
