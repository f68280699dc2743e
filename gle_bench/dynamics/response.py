"""The complex gain of a simulated neuron, measured with sinusoids, as a check of the transfer functions.

A neuron is simulated by the steps of this package for all frequencies at once, one a column. Its response is measured
after 20 time constants, over whole periods, by regression on sine and cosine. An anti-causal operator is simulated
backward in time, and measured 20 time constants before the end.

Forward Euler is of first order in dt. To come close to the continuum, every signal is read at its own place in time: a
potential lies at a step, and a current, a derivative and an error, which tell of its change, in the middle between two.
"""

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from gle_bench.dynamics.neurons import prospective
from gle_bench.dynamics.operators import i_minus

Simulation = Callable[[Tensor, Tensor], Tensor]  # input (T, K) and dt (K,) -> response, (T - 1, K) or longer

SAMPLES: Final = 9000  # of the measurement; the coarsest dt is a period over as many
SETTLED: Final = 20.0  # time constants that are not measured: exp(-20) is 2e-9
TO_POTENTIAL: Final = -0.5  # steps from a current to the potential that it has not changed yet
TO_CHANGE: Final = 0.5  # steps from a potential to its change


@torch.inference_mode()  # whose steps take half the time
def gain(
    simulation: Simulation, omega: Tensor, tau: float, dt: float, *, shift: float = 0.0, backward: bool = False
) -> Tensor:
    """The complex gain (K,) of a simulation at the frequencies omega (K,).

    Args:
        simulation: responds to input (T, K) with time steps dt (K,); sample k of the response belongs to sample k of
            the input, up to `shift`.
        tau: the largest time constant of an integral in the simulation; 0: it has none.
        dt: the largest time step for fast input, whose period is shorter than 9000 dt. Slow input has 9000 a period.
        shift: steps by which the response lies after the input: `TO_POTENTIAL`, `TO_CHANGE`, or 0.
        backward: whether the simulation runs backward in time.
    """
    periods = (SAMPLES * dt * omega / (2 * math.pi)).floor().clamp(min=1.0)
    steps = 2 * math.pi * periods / (SAMPLES * omega)  # (K,): the measurement is of whole periods
    unsettled = math.ceil(SETTLED * tau / float(steps.min()))
    angle = omega * steps * torch.arange(SAMPLES + unsettled + 1, dtype=omega.dtype)[:, None]
    response = simulation(angle.sin(), steps)
    measured = slice(0, SAMPLES) if backward else slice(unsettled, unsettled + SAMPLES)
    then, values = angle[measured] + shift * omega * steps, response[measured]
    # Over whole periods sine and cosine are orthogonal, so that regression is projection.
    return 2 * torch.complex((values * then.sin()).mean(0), (values * then.cos()).mean(0))


def membrane(tau_m: Tensor | float, tau_r: Tensor | float) -> Simulation:
    """A linear neuron, from its current to its prospective potential D^+_{tau_r}{u} (Eq. 44)."""
    return _prospective(tau_m, tau_r)


def error(tau_m: Tensor | float, tau_r: Tensor | float) -> Simulation:
    """A GLE error neuron, from its instantaneous error to its error e = D^+_{tau_m}{v} (Eq. 45)."""
    return _prospective(tau_r, tau_m)


def _prospective(tau: Tensor | float, ahead: Tensor | float) -> Simulation:
    """A leaky integrator that looks ahead, in the network's own steps."""

    def simulation(drive: Tensor, dt: Tensor) -> Tensor:
        state = i_minus(drive, tau, dt)[:-1]
        return prospective(state, drive, *(torch.as_tensor(x, dtype=drive.dtype) for x in (tau, ahead)))

    return simulation
