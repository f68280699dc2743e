"""The signals of the chain: the input, which is a smoothed square wave, and the answers of the teacher."""

from __future__ import annotations

from typing import Final

import numpy as np

from gle_bench.dynamics.filters import Signal, rates
from gle_bench.recipes.chain import DT, STEPS, ChainOptions

PULSE: Final = 200  # steps for which the input is high, and also for which it is low
PULSES: Final = 1012  # in the whole stream, evenly spaced: a period is 400.2 steps
SMOOTH: Final = 5  # standard deviation of the Gaussian kernel, in steps


def pulses() -> Signal:
    """The input of a sample that is not shifted, (STEPS,): +1 in the pulses and -1 between them, smoothed."""
    from scipy.ndimage import gaussian_filter1d

    wave = -np.ones(STEPS)
    for onset in np.linspace(0, STEPS, PULSES, endpoint=False).astype(int):
        wave[onset : onset + PULSE] = 1
    smoothed: Signal = gaussian_filter1d(wave, SMOOTH)
    return smoothed


def answers(inputs: Signal, options: ChainOptions) -> Signal:
    """The teacher's output (..., T) for inputs (..., T), from rest: before each step, as the student's."""
    signal = inputs
    for weight, tau_m in zip(options.weights, options.tau_m, strict=True):
        signal = rates(weight * signal, tau_m, options.tau_r, DT, softplus)
    return signal


def softplus(potential: Signal) -> Signal:
    rate: Signal = np.logaddexp(0, potential)
    return rate
