"""Figure 3: phase shifts and gains of the temporal operators, in closed form and measured on simulated neurons."""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import operators as op
from gle_bench.dynamics.response import TO_CHANGE, TO_POTENTIAL, Simulation, error, gain, membrane
from gle_bench.paper import OperatorFigure
from gle_bench.report.figures.plot import SEEDS, Built, Line, Look, Panel, Plot, line, response

TAU: Final = 1.0  # of the single operators, and tau_m of the combined ones
TAU_R: Final = 0.1  # tau_m = 10 tau_r (caption)
DT: Final = 1e-3  # of the simulations of single operators
FINE: Final = 2.2e-4  # of those of combined operators, for tau_r = 0.1
DECADES: Final = (-2.0, 2.0)  # of omega tau
CURVE: Final = 81  # points of a line
POINTS: Final = 13  # simulated frequencies of a line
BLUE, ORANGE, SKY, BLACK, PURPLE = 0, 1, 4, SEEDS, 7  # numbers of colours
LAYOUT: Final = ("a", "bc", "de")
SIZE: Final = (8.0, 7.6)  # inches
PHASE, GAIN = "phase shift (rad)", "gain"
NOTES: Final = (
    "Lines: closed forms (Eq. 28). Dots: simulated operators and neurons by forward Euler, measured after 20 time "
    "constants over whole periods; I+, D- and the adjoint run backward in time. A positive phase is prospective.",
    "d, e: neuron D+_τr I-_τm, GLE error D+_τm I-_τr, adjoint I+_τm D-_τr. Neuron and adjoint have the same gain.",
    "Eq. 27 of the paper prints the minus sign in the denominator of I- by mistake; Eq. 28 is right and is drawn. The "
    "paper states neither the values of panel a nor the range of b to e; here ω τ = 1 in a, and ω τ from "
    "0.01 to 100 in b to e.",
)


class Curve(NamedTuple):
    """An operator in the figure: its closed form as a line, and its simulation as dots.

    Attributes:
        tau: the largest time constant of its integral.
        shift: steps by which a simulated response lies after the input.
    """

    name: str
    transfer: Callable[[Tensor], Tensor]
    simulation: Simulation
    tau: float
    dt: float
    look: Look
    color: int
    shift: float = 0.0
    backward: bool = False

    def measured(self, omega: Tensor) -> Tensor:
        """The complex gain of the simulation at these frequencies."""
        return gain(self.simulation, omega, self.tau, self.dt, shift=self.shift, backward=self.backward)


SINGLE: Final = (
    Curve(
        name="I-",
        transfer=lambda omega: op.i_minus_transfer(omega, TAU),
        simulation=lambda x, dt: op.i_minus(x, TAU, dt),
        tau=TAU,
        dt=DT,
        look="exact",
        color=PURPLE,
        shift=TO_POTENTIAL,
    ),
    Curve(
        name="D+",
        transfer=lambda omega: op.d_plus_transfer(omega, TAU),
        simulation=lambda x, dt: op.d_plus(x, TAU, dt),
        tau=0.0,
        dt=DT,
        look="exact",
        color=ORANGE,
        shift=TO_CHANGE,
    ),
    Curve(
        name="I+",
        transfer=lambda omega: op.i_plus_transfer(omega, TAU),
        simulation=lambda x, dt: op.i_plus(x, TAU, dt),
        tau=TAU,
        dt=DT,
        look="inverse",
        color=ORANGE,
        shift=TO_POTENTIAL,
        backward=True,
    ),
    Curve(
        name="D-",
        transfer=lambda omega: op.d_minus_transfer(omega, TAU),
        simulation=lambda x, dt: op.d_minus(x, TAU, dt),
        tau=0.0,
        dt=DT,
        look="inverse",
        color=PURPLE,
        shift=TO_CHANGE,
        backward=True,
    ),
)
COMBINED: Final = (
    Curve(
        name="neuron r",
        transfer=lambda omega: op.forward_transfer(omega, TAU, TAU_R),
        simulation=membrane(TAU, TAU_R),
        tau=TAU,
        dt=FINE,
        look="exact",
        color=BLUE,
    ),
    Curve(
        name="GLE error e",
        transfer=lambda omega: op.error_transfer(omega, TAU, TAU_R),
        simulation=error(TAU, TAU_R),
        tau=TAU_R,
        dt=FINE,
        look="exact",
        color=SKY,
    ),
    Curve(
        name="adjoint λ",
        transfer=lambda omega: op.adjoint_transfer(omega, TAU, TAU_R),
        simulation=lambda x, dt: op.i_plus(op.d_minus(x, TAU_R, dt), TAU, dt),
        tau=TAU,
        dt=FINE,
        look="adjoint",
        color=BLACK,
        backward=True,
    ),
)


def build(name: str, subject: OperatorFigure) -> Built:
    """Figure 3, a to e."""
    single = _phase_and_gain("bc", "the four operators", "ω τ", SINGLE)
    combined = _phase_and_gain("de", "in neurons, τm = 10 τr", "ω τm", COMBINED)
    panels = (_component("a"), *single, *combined)
    return Built(Plot(f"Figure {name} - {subject.title}", panels, LAYOUT, SIZE, NOTES), ())


def frequencies(count: int) -> Tensor:
    """Frequencies over the range of the panels b to e, at equal distances on a logarithmic axis."""
    return torch.logspace(*DECADES, count, dtype=torch.float64)


def _phase_and_gain(letters: str, title: str, x_label: str, curves: Sequence[Curve]) -> tuple[Panel, Panel]:
    """The panels of phase and gain over the frequency."""
    fine, coarse = frequencies(CURVE), frequencies(POINTS)
    phases, gains = list[Line](), list[Line]()
    for curve in curves:
        exact, measured = curve.transfer(fine), curve.measured(coarse)
        phase, of_gain = response(fine, exact, coarse, measured, curve.look, curve.name, curve.color)
        phases, gains = phases + phase, gains + of_gain
    ends = (10 ** DECADES[0], 10 ** DECADES[1])
    return (
        Panel(letters[0], title, x_label, PHASE, tuple(phases), x_limits=ends, x_scale="log"),
        Panel(letters[1], title, x_label, GAIN, tuple(gains), x_limits=ends, x_scale="log", y_scale="log"),
    )


def _component(letter: str) -> Panel:
    """The panel of one frequency component in time: the input, and what the operators I- and D+ make of it."""
    retrospective, prospective, *_ = SINGLE
    omega, dt, whole = 1.0 / TAU, DT, round(4 * math.pi / DT)
    start = round(20 / DT)  # 20 time constants
    steps = torch.arange(start + whole + 1, dtype=torch.float64)
    current = ((steps + 0.5) * omega * dt).sin()  # between two steps
    potential = op.i_minus(current, TAU, dt)
    shown = slice(start, start + whole, whole // 20)
    lines = []
    one = torch.tensor([omega], dtype=torch.float64)
    time = torch.linspace(0, 2, CURVE, dtype=torch.float64)  # in periods
    angle = 2 * math.pi * time + omega * dt * start
    for text, transfer, color in (
        ("input", torch.ones_like(one) + 0j, BLACK),
        ("I-{input}", retrospective.transfer(one), retrospective.color),
        ("D+{input}", prospective.transfer(one), prospective.color),
    ):
        lines.append(line(time, transfer.abs() * (angle + transfer.angle()).sin(), "exact", text, color))
    for text, values, place, color in (
        ("D+{I-{input}}", op.d_plus(potential, TAU, dt), 0.5, BLACK),
        ("", potential, 0.0, retrospective.color),
        ("", op.d_plus(current, TAU, dt), 1.0, prospective.color),
    ):
        at = (steps[shown] + place - start) * omega * dt / (2 * math.pi)
        lines.append(line(at, values[shown], "dots", text, color))
    return Panel(letter, "one frequency, ω τ = 1", "time (periods)", "signal", tuple(lines), x_limits=(0.0, 2.0))
