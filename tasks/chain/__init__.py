"""The chain of Fig. 5: two neurons find the weights and the membrane time constants of a teacher of the same kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from gle_bench.config import RunConfig, TaskOptions
from gle_bench.contracts import Batch, Data, Metric, Shape, Task, TensorSplit, signal_errors
from gle_bench.dynamics.filters import Signal
from gle_bench.files.disk import sha256
from gle_bench.models.chain import draws
from gle_bench.recipes.chain import CHUNK, FIRST, STEPS, STILL, STREAMS, ChainOptions
from gle_bench.words import Protocol, StateReset

from .signals import PULSE, answers, pulses

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.words import Loss

_CHUNKS: Final = (STEPS - FIRST) // CHUNK  # of each stream
_PHASES: Final = {"test": 0, "validation": 2}  # of a split's first sample within the period, in steps


class ChainTask(Task[ChainOptions]):
    """The chain: a stream of 100 inputs side by side, cut into chunks, with a teacher's outputs as targets.

    The student's loss in the history is that of the frozen student, from rest, and without the noise of a run that has
    some; `online_mse` is the loss that the paper plots, of the student that learns.
    """

    name: ClassVar[str] = "chain"
    metric: ClassVar[Metric] = Metric("error", "dB", better="lower")
    loss: ClassVar[Loss] = "mse"
    options: ClassVar[type[TaskOptions]] = ChainOptions
    stream: ClassVar[bool] = True
    streams: ClassVar[int] = STREAMS
    reset: ClassVar[StateReset] = "epoch"  # the stream is one epoch; an evaluation starts from rest and leaves no trace
    data_per_seed: ClassVar[bool] = True
    notes: ClassVar[tuple[str, ...]] = (
        "The paper prints no numbers; its Figs. 5, 14 and 15 show weights, time constants and the loss over time.",
        "The error is that of the frozen student on 100 chunks from rest, at phases of the input that it never learned "
        "from there, relative to the target's variance; noise of a run does not act in it. The history also has the "
        "parameters, w0, w1, tau0 and tau1, and online_mse, the squared error while learning, which the paper plots.",
        "A seed draws the first weights and time constants, and the shifts of the 100 inputs; 0 is the paper's.",
        "Both protocols learn from the same stream. clean has a validation split, with other phases of the input.",
    )

    def shape(self, options: ChainOptions) -> Shape:
        return Shape(CHUNK, 1, 1)

    def idle(self, options: ChainOptions) -> int:
        return STILL

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        return {"train": _CHUNKS * STREAMS} | dict.fromkeys(_held_out(config.protocol), STREAMS)

    def load(self, folder: Path, options: ChainOptions, protocol: Protocol, seed: int | None) -> Data:
        number = seed or 0
        inputs, names = pulses(), _held_out(protocol)
        splits: dict[str, TensorSplit | Stream] = {name: _from_rest(inputs, options, name) for name in names}
        splits["train"] = Stream(inputs, answers(inputs, options), draws(number, STREAMS).rolls)
        fingerprint = sha256(f"chain {number} {options.model_dump_json()}".encode())
        digests = {name: sha256(f"{fingerprint} {name}".encode()) for name in splits}
        digests["test"] = sha256(f"chain test {options.model_dump_json()}".encode())
        return Data(splits, fingerprint, True, digests)

    def evaluation_split(self, protocol: Protocol) -> str:
        return "test" if protocol == "paper" else "validation"

    def measure(self, decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The squared error, and its ratio to the target's variance over the time steps of the sample, in dB."""
        return signal_errors(decisions, batch)


class Stream:
    """The training split: sample n is chunk n // 100 of stream n % 100.

    All streams have the same input and answers, each shifted by its roll: a teacher far from the start of its stream
    answers a shifted input by its answers, shifted.
    """

    def __init__(self, inputs: Signal, targets: Signal, rolls: Tensor) -> None:
        import torch

        self._inputs, self._targets = (torch.from_numpy(signal).float() for signal in (inputs, targets))
        self._rolls = rolls

    def __len__(self) -> int:
        return _CHUNKS * STREAMS

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        import torch

        steps = FIRST + indices[:, None] // STREAMS * CHUNK + torch.arange(CHUNK)  # (B, CHUNK)
        where = (steps - self._rolls[indices % STREAMS, None]) % STEPS
        return Batch(CHUNK, self._inputs[where][None, ..., None], self._targets[where][None, ..., None])


def _held_out(protocol: Protocol) -> list[str]:
    return ["test"] if protocol == "paper" else ["validation", "test"]


def _from_rest(inputs: Signal, options: ChainOptions, name: str) -> TensorSplit:
    """A hundred samples, from rest, at phases that are evenly spread over the period."""
    import torch

    starts = 4 * PULSE + _PHASES[name] + 2 * PULSE // STREAMS * np.arange(STREAMS)
    seen = inputs[starts[:, None] + np.arange(CHUNK)]
    signals, targets = (torch.from_numpy(signal).float()[..., None] for signal in (seen, answers(seen, options)))
    return TensorSplit(signals, targets, CHUNK)
