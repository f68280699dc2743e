"""Figures 5 and 14: how the chain learns by three rules, and what its neurons and errors do before and after."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Final, NamedTuple

import torch
from torch import Tensor

from gle_bench import registry
from gle_bench.contracts import Shape, Task
from gle_bench.contracts.command import RunCommand
from gle_bench.data.files import data_folder
from gle_bench.dynamics.choices import PAPER
from gle_bench.dynamics.spectra import replayed
from gle_bench.dynamics.tape import INSTANTANEOUS
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.models.chain import Chain
from gle_bench.paper import ChainFigure, Moment
from gle_bench.recipes.chain import DT, STREAMS, ChainOptions
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.plot import FREE, SEEDS, Built, Level, Limits, Line, Look, Panel, Plot, Scale, line
from gle_bench.report.results import fullest, gather, grouped, pairs_of
from gle_bench.tracking.history import Cell, Row
from gle_bench.tracking.store import Skipped

CHUNK: Final = 4.0  # units of time from one row of the history to the next
WARM: Final = 20.0  # units of time that are replayed before what is shown
CURVES: Final = {  # {model and rule: name in the figure, colour}
    "gle+gle": ("GLE", 2),
    "gle+instantaneous": ("BP", 7),
    "bptt-4+bptt": ("BPTT, window 4", 1),
    "bptt-2+bptt": ("BPTT, window 2", 5),
    "bptt-1+bptt": ("BPTT, window 1", 3),
}
PARAMETERS: Final = ("w0", "w1", "tau0", "tau1")
SIGNALS: Final = ("r0", "r1", "r2", "e1", "e2")
RATE, ERROR = 1, 0  # colours
NOTES: Final = (
    "Weights, time constants and loss: those of the history; the loss is the mean of 4 units of time and of the batch, "
    "while learning. Dashed levels: the teacher's. Black, dashed: the target.",
    "Solid: GLE; dashed: BP, with instantaneous errors. Rates and errors are replayed with the recorded parameters, "
    "held still, for the first input of the batch, from rest 20 units of time before. tau_r = 0.1 and softplus are "
    "those of the released code; sections 2.5 and 5.6.2 of the paper print 0 and tanh.",
)


class ChainRun(NamedTuple):
    """The history of a run of the chain: its times (E,), and the parameters and the loss at them."""

    times: list[float]
    values: Mapping[str, list[float]]

    def at(self, time: float) -> Tensor:
        """The parameters (4,) at the evaluation nearest to a time."""
        place = min(range(len(self.times)), key=lambda k: abs(self.times[k] - time))
        return torch.tensor([self.values[name][place] for name in PARAMETERS], dtype=torch.float64)


def build(name: str, subject: ChainFigure, request: Request) -> Built:
    """Figure 5 or 14.

    Raises:
        UsageError: a model was chosen. GleBenchError: the chain was not run by GLE and by BP.
    """
    if request.model is not None:
        raise UsageError(f"--model {request.model}: figure {name} shows all models; leave it out.")
    task = registry.task(subject.task)
    runs, skipped, notes = _runs(task, request)
    panels = _learning(runs)
    layout: tuple[str, ...] = ("wtl",)
    both = {"gle+gle", "gle+instantaneous"} <= set(runs)
    shown = [m for m in subject.moments if both and m.end <= max(runs["gle+gle"].times) + CHUNK]
    if shown:
        panels += [panel for k, moment in enumerate(shown) for panel in _signals(task, runs, moment, k)]
        layout = (*("".join(_letter(row, k) for k in range(len(shown))) for row in range(len(SIGNALS))), *layout)
    size = (8.4, 2.4 + 1.15 * (len(layout) - 1))
    return Built(Plot(f"Figure {name} - {subject.title}", tuple(panels), layout, size, (*NOTES, *notes)), skipped)


def _runs(task: Task, request: Request) -> tuple[dict[str, ChainRun], Sequence[Skipped], list[str]]:
    """The histories that are drawn, {model and rule: run}, the records passed over, and notes on what is missing."""
    gathered, skipped = gather(request.runs)
    folders = {record.run_id: folder for folder, record in gathered}
    records = [record for _, record in gathered if record.task == task.name and record.protocol == request.protocol]
    groups = fullest(grouped(task, records, pairs_of(task)), lambda group: f"{group.first.model}+{group.first.rule}")
    runs, notes = dict[str, ChainRun](), []
    for title in CURVES:
        model, _, rule = title.partition("+")
        if title not in groups:
            command = RunCommand(task.name, model, rule if rule == "instantaneous" else None, protocol=request.protocol)
            notes.append(f"{CURVES[title][0]} was not run; say `{command}`.")
            continue
        done = {record.seed: record for record in groups[title].done}
        record = done.get(min(done) if request.seed is None else request.seed)
        if record is None:
            raise UsageError(f"--seed {request.seed}: no such run of {title} is done.")
        rows = folders[record.run_id].read_history()
        runs[title] = _run([row for row in rows if row.get("split") == task.evaluation_split(request.protocol)])
        notes += [f"{CURVES[title][0]}: {mark.word}." for mark in groups[title].marks]
    if not runs:
        raise GleBenchError(" ".join(notes))
    return runs, skipped, notes


def _run(rows: Sequence[Row]) -> ChainRun:
    names = (*PARAMETERS, "online_mse", "round")
    numbers = {name: [_number(row.get(name)) for row in rows] for name in names}
    return ChainRun([CHUNK * number for number in numbers["round"]], numbers)


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else nan


def _learning(runs: Mapping[str, ChainRun]) -> list[Panel]:
    """The panels of weights, time constants and loss over the logarithm of time."""
    panels = []
    kinds: tuple[tuple[str, str, tuple[str, ...], tuple[float, ...], Limits], ...] = (
        ("w", "weights", ("w0", "w1"), (1.0, 2.0), (-0.3, 2.7)),
        ("t", "membrane time constants", ("tau0", "tau1"), (1.0, 2.0), (0.0, 2.6)),
        ("l", "loss while learning", ("online_mse",), (), FREE),
    )
    for letter, title, names, levels, limits in kinds:
        lines = [
            line(run.times[1:], run.values[name][1:], "exact", CURVES[key][0] * (name == names[0]), CURVES[key][1])
            for key, run in runs.items()
            for name in names
        ]
        marks = tuple(Level(level, "", SEEDS) for level in levels)
        scale: Scale = "log" if letter == "l" else "linear"
        panels.append(
            Panel(
                letter,
                title,
                "time",
                "",
                tuple(lines),
                marks,
                y_limits=limits,
                x_scale="log",
                y_scale=scale,
                corner="c" if letter == "w" else "",
            )
        )
    return panels


def _letter(row: int, column: int) -> str:
    """The name of a panel of signals, which has no letter in the paper."""
    return chr(ord("A") + 5 * column + row)


def _signals(task: Task, runs: Mapping[str, ChainRun], moment: Moment, column: int) -> list[Panel]:
    """The panels of rates and errors of GLE and BP in one stretch of time."""
    time, inputs, targets = _stream(task, moment)
    shown = time >= moment.begin
    lines: list[list[Line]] = [[] for _ in SIGNALS]
    looks: tuple[tuple[str, Look], ...] = (("gle+gle", "exact"), ("gle+instantaneous", "inverse"))
    for key, look in looks:
        parameters = runs[key].at(moment.begin if moment.learned else 0.0)
        if moment.teacher_tau:
            parameters = torch.cat([parameters[:2], torch.tensor(ChainOptions().tau_m, dtype=torch.float64)])
        replayed = replay(inputs, targets, parameters, prospective=key == "gle+gle")
        for row, name in enumerate(SIGNALS):
            color = RATE if name.startswith("r") else ERROR
            label = CURVES[key][0] if row == 1 and not column else ""
            lines[row].append(line(time[shown], replayed[name][shown], look, label, color))
    lines[2].append(line(time[shown], targets[shown], "target", "" if column else "target"))
    ends = (moment.begin, moment.end)
    return [
        Panel(
            letter=_letter(row, column),
            title=moment.title if row == 0 else "",
            x_label="time" if row == len(SIGNALS) - 1 else "",
            y_label=name,
            lines=tuple(lines[row]),
            x_limits=ends,
            corner="b" if row == column == 0 else "",
        )
        for row, name in enumerate(SIGNALS)
    ]


def _stream(task: Task, moment: Moment) -> tuple[Tensor, Tensor, Tensor]:
    """Times, inputs and targets of the first stream, from `WARM` before a moment to its end."""
    split = task.load(data_folder(None), task.options(), "paper", 0).splits["train"]
    first, last = int((moment.begin - WARM) / CHUNK), int(moment.end / CHUNK)
    chunks = torch.arange(max(first, 0), last + 1)
    batch = split.fetch(chunks * STREAMS, 0, 0)
    inputs, targets = (x.flatten().double() for x in (batch.inputs, batch.targets))
    return chunks[0] * CHUNK + DT * torch.arange(1, len(inputs) + 1, dtype=torch.float64), inputs, targets


def replay(inputs: Tensor, targets: Tensor, parameters: Tensor, prospective: bool) -> dict[str, Tensor]:
    """Rates before each step and errors after it, (T,) each, of a chain with fixed parameters (4,), from rest.

    Args:
        inputs, targets: (T,).
        prospective: whether errors are those of GLE; else they are instantaneous.
    """
    family = Chain()
    network = family.network(Shape(len(inputs), 1, 1), "mse")
    window = Window(len(inputs), inputs.view(1, 1, -1, 1), targets.view(1, 1, -1, 1), None)
    given = family.given(network, parameters[:2], parameters[2:])
    rates, errors = replayed(network, given, window, PAPER if prospective else INSTANTANEOUS)
    after = [torch.from_numpy(rate).flatten() for rate in rates]
    before = [torch.cat([torch.zeros_like(rate[:1]), rate[:-1]]) for rate in after]
    signals = (inputs, *before, *(torch.from_numpy(error).flatten() for error in errors))
    return dict(zip(SIGNALS, signals, strict=True))
