"""Figure 8 d-g: a metric over training, with the published levels and the mean curves that the authors released."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.contracts import Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.paper import TrainingPanel
from gle_bench.report.figures.curves import (
    AVERAGED,
    DECIMALS,
    DrawnRuns,
    Request,
    averaged_line,
    axis_name,
    curves,
    drawn_runs,
    levels,
    limits,
)
from gle_bench.report.figures.plot import Bar, Built, Line, Panel, Plot, line
from gle_bench.report.statistics.welch import sample
from gle_bench.report.tables.cells import published_text, sample_text

SIZE: Final = (6.2, 3.6)  # inches
WIDE: Final = (9.0, 3.4)  # inches, with bars
BESIDE: Final = "h"  # the letter of the panel of training beside bars, which the paper does not have
SPLIT: Final = "test"  # the split whose results the bars show
BAND: Final = "Solid: our mean, with a band of one sample standard deviation; in brackets, how many seeds."
DASHED: Final = "Dashed: published."
DOTTED: Final = "Dotted: mean of the {seeds} runs that the authors released, on the {split} split."
HATCHED: Final = "Hatched: published, with the published spread; filled: ours, with one sample standard deviation."

# The mean curves that the authors released, written by scripts/reference_curves.py
PATH: Final = Path(__file__).with_name("reference.csv")
COLUMNS: Final = ("task", "model", "split", "epoch", "mean", "sd", "n")
SOURCE: Final = (
    "Accuracy (%): means over the seeds of the runs that the authors released with gle-code@e0b4408 "
    "(results/), epochs that all of them have; sd: ddof 1."
)


def build(name: str, subject: TrainingPanel, request: Request) -> Built:
    """A panel of Figure 8 as a figure of its own.

    Raises:
        UsageError: a seed, or a model that the panel does not have. GleBenchError: none of its models was run.
    """
    letter = name[-1]
    if request.seed is not None:
        raise UsageError(f"--seed {request.seed}: figure {name} shows all seeds; leave it out.")
    if request.model is not None and request.model not in subject.models:
        raise UsageError(f"--model {request.model}: figure {name} has {', '.join(subject.models)}.")
    task = registry.task(subject.task)
    models = subject.models if request.model is None else (request.model,)
    runs, skipped = drawn_runs(task, models, request)
    colors = {model: number for number, model in enumerate(subject.models) if model in models}
    title = f"Figure {name} - {subject.title}"
    training, notes = _training_panel(BESIDE if subject.bars else letter, task, runs, colors, request)
    if not subject.bars:
        return Built(Plot(title, (training,), (letter,), SIZE, tuple(notes)), skipped)
    bars = tuple(bar for model, color in colors.items() for bar in _bars(task, runs.get(model), model, color))
    final = Panel(letter, "after training", "", axis_name(task.metric, SPLIT), (), bars=bars, y_limits=(0.0, None))
    return Built(Plot(title, (final, training), (letter + BESIDE,), WIDE, (HATCHED, *notes)), skipped)


def _training_panel(
    letter: str, task: Task, runs: Mapping[str, DrawnRuns], colors: Mapping[str, int], request: Request
) -> tuple[Panel, list[str]]:
    """The panel of the metric over training, for the models that have a colour, and the notes below the figure.

    Raises:
        GleBenchError: if no history can be drawn.
    """
    split = task.evaluation_split(request.protocol)
    lines, averages, notes, drawn = [], list[Line](), [], []
    for model in (model for model in colors if model in runs):
        measured, not_drawn = curves(task.metric, split, runs[model])
        notes += [*not_drawn, *runs[model].notes]
        if measured is not None:
            lines.append(measured.mean_line(runs[model].label, colors[model]))
            drawn.append(measured)
            averages += averaged_line(task.metric, split, runs[model], f"{runs[model].label}, averaged", colors[model])
    if not drawn:
        raise GleBenchError(" ".join(notes))
    published = levels(task, colors, split)
    released = {model: curve for model in colors if (curve := reference(task.name, model)) is not None}
    overlays = [line(curve.epochs, curve.means, "reference", color=colors[model]) for model, curve in released.items()]
    panel = Panel(
        letter=letter,
        title=f"protocol {request.protocol}",
        x_label="epoch",
        y_label=axis_name(task.metric, split),
        lines=(*overlays, *lines, *averages),
        levels=published,
        y_limits=limits(task.metric, drawn, published),
    )
    dotted = sorted({DOTTED.format(seeds=curve.seeds, split=curve.split) for curve in released.values()})
    if missing := [model for model in colors if model not in runs]:
        command = RunCommand(task.name, missing[0], protocol=request.protocol)
        notes.append(f"Not run: {', '.join(missing)}; say `{command}`.")
    return panel, [" ".join([BAND, *([AVERAGED] if averages else []), DASHED, *dotted]), *notes]


def _bars(task: Task, runs: DrawnRuns | None, model: str, color: int) -> Iterator[Bar]:
    """The final results of a model as bars: the published ones, then ours."""
    for cell in task.published:
        if (cell.model, cell.split, cell.selection) == (model, SPLIT, "last"):
            label = f"{model}\npublished{f' ({cell.n})' if cell.n else ''}"
            yield Bar(cell.value, label, published_text(cell), color, cell.spread, published=True)
    values = runs.group.values("last", SPLIT, task.metric.name) if runs else {}
    if runs and values:
        ours = sample([*values.values()])
        label = "\n".join([model, f"ours ({ours.n})", *runs.words])
        yield Bar(ours.mean, label, sample_text(ours, DECIMALS), color, ours.sd)


class Reference(NamedTuple):
    """The mean curve of one network that the authors released: accuracy on one split over training."""

    split: str
    epochs: tuple[float, ...]
    means: tuple[float, ...]
    seeds: int


def reference(task: str, model: str) -> Reference | None:
    """The mean curve that the authors released for one of our models; None where they released none."""
    return _references().get((task, model))


@cache
def _references() -> dict[tuple[str, str], Reference]:
    points: defaultdict[tuple[str, str, str, int], list[tuple[float, float]]] = defaultdict(list)
    lines = [line for line in PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        points[row["task"], row["model"], row["split"], int(row["n"])].append((float(row["epoch"]), float(row["mean"])))
    references = {}
    for (task, model, split, seeds), curve in points.items():
        epochs, means = zip(*curve, strict=True)
        references[task, model] = Reference(split, epochs, means, seeds)
    return references
