"""Figure 12: phase and gain of neurons with adaptive currents, exact, to first order, and simulated."""

from typing import Final

import torch

from gle_bench.dynamics.adaptation import AdaptiveNeuron, InputAdaptation, VoltageAdaptation
from gle_bench.dynamics.response import TO_POTENTIAL, gain
from gle_bench.paper import OperatorFigure
from gle_bench.report.figures.plot import SEEDS, Built, Level, Line, Panel, Plot, line, response

TAU_M, TAU_W = 1.0, 0.9  # caption
NEURONS: Final[dict[str, AdaptiveNeuron]] = {
    "voltage-driven": VoltageAdaptation(TAU_M, TAU_W, 10 * TAU_M / TAU_W),
    "input-driven": InputAdaptation(TAU_M, TAU_W, (TAU_M + 0.9 * TAU_W) / (TAU_M + TAU_W)),
}
DECADES: Final = (-2.0, 2.0)  # of omega
CURVE: Final = 241  # points of a line
SIMULATED: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 10 / 3, 5.0, 10.0)  # frequencies
DT: Final = 3e-4  # with 1e-3 the gain of the voltage-driven neuron is wrong by 2e-3 near omega = 4
ZERO: Final = (Level(0.0, "", SEEDS),)
SIZE: Final = (8.0, 3.6)  # inches
NOTES: Final = (
    "Lines: closed forms of Eq. 35 and of the equation below Eq. 38. Dashed: the phase to first order in ω (Eqs. 37 "
    "and 39). Dots: simulated neurons by forward Euler with dt = 3e-4, measured after 20 time constants over whole "
    "periods. A positive phase is prospective. The text of the paper tells of the phase alone; the gain is added.",
    "Values of the caption: τm = 1, τw = 0.9, γ_u = 10 τm/τw = 11.11, γ_I = (τm + 0.9 τw)/"
    "(τm + τw) = 0.9526. The paper does not state the range of ω; here it is 0.01 to 100.",
)


def build(name: str, subject: OperatorFigure) -> Built:
    """Figure 12, with the gain as a second panel."""
    fine = torch.logspace(*DECADES, CURVE, dtype=torch.float64)
    coarse = torch.tensor(SIMULATED, dtype=torch.float64)
    phases, gains = list[Line](), list[Line]()
    crossings = []
    for color, (text, neuron) in enumerate(NEURONS.items()):
        exact = neuron.transfer(fine)
        measured = gain(neuron.simulate, coarse, max(TAU_M, TAU_W), DT, shift=TO_POTENTIAL)
        (phase, dots), of_gain = response(fine, exact, coarse, measured, "exact", text, color)
        first_order = line(fine, neuron.first_order_phase(fine), "approximate", f"{text}, first order", color)
        phases += [phase, first_order, dots]
        gains += of_gain
        if neuron.crossing is not None:
            crossings.append(f"{neuron.crossing:.4g} ({text})")
    ends = (10 ** DECADES[0], 10 ** DECADES[1])
    panels = (
        Panel("a", "phase", "ω", "phase shift (rad)", tuple(phases), ZERO, x_limits=ends, x_scale="log"),
        Panel("b", "gain", "ω", "gain", tuple(gains), x_limits=ends, x_scale="log", y_scale="log"),
    )
    zero = f"The exact phase is zero at ω = {' and '.join(crossings)}."
    return Built(Plot(f"Figure {name} - {subject.title}", panels, ("ab",), SIZE, (*NOTES, zero)), ())
