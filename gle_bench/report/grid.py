"""A metric against one setting or several: the points of a grid, each with the scores of its seeds.

`glebench sweep` makes it of the runs that it planned, and `glebench plot --x` of any recorded runs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gle_bench.contracts import Metric, Task
from gle_bench.errors import UsageError, look_up
from gle_bench.report.output import plain
from gle_bench.report.results import ConfigurationRuns
from gle_bench.report.settings import NAMING, Setting, change_words, value_text
from gle_bench.report.settings import setting as setting_of
from gle_bench.report.statistics.equivalence import mean_interval
from gle_bench.report.statistics.welch import Interval, Sample, sample
from gle_bench.words import Selection

LOSSES: Final = ("loss", "mse")  # metrics that are no task's own, of which lower values are better
INTERVAL: Final = "Intervals are 95 % intervals of the mean over seeds, by Student's t; a single seed has none."


@dataclass(frozen=True)
class Point:
    """The runs of one configuration in a grid.

    Attributes:
        series: what names the configuration beside the settings on the axes; empty where nothing differs.
        at: the value of the setting on each axis.
        scores: {seed: value} of the seeds that are done.
        unfinished: the other seeds, each as '2 failed'.
    """

    series: str
    at: tuple[Any, ...]
    scores: Mapping[int, float]
    unfinished: tuple[str, ...] = ()

    @property
    def sample(self) -> Sample | None:
        """The mean, the sample standard deviation and the number of the scores; None without a score."""
        return sample([*self.scores.values()]) if self.scores else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean; None for fewer than two scores."""
        ours = self.sample
        return None if ours is None else mean_interval(ours)


@dataclass(frozen=True)
class Grid:
    """The points of a grid, with what was measured.

    Attributes:
        axes: the names of the settings.
        selection: the evaluation whose scores count.
        notes: sentences for whoever reads the grid.
    """

    task: str
    metric: Metric
    split: str
    selection: Selection
    axes: tuple[str, ...]
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()

    def values(self, axis: int) -> list[Any]:
        """The values on an axis, each once: numbers by size, others in the order in which they came."""
        values = {value_text(point.at[axis]): point.at[axis] for point in self.points}
        numbers = all(is_number(value) for value in values.values())
        return sorted(values.values()) if numbers else list(values.values())

    @property
    def series(self) -> list[str]:
        """The names of the series, in the order in which they came."""
        return list(dict.fromkeys(point.series for point in self.points))

    @property
    def best(self) -> Point | None:
        """The point with the best mean; None where no seed is done."""
        scored = [(ours.mean, point) for point in self.points if (ours := point.sample) is not None]
        sign = 1 if self.metric.better == "higher" else -1
        return max(scored, key=lambda each: sign * each[0])[1] if scored else None


def is_number(value: Any) -> bool:
    """Whether a setting's value has a place on an axis of numbers; true and false have none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_json(grid: Grid) -> dict[str, Any]:
    """A grid as plain data."""
    points = []
    for point in grid.points:
        ours, interval = point.sample, point.interval
        points.append(
            {
                "series": point.series,
                "at": dict(zip(grid.axes, point.at, strict=True)),
                "n": len(point.scores),
                "mean": None if ours is None else ours.mean,
                "sd": None if ours is None else ours.sd,
                "interval": None if interval is None else list(interval),
                "scores": {str(seed): score for seed, score in point.scores.items()},
                "unfinished": list(point.unfinished),
            }
        )
    named = {"task": grid.task, "metric": grid.metric.name, "unit": grid.metric.unit, "better": grid.metric.better}
    measured = {"split": grid.split, "selection": grid.selection, "axes": list(grid.axes)}
    content: dict[str, Any] = plain({**named, **measured, "points": points, "notes": list(grid.notes)})
    return content


def peeking(task: Task, split: str, protocol: str) -> tuple[str, ...]:
    """A warning where a setting would be chosen by the split on which results are reported."""
    if split != "test":
        return ()
    held_out = task.evaluation_split("clean")
    other = f"; protocol clean has a {held_out} split for that" if (protocol, held_out) != ("clean", "test") else ""
    return (f"These scores are of the test split: a setting that is chosen by them is chosen with hindsight{other}.",)


def metric(task: Task, name: str | None, names: Collection[str]) -> Metric:
    """The metric of that name; None: the task's own. Of a loss, lower values are better.

    Raises:
        UnknownName: it is none of the `names`, which were measured.
    """
    if name is None:
        return task.metric
    plain_name = name.removesuffix("_averaged")
    if plain_name == task.metric.name:
        return replace(task.metric, name=name)
    look_up("metric", name, dict.fromkeys(names))
    return Metric(name, better="lower" if plain_name in LOSSES else "higher")


# Of recorded runs -----------------------------------------------------------------------------------------------------


def of_runs(
    task: Task,
    groups: Sequence[ConfigurationRuns],
    keys: Sequence[str],
    metric: Metric,
    split: str | None,
    selection: Selection,
) -> Grid:
    """The grid of recorded runs of a task over the settings that these keys name.

    `split` is the one on which scores are taken; None: the one that is watched while training.

    Raises:
        UsageError: an unknown or ambiguous key; runs under both protocols; no run has all of the settings.
    """
    records = [record for group in groups for record in group.records]
    settings = [setting_of(key, records) for key in keys]
    protocols = sorted({record.protocol for record in records})
    if split is None and len({task.evaluation_split(protocol) for protocol in protocols}) > 1:
        raise UsageError(
            "The runs are of both protocols, which watch different splits; choose a --protocol or --split."
        )
    where = split or task.evaluation_split(protocols[0])
    placed = [group for group in groups if all(group.first.run_id in each.values for each in settings)]
    if not placed:
        raise UsageError(f"--x {', '.join(keys)}: none of the runs has all of these settings.")
    points = []
    for group, label in zip(placed, labels(placed, settings), strict=True):
        scores = group.values(selection, where, metric.name)
        at = tuple(each.values[group.first.run_id] for each in settings)
        points.append(Point(label, at, scores, tuple(group.unfinished)))
    notes = [f"{len(groups) - len(placed)} configurations without these settings are left out."]
    notes = [
        *(notes if len(placed) < len(groups) else []),
        *(peeking(task, where, protocols[0]) if any(each.path not in NAMING for each in settings) else ()),
    ]
    return Grid(task.name, metric, where, selection, tuple(keys), tuple(points), tuple(notes))


def labels(groups: Sequence[ConfigurationRuns], settings: Sequence[Setting] = ()) -> list[str]:
    """The names of configurations: model, rule, and what else differs among them, but not the given settings.

    Where two with the same settings had the same name, they have the beginning of their hashes in it.
    """
    named = [_parts(group, settings) for group in groups]
    names = dict.fromkeys(name for parts in named for name in parts)
    shown = ["model", *(name for name in names if name != "model" and len({each.get(name) for each in named}) > 1)]
    made = [", ".join(parts[name] for name in shown if parts.get(name)) for parts in named]
    values = [[value_text(each.values.get(group.first.run_id)) for each in settings] for group in groups]
    places = [(label, *its) for label, its in zip(made, values, strict=True)]
    return [
        label if places.count(place) == 1 else ", ".join(filter(None, [label, group.first.config_hash[:6]]))
        for label, place, group in zip(made, places, groups, strict=True)
    ]


def _parts(group: ConfigurationRuns, settings: Sequence[Setting]) -> dict[str, str]:
    """What names a configuration, by kind: 'model', 'protocol', 'budget', or the path of a changed setting."""
    first, on_axes = group.first, {each.path for each in settings}
    rule = "".join(f"+{mark.value}" for mark in group.marks if mark.kind == "rule" and "rule" not in on_axes)
    parts = {"model": ("" if "model" in on_axes else first.model) + rule}
    for name in ("protocol", "budget"):
        if name not in on_axes:
            parts[name] = f"{name} {getattr(first, name)}"
    for mark in group.marks:
        path, _, text = mark.value.partition("=")
        if mark.kind == "setting" and not any(each.covers(path) for each in settings):
            parts[path] = change_words(first, path, text)
        elif mark.kind in ("data", "version", "code", "other"):
            parts[str(mark)] = mark.word
    return parts
