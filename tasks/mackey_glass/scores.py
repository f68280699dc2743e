"""How good a prediction is: sMAPE on two grids, the time for which it is valid, and how it fades along the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gle_bench.recipes.mackey_glass import POINTS, SCALE, Grid

if TYPE_CHECKING:
    from torch import Tensor

WORST: Final = 200.0  # of sMAPE, in per cent
TOO_LARGE: Final = 1e6  # beyond which a prediction has diverged; the signal lies between 0.4 and 1.4
VALID: Final = 0.4  # standard deviations of the signal


def smape(predicted: Tensor, true: Tensor) -> Tensor:
    """200 <|p - y| / (|p| + |y|)>, in per cent, over the last dimension; 200 where a prediction is not finite."""
    terms = (predicted - true).abs() / (predicted.abs() + true.abs())
    return (WORST * terms.mean(-1)).nan_to_num(nan=WORST)


def grid_of(points: int) -> Grid | None:
    """The grid on which so many points are a whole number of Lyapunov times."""
    fitting: list[Grid] = [grid for grid, each in POINTS.items() if points and points % each == 0]
    return fitting[0] if len(fitting) == 1 else None


def scores(predicted: Tensor, true: Tensor, grid: Grid) -> dict[str, Tensor]:
    """What is told of predictions in closed loop, {name: (...)}, from raw values (..., n) after the last true one."""
    gone = has_diverged(predicted)
    good = (predicted - true).abs() / SCALE <= VALID
    on_neurobenchs = [_every(values, POINTS[grid] / POINTS["neurobench"]) for values in (predicted, true)]
    return {
        "smape": smape(predicted, true).masked_fill(gone, WORST),
        "smape_75": smape(*on_neurobenchs).masked_fill(gone, WORST),
        "valid_time": good.double().cumprod(-1).sum(-1) / POINTS[grid],
        "diverged": gone.double(),
    }


def has_diverged(predicted: Tensor) -> Tensor:
    """Whether any prediction is not finite or far too large: (..., n) -> (...)."""
    return ~(predicted.abs() <= TOO_LARGE).all(-1)


def _every(values: Tensor, steps: float) -> Tensor:
    """Values (..., n), of which the first is one step after the switch, at whole multiples of `steps` after it.

    In between they are interpolated linearly.
    """
    import torch

    count = values.shape[-1]
    places = steps * torch.arange(1, round(count / steps) + 1, dtype=torch.float64, device=values.device)
    below = places.floor().clamp(1, count).long()
    share = places - below
    above = (below + 1).clamp(max=count)
    return values[..., below - 1].lerp(values[..., above - 1], share.expand(*values.shape[:-1], -1))


def along_the_horizon(predicted: Tensor, true: Tensor, points: int) -> Tensor:
    """sMAPE within each Lyapunov time of `points` points: raw values (..., n) -> (..., n / points)."""
    p, y = (values.reshape(*values.shape[:-1], -1, points) for values in (predicted, true))
    return smape(p, y).masked_fill(has_diverged(p), WORST)
