"""The scores of a prediction: sMAPE on two grids, valid time, and sMAPE in each Lyapunov time of the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gle_bench.recipes.mackey_glass import POINTS, SCALE, Grid

if TYPE_CHECKING:
    from torch import Tensor

WORST: Final = 200.0  # largest sMAPE, in per cent
TOO_LARGE: Final = 1e6  # absolute value above which a prediction has diverged; the signal is between 0.4 and 1.4
VALID: Final = 0.4  # largest error of a valid prediction, in standard deviations of the signal


def smape(predicted: Tensor, true: Tensor) -> Tensor:
    """The sMAPE, 200 <|p - y| / (|p| + |y|)>, in per cent, over the last dimension; 200 if a value is not finite."""
    terms = (predicted - true).abs() / (predicted.abs() + true.abs())
    return (WORST * terms.mean(-1)).nan_to_num(nan=WORST)


def grid_of(points: int) -> Grid | None:
    """The time grid on which `points` points span a whole number of Lyapunov times; None if that is not unique."""
    fitting: list[Grid] = [grid for grid, each in POINTS.items() if points and points % each == 0]
    return fitting[0] if len(fitting) == 1 else None


def scores(predicted: Tensor, true: Tensor, grid: Grid) -> dict[str, Tensor]:
    """All scores of predictions in closed loop, {name: (...)}, from predicted and true values (..., n)."""
    diverged = has_diverged(predicted)
    valid = (predicted - true).abs() / SCALE <= VALID
    on_neurobenchs = [_every(values, POINTS[grid] / POINTS["neurobench"]) for values in (predicted, true)]
    return {
        "smape": smape(predicted, true).masked_fill(diverged, WORST),
        "smape_75": smape(*on_neurobenchs).masked_fill(diverged, WORST),
        "valid_time": valid.double().cumprod(-1).sum(-1) / POINTS[grid],
        "diverged": diverged.double(),
    }


def has_diverged(predicted: Tensor) -> Tensor:
    """Whether any prediction is not finite or far too large: (..., n) -> (...)."""
    return ~(predicted.abs() <= TOO_LARGE).all(-1)


def _every(values: Tensor, steps: float) -> Tensor:
    """The values of a series at every `steps` steps of closed loop, interpolated linearly.

    The first of the given values (..., n) is one step after the loop was closed.
    """
    import torch

    count = values.shape[-1]
    places = steps * torch.arange(1, round(count / steps) + 1, dtype=torch.float64, device=values.device)
    below = places.floor().clamp(1, count).long()
    fraction = places - below
    above = (below + 1).clamp(max=count)
    return values[..., below - 1].lerp(values[..., above - 1], fraction.expand(*values.shape[:-1], -1))


def along_the_horizon(predicted: Tensor, true: Tensor, points: int) -> Tensor:
    """The sMAPE in each Lyapunov time of `points` points: raw values (..., n) -> (..., n / points)."""
    p, y = (values.reshape(*values.shape[:-1], -1, points) for values in (predicted, true))
    return smape(p, y).masked_fill(has_diverged(p), WORST)
