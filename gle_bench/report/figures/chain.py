"""Figures 5, 14 and 15: how the chain learns, and what its neurons and errors do before and after; in 15 with noise."""

from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor

from gle_bench import registry
from gle_bench.contracts import Shape, Task
from gle_bench.dynamics.choices import PAPER
from gle_bench.dynamics.noise import RateNoise
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.spectra import replayed
from gle_bench.dynamics.tape import INSTANTANEOUS
from gle_bench.dynamics.window import Window
from gle_bench.models.chain import Chain
from gle_bench.paper import ChainFigure, Moment
from gle_bench.recipes.chain import CHUNK, DT, ChainOptions
from gle_bench.report.figures.courses import Course, Curves, course_line, course_lines, over_time, recorded, stream
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.plot import SEEDS, Built, Level, Limits, Line, Look, Panel, Plot, line

UNIT: Final = CHUNK * DT  # time from one row of the history to the next
WARM: Final = 20.0  # units of time that are replayed before what is shown
CURVES: Final[Curves] = {
    "gle+gle": ("GLE", 2),
    "gle+instantaneous": ("BP", 7),
    "bptt-4+bptt": ("BPTT, window 4", 1),
    "bptt-2+bptt": ("BPTT, window 2", 9),
    "bptt-1+bptt": ("BPTT, window 1", 3),
}
REPLAYED: Final[Mapping[str, Look]] = {"gle+gle": "exact", "gle+instantaneous": "inverse"}
PARAMETERS: Final = ("w0", "w1", "tau0", "tau1")
SIGNALS: Final = ("r0", "r1", "r2", "e1", "e2")
RATE, ERROR, QUIET = 1, 0, SEEDS  # colours
HISTORY: Final = (
    "Weights, time constants and loss: those of the history; the loss is the mean of 4 units of time and of the batch, "
    "while learning. Dashed levels: the teacher's. Black, dashed: the target."
)
WINDOWS: Final = "BPTT is drawn as dots, at some of the recorded times."
SOLID: Final = (
    "Solid: GLE; dashed: BP, with instantaneous errors. Rates and errors are replayed with the recorded parameters, "
    "held still, for the first input of the batch, from rest 20 units of time before."
)
CODE: Final = (
    "tau_r = 0.1 and softplus are those of the released code; sections 2.5 and 5.6.2 of the paper print 0 and tanh."
)
NOISY: Final = (
    "The paper tells the size of the noise, 10% of the input's amplitude, and not how long it is correlated: here its "
    "standard deviation is 0.1 on r0, r1 and r2 of the student, with a new random number every 20 steps and smooth "
    "between them. The teacher has none. Noise that is new at every step defeats the first neuron's time constant.",
    "Noise of r0 and r1, which no target explains, acts on w0 and tau0 as a decay (derived): GLE makes the output that "
    "of the teacher by other parameters than the teacher's.",
    "Loss, solid: while learning with noise, minus the 0.01 that is the noise of r2 itself; dashed: of a copy of the "
    "frozen network without noise, from rest, which says what was learned. Grey in r2: GLE's replay without noise.",
)


def build(name: str, subject: ChainFigure, request: Request) -> Built:
    """Figure 5, 14 or 15.

    Raises:
        UsageError: a model was chosen. GleBenchError: the chain was not run by GLE and by BP.
    """
    task = registry.task(subject.task)
    curves = {key: curve for key, curve in CURVES.items() if not subject.noise or key in REPLAYED}
    courses, skipped, notes = recorded(name, task, curves, UNIT, request, subject.noise)
    panels = list(_learning(courses, sum(each.std**2 for each in subject.noise)))
    layout: tuple[str, ...] = ("wtl", "wtl")
    both = REPLAYED.keys() <= courses.keys()
    shown = [m for m in subject.moments if both and m.end <= max(courses["gle+gle"].times) + UNIT]
    if shown:
        panels += [panel for k, m in enumerate(shown) for panel in _signals(task, subject, courses, m, k)]
        layout = (*("".join(_letter(row, k) for k in range(len(shown))) for row in range(len(SIGNALS))), *layout)
    size = (8.4, 1.15 * len(layout))
    told = (HISTORY, SOLID, *(NOISY if subject.noise else (WINDOWS,)), CODE, *notes)
    return Built(Plot(f"Figure {name} - {subject.title}", tuple(panels), layout, size, told), skipped)


def _learning(courses: Mapping[str, Course], variance: float) -> Iterator[Panel]:
    """The panels of weights, time constants and loss over the logarithm of time.

    Args:
        variance: that of the noise on the output; 0: there is no noise.
    """
    kinds: tuple[tuple[str, str, tuple[str, str], Limits], ...] = (
        ("w", "weights", ("w0", "w1"), (-0.5 if variance else -0.3, 2.7)),
        ("t", "membrane time constants", ("tau0", "tau1"), (0.0, 3.4 if variance else 2.6)),
    )
    for letter, title, names, limits in kinds:
        teacher = [Level(level, "", SEEDS) for level in (1.0, 2.0)]
        lines = course_lines(courses, CURVES, names, labelled=False)  # the panel of the loss has the labels
        corner = "c" if letter == "w" and not variance else ""
        yield over_time(letter, title, lines, levels=teacher, y_limits=limits, corner=corner)
    losses = []
    for key, course in courses.items():
        text, color = CURVES[key]
        learning = [loss - variance for loss in course.values["online_mse"]]
        losses.append(course_line(course, learning, CURVES[key], key))
        if variance:
            copy = course.values["mse"]
            losses.append(line(course.times[1:], copy[1:], "inverse", f"{text}, copy without noise", color))
    yield over_time("l", "loss" if variance else "loss while learning", losses, y_scale="log")


def _letter(row: int, column: int) -> str:
    """The name of a panel of signals, which has no letter in the paper."""
    return chr(ord("A") + 5 * column + row)


def _signals(
    task: Task, subject: ChainFigure, courses: Mapping[str, Course], moment: Moment, column: int
) -> Iterator[Panel]:
    """The panels of rates and errors of GLE and BP in one stretch of time."""
    time, inputs, targets = stream(task, DT, moment.begin - WARM, moment.end)
    shown = time >= moment.begin
    lines: dict[str, list[Line]] = {name: [] for name in SIGNALS}
    for key, look in REPLAYED.items():
        course, prospective = courses[key], key == "gle+gle"
        parameters = _parameters(course, moment)
        seams = _noise(subject, course.seed)
        signals = replay(inputs, targets, parameters, prospective, seams)
        for name in SIGNALS:
            label = CURVES[key][0] if name == "r1" and not column else ""
            color = RATE if name.startswith("r") else ERROR
            lines[name].append(line(time[shown], signals[name][shown], look, label, color))
        if seams and prospective:
            quiet = replay(inputs, targets, parameters, prospective)["r2"]
            lines["r2"].append(line(time[shown], quiet[shown], "exact", "" if column else "without noise", QUIET))
    lines["r2"].append(line(time[shown], targets[shown], "target", "" if column else "target"))
    for row, name in enumerate(SIGNALS):
        yield Panel(
            letter=_letter(row, column),
            title=moment.title if row == 0 else "",
            x_label="time" if row == len(SIGNALS) - 1 else "",
            y_label=name,
            lines=tuple(lines[name]),
            x_limits=(moment.begin, moment.end),
            corner="b" if row == column == 0 and not subject.noise else "",
        )


def _parameters(course: Course, moment: Moment) -> Tensor:
    """The parameters (4,) of a moment: two weights and two time constants."""
    parameters = course.at(moment.begin if moment.learned else 0.0, PARAMETERS)
    if moment.teacher_tau:
        parameters = torch.cat([parameters[:2], torch.tensor(ChainOptions().tau_m, dtype=torch.float64)])
    return parameters


def _noise(subject: ChainFigure, seed: int) -> Seams:
    """The noise of the figure's runs, with the random numbers of a seed's first batch."""
    noise = (RateNoise(each.std, correlation=each.correlation, stream=k) for k, each in enumerate(subject.noise))
    return Seams(disturbances=tuple(noise), seeds=(seed,)) if subject.noise else NO_SEAMS


def replay(
    inputs: Tensor, targets: Tensor, parameters: Tensor, prospective: bool, seams: Seams = NO_SEAMS
) -> dict[str, Tensor]:
    """Rates before each step and errors after it, (T,) each, of a chain with fixed parameters (4,), from rest.

    Args:
        inputs, targets: (T,).
        prospective: whether errors are those of GLE; else they are instantaneous.
        seams: the noise on the rates.
    """
    family = Chain()
    network = family.network(Shape(len(inputs), 1, 1), "mse")
    window = Window(len(inputs), inputs.view(1, 1, -1, 1), targets.view(1, 1, -1, 1), None)
    given = family.given(network, parameters[:2], parameters[2:])
    rates, errors = replayed(network, given, window, PAPER if prospective else INSTANTANEOUS, seams)
    after = [torch.from_numpy(rate).flatten() for rate in rates]
    before = [torch.cat([torch.zeros_like(rate[:1]), rate[:-1]]) for rate in after]
    # Disturbances are functions, and give the noise of the replay again.
    seen = [seams.at(t).pass_layer("rate", 0, window.at(t, 1).inputs) for t in range(len(inputs) if seams else 0)]
    first = torch.stack(seen).flatten() if seams else inputs
    return dict(zip(SIGNALS, (first, *before, *(torch.from_numpy(e).flatten() for e in errors)), strict=True))
