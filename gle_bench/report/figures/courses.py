"""The courses of learning that figures draw: the histories of one run of each learning rule, and the streams of a task.

Figures 5, 6, 14 and 15 are made of them.
"""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Final, NamedTuple

import torch
from torch import Tensor

from gle_bench import registry
from gle_bench.config import RateNoiseConfig
from gle_bench.contracts import Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.files.disk import data_folder
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.plot import Level, Limits, Line, Panel, Scale, line
from gle_bench.report.results import ConfigurationRuns, fullest, gather, grouped, pairs_of
from gle_bench.tracking.history import Cell, Row
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import Skipped

DOTS: Final = 60  # of a course that is not drawn as a line
Curves = Mapping[str, tuple[str, int]]  # {model and rule: name in the figure, colour}


class Course(NamedTuple):
    """The history of a run: its times (E,), and the numbers of each column at them."""

    seed: int
    times: list[float]
    values: Mapping[str, list[float]]

    def at(self, time: float, names: Sequence[str]) -> Tensor:
        """The values of some columns, such as parameters, at the evaluation nearest to a time."""
        place = min(range(len(self.times)), key=lambda k: abs(self.times[k] - time))
        return torch.tensor([self.values[name][place] for name in names], dtype=torch.float64)


class Courses(NamedTuple):
    """The courses that a figure draws, {model and rule: course}, the records passed over, and notes."""

    of: Mapping[str, Course]
    skipped: Sequence[Skipped]
    notes: list[str]


def recorded(
    name: str, task: Task, curves: Curves, unit: float, request: Request, noise: Sequence[RateNoiseConfig] = ()
) -> Courses:
    """The courses of these models and rules, with notes on those that were not run.

    Args:
        unit: time from one round of a run to the next.
        noise: the disturbances of the runs; others are not drawn.

    Raises:
        UsageError: a model was chosen, or a seed that was not run. GleBenchError: none of them was run.
    """
    if request.model is not None:
        raise UsageError(f"--model {request.model}: figure {name} shows all models; leave it out.")
    gathered, skipped = gather(request.runs)
    folders = {record.run_id: folder for folder, record in gathered}
    disturbances = [each.model_dump(mode="json") for each in noise]
    records = [
        record
        for _, record in gathered
        if record.protocol == request.protocol and record.config.get("disturbances", []) == disturbances
    ]
    groups = fullest(grouped(task, records, pairs_of(task)), lambda group: f"{group.first.model}+{group.first.rule}")
    found, notes = dict[str, Course](), list[str]()
    for key, (text, _) in curves.items():
        if key not in groups:
            notes.append(f"{text} was not run; say `{_command(task, key, request, noise)}`.")
            continue
        record = _chosen(groups[key], key, request)
        split = task.evaluation_split(request.protocol)
        rows = [row for row in folders[record.run_id].read_history() if row.get("split") == split]
        if not rows:
            notes.append(f"{text} has a record without a history; say `{_command(task, key, request, noise)}`.")
            continue
        found[key] = _course(record.seed, rows, unit)
        notes += [f"{text}: {mark}." for mark in groups[key].marks if not _drawn_as_such(str(mark))]
    if not found:
        raise GleBenchError(" ".join(notes))
    return Courses(found, skipped, notes)


def _command(task: Task, key: str, request: Request, noise: Sequence[RateNoiseConfig]) -> RunCommand:
    """The command that makes the run of a curve."""
    model, _, rule = key.partition("+")
    own = registry.pair(task.name, model).configure("paper").rule
    named = [each.model_dump_json(exclude_defaults=True) for each in noise]
    settings = (f"disturbances=[{', '.join(named)}]",) if named else ()
    return RunCommand(task.name, model, None if rule == own else rule, protocol=request.protocol, settings=settings)


def _chosen(group: ConfigurationRuns, key: str, request: Request) -> Record:
    """The run of the request's seed, or of the smallest one."""
    done = {record.seed: record for record in group.done}
    record = done.get(min(done) if request.seed is None else request.seed)
    if record is None:
        raise UsageError(f"--seed {request.seed}: no such run of {key} is done.")
    return record


def _drawn_as_such(mark: str) -> bool:
    """Whether a mark tells no more than which curve of which figure the run is."""
    return mark.startswith(("rule=", "disturbances="))


def _course(seed: int, rows: Sequence[Row], unit: float) -> Course:
    names = dict.fromkeys(name for row in rows for name in row)
    numbers = {name: [_number(row.get(name)) for row in rows] for name in names}
    return Course(seed, [unit * number for number in numbers["round"]], numbers)


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else nan


def stream(task: Task, dt: float, begin: float, end: float) -> tuple[Tensor, Tensor, Tensor]:
    """Times, inputs and targets (T,) of the first stream that a task learns from, of the chunks that hold an interval.

    Args:
        dt: the task's time step.
    """
    options = task.options()
    split, steps = task.load(data_folder(None), options, "paper", 0).splits["train"], task.shape(options).steps
    chunks = torch.arange(max(round(begin / dt), 0) // steps, round(end / dt) // steps + 1)
    batch = split.fetch(chunks * task.streams, 0, 0)
    inputs, targets = (x.flatten().double() for x in (batch.inputs, batch.targets))
    return dt * (chunks[0] * steps + torch.arange(1, len(inputs) + 1, dtype=torch.float64)), inputs, targets


def over_time(
    letter: str,
    title: str,
    lines: Sequence[Line],
    *,
    levels: Sequence[Level] = (),
    x_limits: Limits = (None, None),
    y_limits: Limits = (None, None),
    y_scale: Scale = "linear",
    corner: str = "",
) -> Panel:
    """A panel over the logarithm of time."""
    return Panel(
        letter,
        title,
        "time",
        "",
        tuple(lines),
        tuple(levels),
        x_limits=x_limits,
        y_limits=y_limits,
        x_scale="log",
        y_scale=y_scale,
        corner=corner,
    )


def course_lines(
    courses: Mapping[str, Course], curves: Curves, names: Sequence[str], labelled: bool = True
) -> list[Line]:
    """The lines of some columns of all courses, from the first evaluation after the start; the first have labels.

    BPTT, which learns at the ends of windows, is drawn as dots, as in the paper.
    """
    return [
        course_line(course, course.values[name], curves[key], key, labelled and name == names[0])
        for key, course in courses.items()
        for name in names
    ]


def course_line(
    course: Course, values: Sequence[float], curve: tuple[str, int], key: str, labelled: bool = True
) -> Line:
    """One line of a course; of one that is drawn as dots, those at equal distances in the logarithm of time."""
    text, color = curve
    if not key.startswith("bptt"):
        return line(course.times[1:], values[1:], "exact", text * labelled, color)
    places = sorted({round((len(values) - 1) ** (k / (DOTS - 1))) for k in range(DOTS)})
    return line([course.times[k] for k in places], [values[k] for k in places], "dots", text * labelled, color)
