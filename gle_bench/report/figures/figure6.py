"""Figure 6: errors of GLE and of the adjoint method in a small network, their phases and amplitudes, and learning."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gle_bench import registry
from gle_bench.contracts import Task
from gle_bench.dynamics.ensemble import concatenated
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.spectra import Series, adjoint_errors, amplitudes, bins, replayed, responses
from gle_bench.dynamics.state import Parameters
from gle_bench.dynamics.window import Window
from gle_bench.models.small_nets import SmallNet
from gle_bench.paper import SmallNetsFigure
from gle_bench.recipes.small_nets import CHUNK, DT, FREQUENCIES, STILL, SmallNetsOptions
from gle_bench.report.figures.courses import Course, Curves, course_lines, over_time, recorded, stream
from gle_bench.report.figures.curves import Request
from gle_bench.report.figures.plot import SEEDS, Built, Level, Limits, Line, Panel, Plot, Scale, line

RED, SKY, BLUE, ORANGE = 1, 4, 0, 5  # numbers of colours
CURVES: Final[Curves] = {
    "gle+gle": ("GLE", 2),
    "adjoint-method+adjoint": ("AM", BLUE),
    "gle+instantaneous": ("rule instantaneous", 7),
}
WEIGHTS: Final = ("w_i", "w_r")
DIVERGING: Final = "gle+instantaneous"  # which the paper does not show
NEURONS: Final = ("i", "r")  # the instantaneous and the retrospective one
REPLAYED: Final = STILL  # steps of a replay, from rest
SHOWN: Final = 2000  # steps of the signals that are shown,
BEFORE_END: Final = 500  # and how many come after them: errors of the adjoint method are wrong near the end
AVERAGED: Final = 500  # steps of the running average
BINS: Final = 29  # frequencies that are shown, the lowest ones above 0
PHASES: Final = (-np.pi, 4.0)
RATES: Final = (-3.0, 5.5)  # with room for a legend
RANGE: Final[Limits] = (50.0, 1010.0)  # of time
WEIGHT_RANGE: Final = (-2.3, 1.4)
LOSS_RANGE: Final = (1e-10, 10.0)
WIDTH, ROW = 8.4, 1.4  # of the figure, and the height of a row, in inches
NOTES: Final = (
    "b: input r_0, output r_3, and the errors e of GLE and adjoints λ of the first layer's neurons, the instantaneous "
    "(i) and the retrospective one (r); the average of e is that of the 5 units of time around. Both are replayed from "
    "rest for 80 units of time with the same weights, held still: the first "
    "ones, and those of GLE at t = 500. λ is computed backward from the replay's end by "
    "Algorithm 2, with the signs of the released code and the terminal condition of the variation.",
    "c, d: of the same replay before learning, and of one with the first weights -0.07 and 1, which the released code "
    "sets by hand for a moment early in learning, which it marks at t = 120; the vertical lines of e and f are the "
    "start of learning and the moment at which our GLE comes nearest to them. Thin lines: the input's frequencies.",
    "e, f: as recorded; the loss is the mean of 3 units of time, where the paper has 1. Dashed levels: the teacher's "
    "weights. Instantaneous errors are not in the paper; their weights leave the axis of e and have a panel of their "
    "own.",
)


class Replay(NamedTuple):
    """The signals of networks with fixed weights, (S, T, ...), and errors of the first layer by both methods.

    Attributes:
        output: the error of the output, e_3.
        gle, adjoint: errors of the two neurons, e_1 and lambda_1.
    """

    rates: Series  # (S, T)
    output: Series  # (S, T)
    gle: Series  # (S, T, 2)
    adjoint: Series  # (S, T, 2)


class Stage(NamedTuple):
    """The weights (2,) at one stage of learning, with the input and the target (T,) that a network hears there."""

    title: str
    weights: Tensor
    time: Tensor
    inputs: Tensor
    targets: Tensor


def build(name: str, subject: SmallNetsFigure, request: Request) -> Built:
    """Figure 6; its panels b, c and d are shown where GLE was run.

    Raises:
        UsageError: a model was chosen. GleBenchError: none of its runs is there.
    """
    task = registry.task(subject.task)
    courses, skipped, notes = recorded(name, task, CURVES, CHUNK * DT, request)
    gle = courses.get("gle+gle")
    moments = () if gle is None else (STILL * DT, _nearest(gle, subject.during))
    panels = list(_learning(courses, moments))
    layout: tuple[str, ...] = ("".join(panel.letter for panel in panels),)
    if gle is not None:
        stages = _stages(task, gle, subject)
        replay = replayed_errors(stages)
        panels += [*_signals(stages, replay), *_spectra(stages, replay)]
        layout = ("AD", "BE", "CF", "GHIJ", "KLMN", *layout, *layout)
    size = (WIDTH, ROW * len(layout))
    return Built(Plot(f"Figure {name} - {subject.title}", tuple(panels), layout, size, (*NOTES, *notes)), skipped)


def _nearest(course: Course, weights: Sequence[float]) -> float:
    """The time at which the weights of a course are nearest to these."""
    apart = np.hypot(*(np.array(course.values[name]) - own for name, own in zip(WEIGHTS, weights, strict=True)))
    return course.times[int(np.nanargmin(apart))]


def _stages(task: Task, gle: Course, subject: SmallNetsFigure) -> list[Stage]:
    """The stages of learning that are replayed: before, during and late."""
    stages = []
    for title, weights, end in (
        ("before learning", gle.at(0.0, WEIGHTS), REPLAYED * DT),
        ("during learning", torch.tensor(subject.during, dtype=torch.float64), REPLAYED * DT),
        ("late in learning", gle.at(subject.late, WEIGHTS), subject.late),
    ):
        time, inputs, targets = stream(task, DT, end - REPLAYED * DT, end)
        last = int((time <= end + DT / 2).sum())
        steps = slice(last - REPLAYED, last)
        stages.append(Stage(title, weights, time[steps], inputs[steps], targets[steps]))
    return stages


def replayed_errors(stages: Sequence[Stage]) -> Replay:
    """The output's rates and errors, and the first layer's errors by both methods, of a network for each stage."""
    inputs, targets = (torch.stack(x)[:, None, :, None] for x in zip(*(stage[3:] for stage in stages), strict=True))
    window = Window(inputs.shape[2], inputs, targets, None)
    rates, errors = replayed(*_networks(SmallNet(), stages), window)
    adjoint = adjoint_errors(*_networks(SmallNet(gamma=0.0), stages), window)  # which do not move membranes
    return Replay(rates[2][..., 0], errors[2][..., 0], errors[0], adjoint[0])


def _networks(family: SmallNet, stages: Sequence[Stage]) -> tuple[Network, Parameters]:
    """A network with the parameters of an ensemble, a member a stage."""
    network = family.network(registry.task("small-nets").shape(SmallNetsOptions()), "mse")
    return network, concatenated([family.weighted(network, stage.weights[:, None]) for stage in stages])


def _signals(stages: Sequence[Stage], replay: Replay) -> Iterator[Panel]:
    """The panels b of input and output, and of the errors of either neuron, before and late in learning."""
    for (first, *others), k in ((tuple("ABC"), 0), (tuple("DEF"), 2)):
        stage, shown = stages[k], slice(-SHOWN - BEFORE_END, -BEFORE_END)
        time = stage.time[shown]
        ends = (float(time[0]), float(time[-1]))
        rates = (
            line(time, stage.inputs[shown], "inverse", "r_0" * (k == 0), RED),
            line(time, replay.rates[k][shown], "exact", "r_3" * (k == 0), RED),
            line(time, stage.targets[shown], "target", "target" * (k == 0)),
        )
        corner = "b" * (k == 0)
        yield Panel(first, stage.title, "", "rates", rates, x_limits=ends, y_limits=RATES, corner=corner)
        for letter, neuron, which in zip(others, NEURONS, range(2), strict=True):
            e, adjoint = replay.gle[k][:, which], replay.adjoint[k][:, which]
            average = np.convolve(e, np.full(AVERAGED, 1 / AVERAGED), "same")
            errors = (
                line(time, e[shown], "exact", "e" * (letter == "B"), SKY),
                line(time, average[shown], "exact", "average of e" * (letter == "B"), ORANGE),
                line(time, adjoint[shown], "inverse", "λ" * (letter == "B"), BLUE),
            )
            yield Panel(letter, "", "time" * which, f"errors, {neuron}", errors, x_limits=ends, corner="")


def _spectra(stages: Sequence[Stage], replay: Replay) -> Iterator[Panel]:
    """The panels c and d: phases and amplitudes of the errors of either neuron, before and during learning."""
    samples = len(stages[0].time) - 1
    omegas = bins(samples, DT)[1 : BINS + 1]
    for letters, which in (("GHIJ", 0), ("KLMN", 1)):
        for k in (0, 1):
            pair = [own[k, :samples, which] for own in (replay.gle, replay.adjoint)]
            gains = [responses(own, replay.output[k, :samples], omegas.tolist(), DT) for own in pair]
            # The phase of the adjoint is drawn beside that of GLE, also where one of them goes round.
            phase = np.asarray(np.angle(gains[0]))
            phases = (phase, phase + np.asarray(np.angle(gains[1] / gains[0])))
            heights = tuple(amplitudes(own)[1 : BINS + 1] for own in pair)
            title, neuron = stages[k].title * (which == 0), NEURONS[which]
            yield _spectrum(letters[k], title, f"phase, {neuron}", omegas, phases, PHASES)
            ends = (float(np.min(heights)) / 2, float(np.max(heights)) * 2)
            yield _spectrum(letters[2 + k], title, f"amplitude, {neuron}", omegas, heights, ends, "log")


def _spectrum(
    letter: str,
    title: str,
    y_label: str,
    omegas: Series,
    curves: Sequence[Series],
    ends: tuple[float, float],
    scale: Scale = "linear",
) -> Panel:
    """A panel of phases or amplitudes over the frequency, of errors of GLE and of the adjoint method."""
    lines = [
        line(omegas, curves[0], "exact", "e" * (letter == "G"), SKY),
        line(omegas, curves[1], "inverse", "λ" * (letter == "G"), BLUE),
        *(line((omega, omega), ends, "seed", color=SEEDS) for omega in FREQUENCIES),
    ]
    corner = {"G": "c", "I": "d"}.get(letter, "")
    x_label = "ω" if letter in "KLMN" else ""
    return Panel(letter, title, x_label, y_label, tuple(lines), y_limits=ends, y_scale=scale, corner=corner)


def _learning(courses: Mapping[str, Course], moments: Sequence[float]) -> Iterator[Panel]:
    """The panels e and f of weights and the loss, and one of the weights that learn by instantaneous errors."""
    of_paper = {key: course for key, course in courses.items() if key != DIVERGING}
    others = {key: course for key, course in courses.items() if key == DIVERGING}
    teacher = [Level(own, name, SEEDS) for name, own in zip(WEIGHTS, SmallNetsOptions().weights, strict=True)]
    lines = course_lines(of_paper, CURVES, WEIGHTS) + _vertical(moments, WEIGHT_RANGE)
    yield over_time("e", "weights", lines, levels=teacher, x_limits=RANGE, y_limits=WEIGHT_RANGE, corner="e")
    lines = course_lines(courses, CURVES, ("online_mse",)) + _vertical(moments, LOSS_RANGE)
    yield over_time("f", "loss", lines, x_limits=RANGE, y_limits=LOSS_RANGE, y_scale="log", corner="f")
    if others:
        lines = course_lines(others, CURVES, WEIGHTS)
        yield over_time("g", "weights, instantaneous errors", lines, levels=teacher, x_limits=RANGE)


def _vertical(moments: Sequence[float], ends: tuple[float, float]) -> list[Line]:
    """A vertical line at each of these times."""
    return [line((moment, moment), ends, "target") for moment in moments]
