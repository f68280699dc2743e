"""A task in one file: the classification of noisy tones by their pitch. The data are generated from a seed."""

from pathlib import Path
from typing import ClassVar

import torch
from gle_bench.baselines.mlp import MLP

from gle_bench.config import Count, ModelConfig, RunConfig, TaskOptions, TrainingConfig
from gle_bench.contracts import Data, Pair, Shape, Task, TensorSplit
from gle_bench.files.disk import sha256
from gle_bench.models.gle import GLENetwork, Population
from gle_bench.words import Budget, Protocol

PERIODS = torch.tensor([6.0, 9.0, 14.0, 21.0])  # of the four tones, in time steps
SPLITS = {"train": slice(0, 800), "validation": slice(800, 1000), "test": slice(1000, 1200)}
EPOCHS: dict[Budget, int] = {"smoke": 1, "short": 10, "paper": 50}


class PitchOptions(TaskOptions):
    """The length of a tone in time steps, and the standard deviation of its noise."""

    steps: Count = 60
    noise: float = 0.2


class Pitch(Task[PitchOptions]):
    """Tones of amplitude 1 and random phase, each with one of four periods, which is its class."""

    name: ClassVar[str] = "pitch"
    options: ClassVar[type[TaskOptions]] = PitchOptions

    def shape(self, options: PitchOptions) -> Shape:
        return Shape(options.steps, inputs=1, outputs=len(PERIODS))

    def load(self, folder: Path, options: PitchOptions, protocol: Protocol, seed: int | None) -> Data:
        draw = torch.Generator().manual_seed(0)
        classes = torch.randint(len(PERIODS), (1200,), generator=draw)
        phases = 2 * torch.pi * torch.rand(1200, 1, generator=draw)
        tones = (2 * torch.pi * torch.arange(options.steps) / PERIODS[classes][:, None] + phases).sin()
        inputs = (tones + options.noise * torch.randn(tones.shape, generator=draw))[:, :, None]  # (M, T, C_in)
        splits = {name: TensorSplit(inputs[part], classes[part], options.steps) for name, part in SPLITS.items()}
        digests = {name: digest(split.inputs, split.targets) for name, split in splits.items()}
        return Data(splits, digest(inputs, classes), official=True, digests=digests)


def digest(*tensors: torch.Tensor) -> str:
    return sha256(*(tensor.numpy().tobytes() for tensor in tensors))


def pair(model: str, rule: str, network: ModelConfig, rate: float, summary: str) -> Pair:
    """A model on this task, with its training for every budget."""

    def configure(budget: Budget) -> RunConfig:
        training = TrainingConfig(epochs=EPOCHS[budget], batch_size=50, rate=rate)
        return RunConfig(
            task="pitch",
            model=model,
            rule=rule,
            budget=budget,
            options=PitchOptions(),
            network=network,
            training=training,
        )

    return Pair("pitch", model, configure, seeds=(1, 2, 3), summary=summary)


NETWORK = GLENetwork(
    populations=(
        Population(neurons=14, tau_m=0.6, tau_r=0.2),
        Population(neurons=13, tau_m=1.2, tau_r=0.2),
        Population(neurons=13, tau_m=1.2, tau_r=1.2),
    ),
    hidden_layers=4,
    dt=0.2,
    tau_output=1.2,
)
PAIRS = (
    pair("gle", "gle", NETWORK, rate=1e-3, summary="four hidden layers with three time scales each"),
    pair("mlp", "backprop", MLP(hidden=(50, 50)), rate=2e-3, summary="60-50-50-4, which sees the whole tone at once"),
)
