"""Mackey-Glass: a chaotic signal, which a model continues in closed loop for ten Lyapunov times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from gle_bench.config import RunConfig, TaskOptions
from gle_bench.contracts import Batch, Data, Metric, Published, Setting, Shape, Task, TensorSplit
from gle_bench.errors import GleBenchError
from gle_bench.files.disk import sha256
from gle_bench.recipes.mackey_glass import HALF, KNOWN, SCALE, MackeyGlassOptions, raw, standardised
from gle_bench.words import Protocol, StateReset

from .published import PUBLISHED, SETUP, described
from .scores import TOO_LARGE, along_the_horizon, grid_of, scores, smape
from .series import NEUROBENCH, sequence, series

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.feedback import DelayedFeedback
    from gle_bench.words import Loss

_LARGEST = TOO_LARGE / SCALE  # limit of a standardised output in the loss


class MackeyGlass(Task[MackeyGlassOptions]):
    """Mackey-Glass: seed k has sequence k, whose first half is for training and whose second half is predicted.

    The fingerprint is a digest of series, grid and seed. Signals are standardised; metrics are in raw units.
    """

    name: ClassVar[str] = "mackey-glass"
    version: ClassVar[int] = 1
    metric: ClassVar[Metric] = Metric("smape", "%", better="lower")
    loss: ClassVar[Loss] = "mse"
    options: ClassVar[type[TaskOptions]] = MackeyGlassOptions
    published: ClassVar[tuple[Published, ...]] = PUBLISHED
    setup: ClassVar[tuple[Setting, ...]] = SETUP
    reset: ClassVar[StateReset] = "batch"
    data_per_seed: ClassVar[bool] = True
    traced: ClassVar[tuple[int, ...]] = (40, 138)  # the stages of training that Fig. 10 shows
    notes: ClassVar[tuple[str, ...]] = (
        "The seed is the number of the sequence, and that of its network's first weights: from 0 to 29 in the paper. "
        "Neighbours overlap by all but half a Lyapunov time, so standard errors over them are optimistic.",
        f"The series was integrated by jitcdde and is pinned. NeuroBench's own is used where its file, {NEUROBENCH}, "
        "lies in the task's folder of the data. The two agree to 2e-8 over the first five Lyapunov times; but solvers' "
        "errors grow e-fold in each, so that after some twenty they are two series of the same kind.",
        "Evaluation starts from a zero state, forced by the true signal for some Lyapunov times up to the switch "
        "(--set forced=...). From there on inputs are the model's own predictions, all delays included; a prediction "
        "that is not finite, or beyond 1e6, makes an sMAPE of 200 and is counted as diverged.",
        "sMAPE is that of NeuroBench, 200 times a mean, over the points of the model's own grid; smape_75 is over "
        "NeuroBench's 75 points a Lyapunov time. valid_time is how many Lyapunov times pass before the prediction is "
        "first off by more than 0.4 standard deviations. Predicting the mean of the signal makes an sMAPE of 21.8.",
        "Protocol paper evaluates on the test half after every epoch, as the paper did: its best epoch is an oracle, "
        "picked on test data, and no result. Protocol clean ends training after 9 Lyapunov times, chooses on the "
        "tenth, in closed loop, and looks at the test half once.",
        "The paper leaves open the time constants, activations, loss, optimiser and its rate, beta, gamma, first "
        "weights, when the state starts anew, how long evaluation is forced, how the delays are filled in closed "
        "loop, what learns within a step of RK4, what the next value is, and the grid of its sMAPE. Each is a "
        "choice of ours, and a field of the configurations.",
        "Those of the GLE networks were found by trial on the test halves of 6 of the 30 sequences, under paper. "
        "NeuroBench's ESN and LSTM were tuned by its authors. Under clean, scripts/choose_mackey_glass.py chose among "
        "few settings by the held-out stretch of 5 to 30 sequences: gle and linear stay as they are, esn takes "
        "spectral_radius=1.2, nvar ridge=1e-4, which are rows of their own; of the LSTMs epochs alone were chosen. "
        "mlp, mlp-window, tcn and gru were chosen by that stretch of one to three sequences, as their notes say.",
    )

    def shape(self, options: MackeyGlassOptions) -> Shape:
        steps = HALF * options.points - options.horizon_steps - max(options.delay_steps) + 1
        return Shape(steps, len(options.delays), 1)

    def describe(self, config: RunConfig) -> Mapping[str, str]:
        return described(config)

    def prepare(self, folder: Path, options: MackeyGlassOptions, report: Callable[[str], None]) -> None:
        """Makes the folder for NeuroBench's file, which is optional: the pinned series comes with the package.

        Raises:
            GleBenchError: the folder cannot be made.
        """
        if folder.exists():
            return
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise GleBenchError(f"Cannot make {folder}: {error.strerror}. Choose another --data.") from error
        report(f"The series comes with glebench; to use NeuroBench's own, put its {NEUROBENCH} into {folder}.")

    def load(self, folder: Path, options: MackeyGlassOptions, protocol: Protocol, seed: int | None) -> Data:
        import torch

        from .windows import predicted, taught

        number = seed or 0
        source = series(folder, options.grid)
        signal = standardised(torch.from_numpy(sequence(source, options.grid, number).copy()))
        half, train_end = HALF * options.points, KNOWN * options.points
        splits = {"test": predicted(signal, options, half, HALF)}
        if protocol == "paper":
            splits["train"] = taught(signal, options, half)
        else:
            splits |= {
                "train": taught(signal, options, train_end),
                "validation": predicted(signal, options, train_end, HALF - KNOWN),
            }
        fingerprint = sha256(f"mackey-glass {options.grid} {number} {source.source}".encode())
        digests = {name: _digest(fingerprint, name, protocol, options, split) for name, split in splits.items()}
        return Data(splits, fingerprint, source.official, digests, source.notes)

    def evaluation_split(self, protocol: Protocol) -> str:
        return "test" if protocol == "paper" else "validation"

    def feedback(self, options: MackeyGlassOptions) -> DelayedFeedback:
        from gle_bench.dynamics.feedback import DelayedFeedback

        return DelayedFeedback(options.horizon_steps, options.delay_steps, options.forced_steps + 1)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss. In closed loop outputs are clamped first, so that a diverging prediction does not end the run."""
        if _closed(batch):
            outputs = outputs.nan_to_num(nan=_LARGEST).clamp(-_LARGEST, _LARGEST)
        return super().losses(outputs, batch)

    def measure(self, decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The scores of decisions: in closed loop all scores of the points after the switch, else the sMAPE alone."""
        counts = _counted(batch)
        prediction, truth = raw(decisions[:, :, counts, 0]), raw(batch.targets[:, :, counts, 0])
        grid = grid_of(prediction.shape[-1]) if _closed(batch) else None
        if grid is None:
            return {"smape": smape(prediction, truth).expand(decisions.shape[:2])}
        return scores(prediction, truth, grid)

    def horizon(self, options: MackeyGlassOptions, decisions: Tensor, targets: Tensor) -> Tensor:
        """The sMAPE in each Lyapunov time of the test half, (..., 10), from decisions and targets (..., T, 1)."""
        points = options.points
        prediction, truth = (raw(values[..., -HALF * points :, 0]) for values in (decisions, targets))
        return along_the_horizon(prediction, truth, points)


def _closed(batch: Batch) -> bool:
    """Whether the batch is in closed loop: its inputs are NaN where they would show the future."""
    return bool(batch.inputs.isnan().any())


def _counted(batch: Batch) -> Tensor:
    """The time steps that count, as truth values (T,); they are the same in all samples."""
    if batch.mask is None:
        return batch.inputs.new_ones(batch.steps).bool()
    return batch.mask[0, 0].expand(batch.steps) > 0


def _digest(fingerprint: str, name: str, protocol: str, options: MackeyGlassOptions, split: TensorSplit) -> str:
    """The digest of a split's origin. Values are not hashed: the last bits of a spline differ between machines."""
    which = f"{name} {'' if name == 'test' else protocol} {options.model_dump_json()} {split.steps}"
    return sha256(fingerprint.encode(), which.encode())
