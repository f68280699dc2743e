"""Stretches of a sequence: what is learned from, and what is predicted in closed loop."""

import torch
from torch import Tensor

from gle_bench.contracts import TensorSplit
from gle_bench.recipes.mackey_glass import MackeyGlassOptions


def taught(signal: Tensor, options: MackeyGlassOptions, last: int) -> TensorSplit:
    """One sample: from the first point that has all delays behind it, up to where the target is point `last`.

    `signal` (M,) is the sequence; the washout at its start teaches nothing.
    """
    times = torch.arange(max(options.delay_steps), last - options.horizon_steps + 1)
    counts = None
    if options.washout_steps:
        counts = (torch.arange(len(times)) >= options.washout_steps)[None].to(signal.dtype)
    return _sample(signal, options, times, last, counts)


def predicted(signal: Tensor, options: MackeyGlassOptions, last: int, lyapunov_times: int) -> TensorSplit:
    """One sample in closed loop: forced up to point `last`, from where so many Lyapunov times are scored.

    What would be a later value of the signal is NaN in the inputs: a model that reads it gives itself away.
    """
    ahead = lyapunov_times * options.points - options.horizon_steps
    times = torch.arange(last - options.forced_steps, last + ahead + 1)
    counts = (times + options.horizon_steps > last)[None].to(signal.dtype)
    return _sample(signal, options, times, last, counts)


def _sample(signal: Tensor, options: MackeyGlassOptions, times: Tensor, last: int, mask: Tensor | None) -> TensorSplit:
    """Inputs (1, T, C): channel c of time t is the signal at t - delays[c]. Targets (1, T, 1): the signal at t + h."""
    read = times[:, None] - torch.tensor(options.delay_steps)
    inputs = torch.where(read <= last, signal[read], torch.nan)
    targets = signal[times + options.horizon_steps]
    return TensorSplit(inputs[None], targets[None, :, None], len(times), mask)
