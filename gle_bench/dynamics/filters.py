"""Neurons without learning as filters of whole signals in numpy, for teachers whose outputs are targets."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]


def rates(currents: Signal, tau_m: float, tau_r: float, dt: float, phi: Callable[[Signal], Signal]) -> Signal:
    """The rates r (..., T) of a neuron before each step, from rest, for its input currents W r + b (..., T).

    The forward Euler step of the membrane and the prospective potential together are one linear filter
    (facts/rules.md, section 5.0). Its result is there one step later.
    """
    from scipy.signal import lfilter

    step, ahead = dt / tau_m, tau_r / tau_m
    potential = lfilter([ahead, step - ahead], [1, step - 1], currents)
    answers = np.zeros_like(currents)
    answers[..., 1:] = phi(potential[..., :-1])
    return answers
