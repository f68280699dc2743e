"""The samples of a sequence: the stretch to learn from, and the stretch to predict in closed loop."""

import torch
from torch import Tensor

from gle_bench.contracts import TensorSplit
from gle_bench.recipes.mackey_glass import MackeyGlassOptions


def taught(signal: Tensor, options: MackeyGlassOptions, last: int) -> TensorSplit:
    """The training sample: from the first point for which all delayed inputs exist, until the target is point `last`.

    `signal` (M,) is the sequence. Targets within the washout at the start do not count.
    """
    times = torch.arange(max(options.delay_steps), last - options.horizon_steps + 1)
    counts = None
    if options.washout_steps:
        counts = (torch.arange(len(times)) >= options.washout_steps)[None].to(signal.dtype)
    return _sample(signal, options, times, last, counts)


def predicted(signal: Tensor, options: MackeyGlassOptions, last: int, lyapunov_times: int) -> TensorSplit:
    """A sample in closed loop: forced by the true signal up to point `last`; the Lyapunov times after it are scored.

    Inputs that would show later values of the signal are NaN, so that a model that reads them is detected.
    """
    ahead = lyapunov_times * options.points - options.horizon_steps
    times = torch.arange(last - options.forced_steps, last + ahead + 1)
    counts = (times + options.horizon_steps > last)[None].to(signal.dtype)
    return _sample(signal, options, times, last, counts)


def _sample(signal: Tensor, options: MackeyGlassOptions, times: Tensor, last: int, mask: Tensor | None) -> TensorSplit:
    """A sample with inputs (1, T, C), the signal at t - delays[c], and targets (1, T, 1), the signal at t + horizon."""
    read = times[:, None] - torch.tensor(options.delay_steps)
    inputs = torch.where(read <= last, signal[read], torch.nan)
    targets = signal[times + options.horizon_steps]
    return TensorSplit(inputs[None], targets[None, :, None], len(times), mask)
