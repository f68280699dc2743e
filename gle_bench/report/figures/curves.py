"""The runs that a figure draws, and their metric over training: each seed's history, mean and spread, levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gle_bench.contracts import Metric, Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import GleBenchError, look_up
from gle_bench.report.figures.plot import Level, Limits, Line, line
from gle_bench.report.results import ConfigurationRuns, fullest, gather, grouped, pairs_of, words_of
from gle_bench.report.statistics.welch import Sample, sample
from gle_bench.report.tables.formats import published_text, sample_text
from gle_bench.tracking.history import Row
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Skipped
from gle_bench.words import Protocol, Selection

DECIMALS: Final = 2  # of our means in legends
LARGEST: Final = 1e100  # the largest epoch and value that are drawn; a history beyond it has run away
CAPITALS: Final = {"smape": "sMAPE"}
# The axis of a metric that falls (less is better) is as high as these need:
FROM: Final = 0.1  # the mean from this share of training on
LATE: Final = 0.5  # the single evaluations from this share of training on,
SHARE: Final = 95.0  # of which so many percent must fit on the axis


class Request(NamedTuple):
    """What the user wants to see in a figure; the command line makes it.

    Attributes:
        runs: the folder of the user's runs; the published records count beside them.
        model: this one alone; None: those that the figure has by itself.
        seed: of the run that is shown alone, where the figure does that; None: the best.
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
        """Its marks, which say why it cannot be compared with a published number; changed settings are one word."""
        return words_of(self.group.marks)

    @property
    def label(self) -> str:
        """The model, and its marks."""
        return f"{self.model} [{', '.join(self.words)}]" if self.words else self.model


def drawn_runs(task: Task, models: Sequence[str], request: Request) -> tuple[dict[str, DrawnRuns], list[Skipped]]:
    """The runs of these models under the request's protocol, {model: runs}, and the records that were passed over.

    Of each model they are those with the fewest marks. A model without a run that is done is left out.

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
    return {model: _drawn(model, group, folders) for model, group in groups.items()}, skipped


def _drawn(model: str, group: ConfigurationRuns, folders: Mapping[str, RunFolder]) -> DrawnRuns:
    done = {record.seed: (record, folders[record.run_id]) for record in group.done}
    notes = [f"changed settings: {group.changed}"] if group.changed else []
    if group.unfinished:
        notes.append(f"of {len(group.records)} seeds, {' and '.join(group.unfinished)}: not drawn")
    notes += [note.removesuffix(".") for note in group.first.data.notes]
    return DrawnRuns(model, group, done, tuple(f"{model}: {note}." for note in notes))


class Curves(NamedTuple):
    """One group's evaluations: at each epoch (E) the metric of each seed, (S, E)."""

    split: str
    seeds: tuple[int, ...]
    rounds: tuple[int, ...]
    epochs: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.values.mean(0)
        return mean

    @property
    def sd(self) -> NDArray[np.float64] | None:
        """Sample standard deviation (ddof 1); None of a single seed."""
        return self.values.std(0, ddof=1) if len(self.seeds) > 1 else None

    @property
    def final(self) -> Sample:
        """At the last evaluation."""
        return sample(self.values[:, -1].tolist())


def curves(metric: Metric, split: str, runs: DrawnRuns) -> tuple[Curves | None, list[str]]:
    """The evaluations that all seeds of a group have, and a sentence on each history that cannot be drawn."""
    found: dict[int, dict[int, tuple[float, float]]] = {}
    notes = []
    for seed, (_, folder) in sorted(runs.done.items()):
        try:
            rows = [row for row in folder.read_history() if row.get("split") == split]
            points = dict(_point(folder, row, metric.name) for row in rows)
        except GleBenchError as error:
            notes.append(f"{runs.model}: seed {seed} is not drawn. {error}")
            continue
        if points:
            found[seed] = points
        else:
            notes.append(f"{runs.model}: seed {seed} is not drawn, because {folder.path} has no history of {split}.")
    rounds = sorted(set.intersection(*map(set, found.values()))) if found else []
    if not rounds:
        return None, notes
    first = next(iter(found.values()))
    values = np.array([[points[number][1] for number in rounds] for points in found.values()])
    epochs = np.array([first[number][0] for number in rounds])
    return Curves(split, tuple(found), tuple(rounds), epochs, values), notes


def _point(folder: RunFolder, row: Row, metric: str) -> tuple[int, tuple[float, float]]:
    """(round, (epoch, metric)) of a row of a history.

    Raises:
        GleBenchError: one of them is no number that can be drawn.
    """
    match row.get("round"), row.get("epoch"), row.get(metric):
        case int(number), (int() | float()) as epoch, (int() | float()) as value if (
            abs(epoch) <= LARGEST and abs(value) <= LARGEST
        ):
            return number, (float(epoch), float(value))
    raise GleBenchError(f"{folder.path} has another history.")


def mean_line(drawn: Curves, label: str, color: int, band: bool = True) -> Line:
    """The mean with its spread; the label says what both are at the end, and of how many seeds."""
    text = f"{label}: {sample_text(drawn.final, DECIMALS)} ({len(drawn.seeds)})"
    return line(drawn.epochs, drawn.mean, "mean", text, color, () if drawn.sd is None or not band else drawn.sd)


def seed_lines(drawn: Curves, color: int) -> tuple[Line, ...]:
    """One thin line a seed."""
    return tuple(line(drawn.epochs, values, "seed", color=color) for values in drawn.values)


def best_dots(drawn: Curves, metric: Metric, color: int) -> Line:
    """Each seed's best evaluation; the label has their mean."""
    places = drawn.values.argmax(1) if metric.better == "higher" else drawn.values.argmin(1)
    best = drawn.values[np.arange(len(places)), places]
    label = f"best of each: {sample_text(sample(best.tolist()), DECIMALS)}"
    return line(drawn.epochs[places], best, "dots", label, color)


def levels(
    task: Task, colors: Mapping[str, int], split: str, selections: Sequence[Selection] = ("last",)
) -> tuple[Level, ...]:
    """What was published on the models that have a colour: a label tells another split, and what the best epoch had."""
    found = []
    for cell in task.published:
        if cell.model in colors and cell.selection in selections:
            said = [*(["best"] if cell.selection == "best" else []), *([cell.split] if cell.split != split else [])]
            where = f" ({', '.join(said)})" if said else ""
            found.append(Level(cell.value, f"{published_text(cell)} {cell.model}{where}", colors[cell.model]))
    return tuple(found)


def limits(metric: Metric, drawn: Sequence[Curves], published: Sequence[Level]) -> Limits:
    """Of the metric's axis: from 0, to 100 % where more is better, else as high as what lies behind the beginning.

    What an untrained network scores may lie so far above that nothing else could be told apart.
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


def cut_off(drawn: Curves, top: float | None) -> list[str]:
    """A sentence on the evaluations that lie above the axis."""
    above = 0 if top is None else int((drawn.values > top).sum())
    return [f"{above} of {drawn.values.size} evaluations lie above the axis."] if above else []


def named(metric: Metric) -> str:
    """The metric's name as it is printed."""
    return CAPITALS.get(metric.name, metric.name)


def axis_name(metric: Metric, split: str) -> str:
    """As 'accuracy (%), test split'."""
    return f"{named(metric)}{f' ({metric.unit})' if metric.unit else ''}, {split} split"
