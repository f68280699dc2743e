"""The signals of the chain: the input, which is a smoothed square wave, and the answers of the teacher."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gle_bench.recipes.chain import DT, STEPS, ChainOptions

PULSE: Final = 200  # steps for which the input is high, and also for which it is low
PULSES: Final = 1012  # in the whole stream, evenly spaced: a period is 400.2 steps
SMOOTH: Final = 5  # standard deviation of the Gaussian kernel, in steps

Signal = NDArray[np.float64]


def pulses() -> Signal:
    """The input of a sample that is not shifted, (STEPS,): +1 in the pulses and -1 between them, smoothed."""
    from scipy.ndimage import gaussian_filter1d

    wave = -np.ones(STEPS)
    for onset in np.linspace(0, STEPS, PULSES, endpoint=False).astype(int):
        wave[onset : onset + PULSE] = 1
    smoothed: Signal = gaussian_filter1d(wave, SMOOTH)
    return smoothed


def answers(inputs: Signal, options: ChainOptions) -> Signal:
    """The teacher's output (..., T) for inputs (..., T), from rest: before each step, as the student's.

    The membrane's step and the prospective potential together are one linear filter of the input current
    (facts/rules.md, section 5.0).
    """
    from scipy.signal import lfilter

    rates = inputs
    for weight, tau_m in zip(options.weights, options.tau_m, strict=True):
        step, ahead = DT / tau_m, options.tau_r / tau_m
        potential = lfilter([ahead, step - ahead], [1, step - 1], weight * rates)
        rates = np.zeros_like(inputs)
        rates[..., 1:] = np.logaddexp(0, potential)[..., :-1]  # softplus, one step later
    return rates
