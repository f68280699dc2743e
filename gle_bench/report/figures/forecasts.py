"""Forecasts of Mackey-Glass beside the true signal: at stages of training, and their error along the forecast."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from gle_bench.config import TaskOptions
from gle_bench.contracts import Task
from gle_bench.errors import GleBenchError
from gle_bench.recipes.mackey_glass import HALF, KNOWN, MackeyGlassOptions, raw
from gle_bench.report.figures.curves import DrawnRuns
from gle_bench.report.figures.plot import SEEDS, Panel, line
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder

Values = NDArray[np.float64]

MARGIN: Final = 0.4  # the room above and below the target on its axis, as a share of the target's range
SHARE: Final = 95.0  # the percentage of values along the forecast that must fit on the axis


class HasHorizon(Protocol):
    """The interface of a task with a score for each part of a forecast's horizon, such as Mackey-Glass."""

    def horizon(self, options: TaskOptions, decisions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor: ...


class Forecast(NamedTuple):
    """What a network predicts in a closed loop after a round of training, beside the true signal, in raw units.

    `time` is in Lyapunov times since the network's own output became its input.
    """

    time: Values
    output: Values
    target: Values


def forecasts(record: Record, folder: RunFolder, split: str, last: int) -> dict[int, Forecast]:
    """The forecasts that a run has kept of a split, {round: forecast}; its final predictions are of round `last`.

    Raises:
        GleBenchError: files that cannot be read.
    """
    arrays = folder.read_traces()
    predictions = folder.read_predictions()
    arrays |= {f"{name}_{last}" if name.endswith("_decisions") else name: x for name, x in predictions.items()}
    if f"{split}_targets" not in arrays:
        return {}
    pattern = re.compile(rf"{re.escape(split)}_decisions_([0-9]{{1,9}})")
    names = {int(match[1]): name for name in arrays if (match := pattern.fullmatch(name))}
    points = options_of(record).points
    scored = points * (HALF if split == "test" else HALF - KNOWN)
    time = np.arange(1, scored + 1) / points
    return {
        number: Forecast(time, *(_raw(folder, arrays, each, scored) for each in (name, f"{split}_targets")))
        for number, name in sorted(names.items())
    }


def options_of(record: Record) -> MackeyGlassOptions:
    """The task's options in a run.

    Raises:
        GleBenchError: the record has other options than the task.
    """
    try:
        return MackeyGlassOptions.model_validate(record.config.get("options"))
    except ValidationError as error:
        first = error.errors()[0]
        raise GleBenchError(
            f"The record of {record.run_id} has other options than the task ({first['msg']}); move it away."
        ) from error


def _raw(folder: RunFolder, arrays: Mapping[str, NDArray[Any]], name: str, scored: int) -> Values:
    """The last `scored` points of an array (1, T, 1), one sample of one channel, in raw units.

    Raises:
        GleBenchError: the array has another form.
    """
    array = _checked(folder, arrays, name, scored)
    signal: Values = raw(torch.from_numpy(array[0, :, 0])).numpy()
    return signal[-scored:]


def _checked(folder: RunFolder, arrays: Mapping[str, NDArray[Any]], name: str, scored: int) -> NDArray[Any]:
    values = arrays[name]
    if values.dtype not in (np.float32, np.float64) or values.ndim != 3 or values.shape[::2] != (1, 1):
        raise GleBenchError(f"{name} of {folder.path} is no signal of one sample and one channel; move it away.")
    if name.endswith("_targets") and not np.isfinite(values).all():
        raise GleBenchError(f"{name} of {folder.path} holds what is no number; move it away.")
    if values.shape[1] < scored:
        raise GleBenchError(f"{name} of {folder.path} has {values.shape[1]} points, not {scored}; move it away.")
    return values


def nearest(stages: Sequence[int], rounds: Sequence[int]) -> dict[int, list[int]]:
    """The rounds that are nearest to the stages, in order, {round: the stages that it stands for}."""
    stages_of: dict[int, list[int]] = {}
    for stage in stages:
        stages_of.setdefault(min(rounds, key=lambda number: abs(number - stage)), []).append(stage)
    return dict(sorted(stages_of.items()))


def forecast_panel(letter: str, title: str, shown: Forecast) -> Panel:
    """The panel of one forecast, target and output; an output that runs away is cut off at the axis."""
    low, high = shown.target.min(), shown.target.max()
    room = MARGIN * (high - low)
    return Panel(
        letter,
        title,
        "Lyapunov times since the switch",
        "x(t)",
        (
            line(shown.time, shown.output, "output", "output"),
            line(shown.time, shown.target, "target", "target"),
        ),
        x_limits=(0.0, float(shown.time[-1])),
        y_limits=(float(low - room), float(high + room)),
    )


def horizon_panel(letter: str, task: Task, runs: DrawnRuns) -> tuple[Panel | None, list[str]]:
    """The panel of sMAPE within each Lyapunov time of the test half, of all sequences after training.

    None where no run has it; beside it, sentences on what is not drawn.
    """
    values, notes = horizons(task, runs)
    if not len(values):
        return None, notes
    middles = np.arange(values.shape[1]) + 0.5
    mean = values.mean(0)
    top = 1.1 * max(float(mean.max()), float(np.percentile(values, SHARE)))
    lines = [line(middles, each, "seed", color=SEEDS) for each in values]
    lines.append(line(middles, mean, "mean", f"mean of {len(values)}"))
    return Panel(
        letter,
        "along the horizon, at last",
        "Lyapunov times since the switch",
        "sMAPE (%) within, test split",
        tuple(lines),
        x_limits=(0.0, float(values.shape[1])),
        y_limits=(0.0, top),
    ), notes


def horizons(task: Task, runs: DrawnRuns) -> tuple[Values, list[str]]:
    """The curves of sMAPE along the forecast, (sequences, 10), and sentences on the runs that have none."""
    curves, damaged, without = [], [], []
    for seed, (record, folder) in sorted(runs.done.items()):
        try:
            final = folder.read_predictions()
            options = options_of(record)
            decisions, targets = (
                torch.from_numpy(_checked(folder, final, f"test_{name}", HALF * options.points))
                for name in ("decisions", "targets")
            )
        except GleBenchError as error:
            damaged.append(f"{runs.model}: seed {seed} has no horizon. {error}")
        except KeyError:
            without.append(seed)
        else:
            curves.append(cast(HasHorizon, task).horizon(options, decisions, targets)[0].numpy())
    count = f"{len(without)} of {len(runs.done)} sequences"
    missing = [f"{runs.model}: {count} have no horizon, for their predictions were not kept."] if without else []
    return np.array(curves), [*damaged, *missing]
