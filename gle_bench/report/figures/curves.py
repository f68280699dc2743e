"""The runs that a figure draws, and their metric over training with the published levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gle_bench.contracts import Metric, Task
from gle_bench.contracts.command import RunCommand
from gle_bench.contracts.results import averaged
from gle_bench.errors import GleBenchError, look_up
from gle_bench.report.figures.plot import SEEDS, Level, Limits, Line, Look, line
from gle_bench.report.results import ConfigurationRuns, fullest, gather, grouped, pairs_of, words_of
from gle_bench.report.statistics.welch import sample
from gle_bench.report.tables.cells import published_text, sample_text
from gle_bench.tracking.history import Row
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Skipped
from gle_bench.words import Protocol, Selection

DECIMALS: Final = 2  # of our means in legends
LARGEST: Final = 1e100  # the largest epoch and the largest value that can be drawn
AVERAGED: Final = "Dash-dotted: our mean with averaged weights."
CAPITALS: Final = {"smape": "sMAPE"}  # names of metrics that are printed otherwise
# Where less is better, the axis of a metric is as high as
FROM: Final = 0.1  # the mean needs from this share of training on, and
LATE: Final = 0.5  # the single evaluations need from this share of training on;
SHARE: Final = 95.0  # this percentage of them must fit


class Request(NamedTuple):
    """What a user asks a figure to show.

    Attributes:
        runs: the folder of the user's runs; published records are drawn beside them.
        model: the only model to show; None: those of the figure.
        seed: the seed of the run that is shown alone, in a figure that shows one alone; None: the best run.
    """

    runs: Path
    model: str | None = None
    seed: int | None = None
    protocol: Protocol = "paper"


@dataclass(frozen=True)
class DrawnRuns:
    """The runs of one model in a figure: the seeds of one configuration that are done, at least one.

    Attributes:
        done: {seed: record and folder}.
        notes: sentences on what is not drawn.
    """

    model: str
    group: ConfigurationRuns
    done: Mapping[int, tuple[Record, RunFolder]]
    notes: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The marks of the runs, in words: the reasons why they cannot be compared with a published number."""
        return words_of(self.group.marks)

    @property
    def label(self) -> str:
        """The model's name with its marks."""
        return f"{self.model} [{', '.join(self.words)}]" if self.words else self.model


def drawn_runs(task: Task, models: Sequence[str], request: Request) -> tuple[dict[str, DrawnRuns], list[Skipped]]:
    """The runs that a figure draws of these models, {model: runs}, and the records that could not be read.

    They are of the request's protocol; of a model's configurations, the one with the fewest marks is drawn. A model
    without a run that is done is left out.

    Raises:
        UnknownName: a model that the task does not have. GleBenchError: none of them has a run that is done.
    """
    pairs = pairs_of(task)
    for model in models:
        look_up("model", model, pairs)
    gathered, skipped = gather(request.runs)
    folders = {record.run_id: folder for folder, record in gathered}
    records = [r for _, r in gathered if r.protocol == request.protocol and r.model in models]
    groups = fullest(grouped(task, records, pairs), lambda group: group.first.model)
    if not groups:
        raise GleBenchError(
            f"No run of {task.name} by {' or '.join(models)} under protocol {request.protocol} is done; make some with "
            f"`{RunCommand(task.name, models[0], protocol=request.protocol)}`."
        )
    return {model: drawn(model, group, folders) for model, group in groups.items()}, skipped


def drawn(model: str, group: ConfigurationRuns, folders: Mapping[str, RunFolder]) -> DrawnRuns:
    """The runs of a configuration as a figure draws them, {run id: folder} being the folders of all runs."""
    done = {record.seed: (record, folders[record.run_id]) for record in group.done}
    notes = [f"changed settings: {group.changed}"] if group.changed else []
    if group.unfinished:
        notes.append(f"of {len(group.records)} seeds, {' and '.join(group.unfinished)}: not drawn")
    notes += [note.removesuffix(".") for note in group.first.data.notes]
    return DrawnRuns(model, group, done, tuple(f"{model}: {note}." for note in notes))


class Curves(NamedTuple):
    """A metric over training for the seeds of one configuration: the values (S, E) of S seeds at E epochs."""

    metric: Metric
    split: str
    seeds: tuple[int, ...]
    rounds: tuple[int, ...]
    epochs: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean over the seeds, at each epoch."""
        mean: NDArray[np.float64] = self.values.mean(0)
        return mean

    @property
    def name(self) -> str:
        """The metric's name as figures print it."""
        return _printed_name(self.metric)

    @property
    def best_seed(self) -> int:
        """The seed whose last evaluation is the best."""
        last = self.values[:, -1]
        return self.seeds[int(last.argmax() if self.metric.better == "higher" else last.argmin())]

    def mean_line(self, label: str, color: int, band: bool = True, look: Look = "mean") -> Line:
        """The mean as a line, with one sample standard deviation (ddof 1) as its band.

        Both at the last evaluation and the number of seeds are appended to the label.
        """
        spread = self.values.std(0, ddof=1) if band and len(self.seeds) > 1 else ()
        last = sample(self.values[:, -1].tolist())
        text = f"{label}: {sample_text(last, DECIMALS)} ({last.n})"
        return line(self.epochs, self.mean, look, text, color, spread)

    def seed_lines(self) -> list[Line]:
        """A thin grey line for each seed."""
        return [line(self.epochs, values, "seed", color=SEEDS) for values in self.values]

    def best_dots(self, color: int) -> Line:
        """The best evaluation of each seed as a dot; the label has their mean."""
        places = self.values.argmax(1) if self.metric.better == "higher" else self.values.argmin(1)
        best = self.values[np.arange(len(places)), places]
        label = f"best of each: {sample_text(sample(best.tolist()), DECIMALS)}"
        return line(self.epochs[places], best, "dots", label, color)

    def cut_off(self, top: float | None) -> list[str]:
        """A sentence on the evaluations that lie above the axis; none if all of them fit."""
        above = 0 if top is None else int((self.values > top).sum())
        return [f"{above} of {self.values.size} evaluations lie above the axis."] if above else []


def curves(metric: Metric, split: str, runs: DrawnRuns) -> tuple[Curves | None, list[str]]:
    """The evaluations of a split that all runs have, and a sentence on each history that cannot be drawn."""
    points: dict[int, dict[int, tuple[float, float]]] = {}  # {seed: {round: (epoch, value)}}
    notes = []
    for seed, (_, folder) in sorted(runs.done.items()):
        try:
            rows = [row for row in folder.read_history() if row.get("split") == split]
            of_seed = dict(_point(folder, row, metric.name) for row in rows)
        except GleBenchError as error:
            notes.append(f"{runs.model}: seed {seed} is not drawn. {error}")
            continue
        if of_seed:
            points[seed] = of_seed
        else:
            notes.append(f"{runs.model}: seed {seed} is not drawn, because {folder.path} has no history of {split}.")
    rounds = sorted(set.intersection(*map(set, points.values()))) if points else []
    if not rounds:
        return None, notes
    first = next(iter(points.values()))
    values = np.array([[of_seed[number][1] for number in rounds] for of_seed in points.values()])
    epochs = np.array([first[number][0] for number in rounds])
    return Curves(metric, split, tuple(points), tuple(rounds), epochs, values), notes


def averaged_line(metric: Metric, split: str, runs: DrawnRuns, label: str, color: int) -> list[Line]:
    """The mean over the seeds with averaged weights as a line; none where the runs have no averages."""
    name = averaged(metric.name)
    if not all(name in record.metrics["last"].get(split, {}) for record, _ in runs.done.values()):
        return []
    measured, _ = curves(replace(metric, name=name), split, runs)
    return [] if measured is None else [measured.mean_line(label, color, band=False, look="averaged")]


def _point(folder: RunFolder, row: Row, metric: str) -> tuple[int, tuple[float, float]]:
    """One row of a history as (round, (epoch, value of the metric)).

    Raises:
        GleBenchError: one of them is no number that can be drawn.
    """
    match row.get("round"), row.get("epoch"), row.get(metric):
        case int(number), (int() | float()) as epoch, (int() | float()) as value if (
            abs(epoch) <= LARGEST and abs(value) <= LARGEST
        ):
            return number, (float(epoch), float(value))
    raise GleBenchError(f"{folder.path} has another history.")


def levels(
    task: Task, colors: Mapping[str, int], split: str, selections: Sequence[Selection] = ("last",)
) -> tuple[Level, ...]:
    """The published results of the models that have a colour, as horizontal lines.

    A label says so where a result is of another split than `split`, or of the best epoch.
    """
    made = []
    for cell in task.published:
        if cell.model in colors and cell.selection in selections:
            differs = [*(["best"] if cell.selection == "best" else []), *([cell.split] if cell.split != split else [])]
            where = f" ({', '.join(differs)})" if differs else ""
            made.append(Level(cell.value, f"{published_text(cell)} {cell.model}{where}", colors[cell.model]))
    return tuple(made)


def limits(metric: Metric, drawn: Sequence[Curves], published: Sequence[Level]) -> Limits:
    """The limits of the metric's axis.

    They are 0 and 100 % where more is better. Where less is better, an untrained network may score so high that
    nothing else could be seen; the axis therefore ends above the later evaluations and the published results.
    """
    if metric.better == "higher":
        return (0.0, 100.0 if metric.unit == "%" else None)
    tops = [level.y for level in published]
    for each in drawn:
        size = len(each.epochs)
        tops.append(float(each.mean[int(FROM * size) :].max()))
        tops.append(float(np.percentile(each.values[:, int(LATE * size) :], SHARE)))
    finite = [top for top in tops if np.isfinite(top)]
    return (0.0, 1.1 * max(finite) if finite else None)


def axis_name(metric: Metric, split: str) -> str:
    """The label of the metric's axis, as 'accuracy (%), test split'."""
    return f"{_printed_name(metric)}{f' ({metric.unit})' if metric.unit else ''}, {split} split"


def _printed_name(metric: Metric) -> str:
    return CAPITALS.get(metric.name, metric.name)
