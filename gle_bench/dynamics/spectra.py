"""The errors of networks with frozen weights over time, of local rules and of the adjoint method, and their phases.

Both are compared with the error of the output at single frequencies, as in the paper's Fig. 6.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gle_bench.dynamics.adjoint import exact_errors, paper_errors
from gle_bench.dynamics.choices import PAPER, LocalOptions
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import Parameters, zero_state
from gle_bench.dynamics.step import step
from gle_bench.dynamics.tape import record
from gle_bench.dynamics.window import Window

Series = NDArray[np.float64]
Complex = NDArray[np.complex128]


def replayed(
    network: Network,
    parameters: Parameters,
    window: Window,
    options: LocalOptions = PAPER,
    seams: Seams = NO_SEAMS,
) -> tuple[list[Series], list[Series]]:
    """The rates r and errors e of each layer after each step, (S, T, N) each: of S networks and one sample, from rest.

    Args:
        options: those of the local rule that makes the errors; by default they are GLE's.
        seams: the disturbances of the networks, as of the first step.
    """
    state = zero_state(network, parameters, 1)
    rates: list[list[Tensor]] = [[] for _ in network.layers]
    errors: list[list[Tensor]] = [[] for _ in network.layers]
    members = state[0].u.shape[1]
    with torch.no_grad():
        for t in range(window.steps):
            now, signals = seams.at(t), window.at(t, members)
            state = step(network, parameters, state, *signals, plastic=False, seams=now, options=options).state
            for block, own in zip(network.blocks, state, strict=True):
                for k in range(len(block.layers)):
                    rates[block.first + k].append(own.r[k, :, 0])
                    errors[block.first + k].append(own.e[k, :, 0])
    return _series(rates), _series(errors)


def adjoint_errors(network: Network, parameters: Parameters, window: Window, scheme: str = "paper") -> list[Series]:
    """The errors lambda of each layer that the adjoint method computes backward from the window's end, (S, T, N) each.

    Args:
        scheme: 'paper', its Algorithm 2, or 'discrete', the exact adjoint of the network's step.
    """
    with torch.no_grad():
        tape, state, _ = record(network, parameters, zero_state(network, parameters, 1), window, NO_SEAMS)
        if scheme == "paper":
            errors = paper_errors(network, parameters, tape)
        else:
            errors = exact_errors(network, parameters, tape, [block.slope for block in state])
    blocks = [made.error[:, :, :, 0] for made in errors if made is not None]
    return [layer.double().numpy() for block in blocks for layer in block]


def bins(steps: int, dt: float) -> Series:
    """The angular frequencies (T // 2 + 1,) of the discrete Fourier transform of a signal of T steps."""
    return np.asarray(2 * np.pi * np.fft.rfftfreq(steps, dt))


def responses(signal: Series, reference: Series, omegas: Sequence[float], dt: float) -> Complex:
    """The ratio of two signals (T,) at each angular frequency: its absolute value is a gain, its argument a phase.

    A positive phase means that `signal` is ahead of `reference`. The ratio is taken at the nearest frequency of the
    discrete Fourier transform.
    """
    spectra = np.fft.rfft(signal), np.fft.rfft(reference)
    grid = bins(len(signal), dt)
    nearest = [int(np.abs(grid - omega).argmin()) for omega in omegas]
    ratios: Complex = spectra[0][nearest] / spectra[1][nearest]
    return ratios


def amplitudes(signal: Series) -> Series:
    """The amplitude of a signal (T,) at each frequency of its discrete Fourier transform: 1 for a sine of amplitude 1.

    That of the mean is doubled.
    """
    return np.asarray(2 * np.abs(np.fft.rfft(signal)) / len(signal))


def _series(layers: list[list[Tensor]]) -> list[Series]:
    return [torch.stack(layer, 1).double().numpy() for layer in layers]
