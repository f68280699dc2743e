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
    averaged_line,
    axis_name,
    curves,
    drawn_runs,
    levels,
    limits,
)
from gle_bench.report.figures.forecasts import forecast_panel, forecasts, horizon_panel, nearest
from gle_bench.report.figures.plot import Built, Panel, Plot

ABOVE: Final = ((), ("b",), ("bc",))  # the rows of the layout above panels d and e, by how many stages were kept
SIZE: Final = (7.4, 5.2)  # inches


def build(name: str, subject: ForecastFigure, request: Request) -> Built:
    """Figure 10 b-d, and a panel e, which the paper does not have: sMAPE along the forecast.

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
    if request.seed is not None and request.seed not in drawn.seeds:
        seeds = ", ".join(map(str, drawn.seeds))
        raise UsageError(f"--seed {request.seed}: no such run is done; there are {seeds}.")
    seed = drawn.best_seed if request.seed is None else request.seed
    stages, stage_notes = _stage_panels(subject.stages, runs, drawn, seed)
    training = _training_panel("d", task, runs, drawn)
    horizon, horizon_notes = horizon_panel("e", task, runs)
    panels = (*stages, training, *([horizon] if horizon else []))
    layout = (*ABOVE[len(stages)], "dddee" if horizon else "d")
    heading = f"Figure {name} - Mackey-Glass: {runs.label}, protocol {request.protocol}"
    cut_off = drawn.cut_off(training.y_limits[1])
    all_notes = dict.fromkeys([*stage_notes, *_sources(task), *cut_off, *notes, *horizon_notes, *runs.notes])
    return Built(Plot(heading, panels, layout, SIZE, tuple(all_notes)), skipped)


def _stage_panels(stages: Sequence[int], runs: DrawnRuns, drawn: Curves, seed: int) -> tuple[list[Panel], list[str]]:
    """One panel a stage, at the kept round nearest to the paper's, and a note that says which sequence it is."""
    record, folder = runs.done[seed]
    try:
        kept = forecasts(record, folder, drawn.split, drawn.rounds[-1])
    except GleBenchError as error:
        return [], [f"No panels b and c: {error}"]
    rounds = [number for number in kept if number in drawn.rounds]
    if not rounds:
        return [], [f"No panels b and c: {folder.path} has no traces and no predictions of {drawn.split}."]
    values = drawn.values[drawn.seeds.index(seed)]
    panels = []
    for letter, (number, printed) in zip("bc", nearest(stages, rounds).items(), strict=False):
        place = drawn.rounds.index(number)
        paper = "" if printed == [number] else f" (paper: {' and '.join(map(str, printed))})"
        epochs = f"{drawn.epochs[place]:g} epoch{'' if drawn.epochs[place] == 1 else 's'}"
        title = f"after {epochs}{paper}: {drawn.name} {values[place]:.1f} %"
        panels.append(forecast_panel(letter, title, kept[number]))
    count, best = len(drawn.seeds), seed == drawn.best_seed
    why = f", the one of {count} that ends best on the {drawn.split} split" if best else ""
    return panels, [f"{', '.join(panel.letter for panel in panels)}: sequence {seed}{why}."]


def _training_panel(letter: str, task: Task, runs: DrawnRuns, drawn: Curves) -> Panel:
    """The metric of all sequences over training: thin lines, their mean, their best epochs, the published levels."""
    others = sorted({cell.model for cell in task.published} - {runs.model})
    colors = {model: number for number, model in enumerate([runs.model, *others])}
    published = levels(task, colors, drawn.split, ("last", "best"))
    mean = drawn.mean_line("mean, at last", 0, band=False)
    averages = averaged_line(task.metric, drawn.split, runs, "averaged weights, at last", 0)
    return Panel(
        letter,
        f"{len(drawn.seeds)} sequences",
        "epoch",
        axis_name(task.metric, drawn.split),
        (*drawn.seed_lines(), mean, *averages, drawn.best_dots(0)),
        published,
        y_limits=limits(task.metric, [drawn], published),
    )


def _sources(task: Task) -> list[str]:
    """A sentence on the sources of the published levels."""
    sources: dict[str, list[str]] = {}
    for cell in task.published:
        sources.setdefault(cell.source, []).append(f"{cell.value:g}")
    return ["Dashed: published. " + " ".join(f"{', '.join(values)}: {source}." for source, values in sources.items())]
