"""Figure 11: phase and gain of GLE errors and of the adjoint against tau_r/tau_m, at omega tau_m = 1."""

from typing import Final

import torch
from torch import Tensor

from gle_bench.dynamics import operators as op
from gle_bench.dynamics.response import TO_CHANGE, Simulation, error, gain
from gle_bench.paper import OperatorFigure
from gle_bench.report.figures.plot import SEEDS, Built, Line, Look, Panel, Plot, Region, response

TAU_M: Final = 1.0
OMEGA: Final = 1.0  # omega tau_m = 1 (caption)
ENDS: Final = (-2.0, 3.0)  # of tau_r/tau_m
SIMULATED: Final = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)  # ratios
CURVE: Final = 201  # points of a line
DT: Final = 1e-3
SKY, BLACK = 4, SEEDS  # numbers of colours
REGIONS: Final = (
    Region(ENDS[0], 0.0, "τr < 0", 1),
    Region(0.0, 1.0, "retrospective, τr < τm", 0),
    Region(1.0, ENDS[1], "prospective, τr > τm", 8),
)
SIZE: Final = (8.0, 3.6)  # inches
NOTES: Final = (
    "Lines: closed forms, Eq. 30 for the phase, which GLE and AM share, and Eq. 32 for the gain. Dots: simulated "
    "neurons by forward Euler, measured after 20 time constants over whole periods; AM runs backward in time.",
    "The paper does not state the range of τr/τm; here it is -2 to 3. For τr < 0 Eq. 28 makes I-_τr the "
    "operator I+ of |τr|, which is simulated backward in time: no causal neuron has such a time constant.",
)


def build(name: str, subject: OperatorFigure) -> Built:
    """Figure 11: its phase and its gain."""
    tau_r = torch.linspace(*ENDS, CURVE, dtype=torch.float64)
    omega = torch.full_like(tau_r, OMEGA)
    phases, gains = list[Line](), list[Line]()
    for text, transfer, measured, color in (
        ("GLE", op.error_transfer(omega, TAU_M, tau_r), _simulated_errors(), SKY),
        ("AM", op.adjoint_transfer(omega, TAU_M, tau_r), _simulated_adjoints(), BLACK),
    ):
        look: Look = "adjoint" if text == "AM" else "exact"
        phase, of_gain = response(tau_r / TAU_M, transfer, SIMULATED, measured, look, text, color)
        phases, gains = phases + phase, gains + of_gain
    panels = [
        Panel(letter, "ω τm = 1", "τr / τm", y_label, tuple(lines), x_limits=ENDS, regions=REGIONS)
        for letter, y_label, lines in (("a", "phase shift (rad)", phases), ("b", "gain", gains))
    ]
    return Built(Plot(f"Figure {name} - {subject.title}", tuple(panels), ("ab",), SIZE, NOTES), ())


def _simulated_errors() -> Tensor:
    """The complex gain of simulated GLE error neurons at the ratios `SIMULATED`."""
    tau_r = TAU_M * torch.tensor(SIMULATED, dtype=torch.float64)
    before, after = -tau_r[tau_r < 0], tau_r[tau_r > 0]
    return torch.cat(
        [
            _gain(lambda x, dt: op.d_plus(op.i_plus(x, before, dt), TAU_M, dt), before, backward=True),
            _gain(lambda x, dt: op.d_plus(x, TAU_M, dt), tau_r[tau_r == 0], shift=TO_CHANGE),
            _gain(error(TAU_M, after), after),
        ]
    )


def _simulated_adjoints() -> Tensor:
    """The complex gain of the simulated adjoint operators at the ratios `SIMULATED`."""
    tau_r = TAU_M * torch.tensor(SIMULATED, dtype=torch.float64)
    omega = torch.full_like(tau_r, OMEGA)
    return gain(lambda x, dt: op.i_plus(op.d_minus(x, tau_r, dt), TAU_M, dt), omega, TAU_M, DT, backward=True)


def _gain(simulation: Simulation, tau: Tensor, shift: float = 0.0, backward: bool = False) -> Tensor:
    """The complex gain of a simulation whose integral has these time constants, one a column."""
    return gain(simulation, torch.full_like(tau, OMEGA), float(tau.max()), DT, shift=shift, backward=backward)
