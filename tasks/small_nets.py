"""The small nets of Fig. 6: one slow and one fast neuron in each layer find a teacher's two weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from gle_bench.config import RunConfig, TaskOptions
from gle_bench.contracts import Batch, Data, Metric, Shape, Task, TensorSplit, signal_errors
from gle_bench.dynamics.filters import Signal, rates
from gle_bench.files.disk import sha256
from gle_bench.models.small_nets import SmallNet
from gle_bench.recipes.small_nets import CHUNK, DT, STEPS, STILL, SmallNetsOptions
from gle_bench.words import Protocol, StateReset

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.words import Loss

_HELD_OUT: Final = 5  # chunks of a split that is evaluated
_SPLITS: Final = {"test": 0, "validation": 1}  # how many such splits lie between the end of training and this one


class SmallNets(Task[SmallNetsOptions]):
    """The small nets: one stream of three sines, cut into chunks, with a teacher's outputs as targets.

    What is evaluated comes after the end of the stream, and starts from rest.
    """

    name: ClassVar[str] = "small-nets"
    metric: ClassVar[Metric] = Metric("error", "dB", better="lower")
    loss: ClassVar[Loss] = "mse"
    options: ClassVar[type[TaskOptions]] = SmallNetsOptions
    stream: ClassVar[bool] = True
    reset: ClassVar[StateReset] = "epoch"  # the stream is one epoch; an evaluation starts from rest and leaves no trace
    notes: ClassVar[tuple[str, ...]] = (
        "The paper prints no numbers; its Fig. 6 shows the two weights, the loss, and spectra of the errors.",
        "The error is that of the frozen student on the 15 units of time after the stream, from rest, relative to the "
        "target's variance. The history also has both weights, w_i of the instantaneous and w_r of the retrospective "
        "neuron, and online_mse, the squared error while learning, which the paper plots.",
        "The seed draws the two first weights; 5 is the paper's.",
    )

    def shape(self, options: SmallNetsOptions) -> Shape:
        return Shape(CHUNK, 1, 1)

    def idle(self, options: SmallNetsOptions) -> int:
        return STILL

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        return {"train": STEPS // CHUNK} | dict.fromkeys(_names(config.protocol), _HELD_OUT)

    def load(self, folder: Path, options: SmallNetsOptions, protocol: Protocol, seed: int | None) -> Data:
        splits = {"train": _stream(options, 0, STEPS // CHUNK)}
        for name in _names(protocol):
            splits[name] = _stream(options, STEPS + _SPLITS[name] * _HELD_OUT * CHUNK, _HELD_OUT)
        fingerprint = sha256(f"small-nets {options.model_dump_json()}".encode())
        return Data(splits, fingerprint, True, {name: sha256(f"{fingerprint} {name}".encode()) for name in splits})

    def evaluation_split(self, protocol: Protocol) -> str:
        return "test" if protocol == "paper" else "validation"

    def measure(self, decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The squared error, and its ratio to the target's variance over the time steps of the sample, in dB."""
        return signal_errors(decisions, batch)


def _names(protocol: Protocol) -> list[str]:
    return ["test"] if protocol == "paper" else ["validation", "test"]


def _stream(options: SmallNetsOptions, first: int, chunks: int) -> TensorSplit:
    """The chunks of the input from step `first` on, and the answers of the teacher, which starts from rest there."""
    import torch

    # The released code samples T/dt points of [0, T], both ends included, so that they are a little more than dt apart.
    times = (first + np.arange(chunks * CHUNK)) * (STEPS * DT / (STEPS - 1))
    inputs = np.sin(np.multiply.outer(np.array(options.frequencies), times)).sum(0)
    seen, targets = (
        torch.from_numpy(signal).float().view(chunks, CHUNK, 1) for signal in (inputs, _answers(inputs, options))
    )
    return TensorSplit(seen, targets, CHUNK)


def _answers(inputs: Signal, options: SmallNetsOptions) -> Signal:
    """The teacher's output (T,) for inputs (T,), from rest: before each step, as the student's."""
    teacher = SmallNet()
    taus = (teacher.tau_m, teacher.tau_m), (teacher.tau_m, teacher.tau_r)
    branches = []
    for weight, second, (tau_m, tau_r) in zip(options.weights, teacher.second, taus, strict=True):
        lower = rates(weight * inputs, tau_m, tau_r, DT, np.tanh)
        branches.append(rates(second * lower, tau_m, tau_r, DT, np.tanh))
    current = sum(top * branch for top, branch in zip(teacher.top, branches, strict=True))
    return rates(np.asarray(current), teacher.tau_m, teacher.tau_m, DT, np.positive)
