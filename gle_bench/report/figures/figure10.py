"""Figure 10 b-d: forecasts of Mackey-Glass at stages of training, and sMAPE over training for all sequences."""

from collections.abc import Sequence
from typing import Final

from gle_bench import registry
from gle_bench.contracts import Task
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.paper import ForecastFigure
from gle_bench.report.figures.curves import (
    Curves,
    DrawnRuns,
    Request,
    axis_name,
    best_dots,
    curves,
    cut_off,
    drawn_runs,
    levels,
    limits,
    mean_line,
    named,
    seed_lines,
)
from gle_bench.report.figures.forecasts import forecast_panel, forecasts, horizon_panel, nearest
from gle_bench.report.figures.plot import SEEDS, Built, Panel, Plot

ABOVE: Final = ((), ("b",), ("bc",))  # d and e: as many stages as were kept
SIZE: Final = (7.4, 5.2)  # inches


def build(name: str, subject: ForecastFigure, request: Request) -> Built:
    """The whole figure; beside the paper's panels, in e, sMAPE along the horizon.

    Raises:
        UnknownName: a model that the task does not have. UsageError: a seed that it was not run with. GleBenchError:
            no run is done, or none has a history.
    """
    task = registry.task(subject.task)
    model = request.model or subject.model
    by_model, skipped = drawn_runs(task, [model], request)
    runs = by_model[model]
    drawn, notes = curves(task.metric, task.evaluation_split(request.protocol), runs)
    if drawn is None:
        raise GleBenchError(" ".join(notes))
    seed = _chosen(task, drawn, request)
    stages, told = _stage_panels(subject.stages, task, runs, drawn, seed)
    training = _training_panel("d", task, runs, drawn)
    horizon, untold = horizon_panel("e", task, runs)
    panels = (*stages, training, *([horizon] if horizon else []))
    layout = (*ABOVE[len(stages)], "dddee" if horizon else "d")
    heading = f"Figure {name} - Mackey-Glass: {runs.label}, protocol {request.protocol}"
    everything = (*told, *_sources(task), *cut_off(drawn, training.y_limits[1]), *notes, *untold, *runs.notes)
    return Built(Plot(heading, panels, layout, SIZE, tuple(dict.fromkeys(everything))), skipped)


def _chosen(task: Task, drawn: Curves, request: Request) -> int:
    """The seed that is asked for, or the one whose last evaluation is the best."""
    if request.seed is None:
        return _best(task, drawn)
    if request.seed not in drawn.seeds:
        known = ", ".join(map(str, drawn.seeds))
        raise UsageError(f"--seed {request.seed}: no such run is done; there are {known}.")
    return request.seed


def _best(task: Task, drawn: Curves) -> int:
    final = drawn.values[:, -1]
    return drawn.seeds[int(final.argmax() if task.metric.better == "higher" else final.argmin())]


def _stage_panels(
    stages: Sequence[int], task: Task, runs: DrawnRuns, drawn: Curves, seed: int
) -> tuple[list[Panel], list[str]]:
    """One panel a stage, at the rounds nearest to the paper's of those that were kept; and which sequence it is."""
    record, folder = runs.done[seed]
    try:
        kept = forecasts(record, folder, drawn.split, drawn.rounds[-1])
    except GleBenchError as error:
        return [], [f"No panels b and c: {error}"]
    known = [number for number in kept if number in drawn.rounds]
    if not known:
        return [], [f"No panels b and c: {folder.path} has no traces and no predictions of {drawn.split}."]
    values = drawn.values[drawn.seeds.index(seed)]
    panels = []
    for letter, (number, wanted) in zip("bc", nearest(stages, known).items(), strict=False):
        place = drawn.rounds.index(number)
        paper = "" if wanted == [number] else f" (paper: {' and '.join(map(str, wanted))})"
        epochs = f"{drawn.epochs[place]:g} epoch{'' if drawn.epochs[place] == 1 else 's'}"
        title = f"after {epochs}{paper}: {named(task.metric)} {values[place]:.1f} %"
        panels.append(forecast_panel(letter, title, kept[number]))
    return panels, [f"{', '.join(panel.letter for panel in panels)}: {_which(task, drawn, seed)}"]


def _which(task: Task, drawn: Curves, seed: int) -> str:
    """Why it is this sequence."""
    count = len(drawn.seeds)
    best = f", of {count} the one that ends best on the {drawn.split} split" if seed == _best(task, drawn) else ""
    return f"sequence {seed}{best}."


def _training_panel(letter: str, task: Task, runs: DrawnRuns, drawn: Curves) -> Panel:
    """The metric of all sequences over training: thin lines, their mean, their best epochs, the published levels."""
    others = sorted({cell.model for cell in task.published} - {runs.model})
    colors = {model: number for number, model in enumerate([runs.model, *others])}
    published = levels(task, colors, drawn.split, ("last", "best"))
    dots = best_dots(drawn, task.metric, 0)
    return Panel(
        letter,
        f"{len(drawn.seeds)} sequences",
        "epoch",
        axis_name(task.metric, drawn.split),
        (*seed_lines(drawn, SEEDS), mean_line(drawn, "mean, at last", 0, band=False), dots),
        published,
        y_limits=limits(task.metric, [drawn], published),
    )


def _sources(task: Task) -> list[str]:
    """Where the published levels are from."""
    sources: dict[str, list[str]] = {}
    for cell in task.published:
        sources.setdefault(cell.source, []).append(f"{cell.value:g}")
    return ["Dashed: published. " + " ".join(f"{', '.join(values)}: {source}." for source, values in sources.items())]
