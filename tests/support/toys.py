"""Toy tasks, models and a rule, supplied like those of a plugin, which together use all that the contracts allow.

They are found through the entry points in glebench_toys.dist-info, beside this file.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_stack
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from gle_bench.config import Count, RunConfig, TaskOptions, TrainingConfig
from gle_bench.contracts import (
    Batch,
    Data,
    Footing,
    Metric,
    ModelConfig,
    OfflineModel,
    OnlineRule,
    Pair,
    Published,
    RuleOptions,
    Shape,
    Task,
    TensorSplit,
)
from gle_bench.dynamics.engines.interface import Feedback
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import pack, per_parameter, unpack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.rule import ERRORS
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State, present_weight, zero_state
from gle_bench.dynamics.step import step
from gle_bench.dynamics.window import Learned, Window
from gle_bench.files.disk import sha256
from gle_bench.models.gle import GLENetwork, Population
from gle_bench.models.initial import seeded
from gle_bench.models.modules.ridge import Readout, linear
from gle_bench.models.readout import ReadoutModel, Reads
from gle_bench.words import Budget, Protocol

PARTS: dict[Protocol, dict[str, slice]] = {
    "paper": {"train": slice(10), "test": slice(14, 18)},
    "clean": {"train": slice(10), "validation": slice(10, 14), "test": slice(14, 18)},
}
SAMPLES = 18
UNSEEN = 3  # steps at the start of a sample on which no loss counts


class ToyOptions(TaskOptions):
    """The options of all toy tasks: the number of time steps in a sample."""

    steps: Count = 10


@dataclass(frozen=True)
class ToySplit(TensorSplit):
    """A split during whose fetches a test can disturb the process, through environment variables."""

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        _end_here(epoch)
        return super().fetch(indices, seed, epoch, place)


def _end_here(epoch: int, fetches: dict[int, int] = {}) -> None:  # noqa: B006
    """Disturbs the process at one fetch, such as the third of epoch 1, if an environment variable asks for it.

    The fetches by which the time of the run is measured do not count.

    $TOYS_SIGNAL, such as 'SIGKILL 1 3', sends this process a signal; $TOYS_DELETES, '1 3 PATTERN', removes folders;
    $TOYS_TAKES_OVER, '1 3 STORE', writes another process's heartbeat into every run folder, and removes the records.
    """
    if not {"TOYS_SIGNAL", "TOYS_DELETES", "TOYS_TAKES_OVER"} & os.environ.keys():
        return
    if any(frame.f_globals["__name__"] == "gle_bench.training.preview" for frame, _ in walk_stack(None)):
        return
    fetches[epoch] = fetches.get(epoch, 0) + 1
    here = [str(epoch), str(fetches[epoch])]
    name, *when = os.environ.get("TOYS_SIGNAL", "").split()[:3] or [""]
    if when == here:
        os.kill(os.getpid(), signal.Signals[name])
    *when, pattern = os.environ.get("TOYS_DELETES", "").split() or [""]
    if when == here:
        for path in Path("/").glob(pattern.lstrip("/")):
            shutil.rmtree(path)
    *when, store = os.environ.get("TOYS_TAKES_OVER", "").split() or [""]
    if when == here:
        for path in Path(store).glob("*/*/*/*/heartbeat.json"):
            heartbeat = json.loads(path.read_text())
            path.write_text(json.dumps({**heartbeat, "host": "elsewhere", "pid": 1, "token": "other"}))
            (path.parent / "record.json").unlink()


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def split(protocol: Protocol, steps: int, inputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Data:
    """The splits of all samples: inputs (M, T|1, C_in), targets (M,) or (M, T, C_out), mask (M, T|1)."""
    inputs, targets = inputs.float(), targets.float() if targets.is_floating_point() else targets
    chosen = PARTS[protocol].items()
    splits = {
        name: ToySplit(inputs[part], targets[part], steps, None if mask is None else mask[part])
        for name, part in chosen
    }
    digests = {name: _digest(inputs[part], targets[part]) for name, part in chosen}
    return Data(splits, _digest(inputs, targets), True, digests)


def _digest(*tensors: Tensor) -> str:
    return sha256(*(tensor.contiguous().numpy().tobytes() for tensor in tensors))


NETWORK = GLENetwork(
    populations=(Population(neurons=3, tau_m=1.0, tau_r=0.4), Population(neurons=3, tau_m=1.0, tau_r=1.0)),
    hidden_layers=2,
    dt=0.2,
    tau_output=0.4,
)


def teach(shape: Shape, inputs: Tensor, seed: int) -> Tensor:
    """Targets (M, T, C_out): the outputs of a teacher network, of the students' kind, for inputs (M, T|1, C_in)."""
    network = NETWORK.network(shape, "mse")
    parameters: Parameters = tuple(
        BlockParameters(
            *(None if x is None else factor * x.double() for x, factor in zip(block, (2, 2, 1, 1), strict=True))
        )
        for block in NETWORK.initialise(network, 1000 + seed)
    )
    state = zero_state(network, parameters, len(inputs))
    return TorchEngine().infer(network, parameters, state, Window(shape.steps, inputs[None], None, None))[1][0]


class Toy(Task[ToyOptions]):
    """The base of all toy tasks."""

    options: ClassVar[type[TaskOptions]] = ToyOptions

    def evaluation_split(self, protocol: Protocol) -> str:
        return "test" if protocol == "paper" else "validation"


class ToyClasses(Toy):
    """A task of three classes of noisy ramps."""

    name: ClassVar[str] = "toy-classes"
    published: ClassVar[tuple[Published, ...]] = (
        Published("toy-gle", 50.0, "a toy's paper", spread=20.0, n=10, margin=30.0),
    )

    def shape(self, options: ToyOptions) -> Shape:
        return Shape(options.steps, 2, 3)

    def load(self, folder: Path, options: ToyOptions, protocol: Protocol, seed: int | None) -> Data:
        labels = torch.arange(SAMPLES) % 3
        ramps = torch.linspace(0, 2, options.steps)[None, :, None] * (labels - 1)[:, None, None]
        return split(protocol, options.steps, ramps + 0.5 * normal(SAMPLES, options.steps, 2, seed=0), labels)


class ToySignal(Toy):
    """A regression task whose targets are a teacher's outputs; the first steps do not count."""

    name: ClassVar[str] = "toy-signal"
    metric: ClassVar[Metric] = Metric("mse", better="lower")
    loss = "mse"

    def shape(self, options: ToyOptions) -> Shape:
        return Shape(options.steps, 2, 1)

    def load(self, folder: Path, options: ToyOptions, protocol: Protocol, seed: int | None) -> Data:
        inputs = normal(SAMPLES, options.steps, 2, seed=seed or 0)
        mask = torch.ones(SAMPLES, options.steps)
        mask[:, :UNSEEN] = 0
        return split(protocol, options.steps, inputs, teach(self.shape(options), inputs, seed or 0), mask)


class ToyOwnSignal(ToySignal):
    """A regression task in which every seed has a teacher and inputs of its own."""

    name: ClassVar[str] = "toy-own-signal"
    data_per_seed: ClassVar[bool] = True


class ToyConstant(ToySignal):
    """A regression task with inputs that are constant in a sample; the state is zero at the start of each batch."""

    name: ClassVar[str] = "toy-constant"
    reset = "batch"

    def load(self, folder: Path, options: ToyOptions, protocol: Protocol, seed: int | None) -> Data:
        inputs = normal(SAMPLES, 1, 2, seed=seed or 0)
        return split(protocol, options.steps, inputs, teach(self.shape(options), inputs, 0))


class ToyStream(Toy):
    """A prediction task: the next value of one long signal, whose consecutive chunks are the samples."""

    name: ClassVar[str] = "toy-stream"
    metric: ClassVar[Metric] = Metric("mse", better="lower")
    loss = "mse"
    stream: ClassVar[bool] = True

    def shape(self, options: ToyOptions) -> Shape:
        return Shape(options.steps, 1, 1)

    def load(self, folder: Path, options: ToyOptions, protocol: Protocol, seed: int | None) -> Data:
        time = torch.arange(SAMPLES * options.steps + 1) / 3
        wave = (time.sin() + (2.7 * time).cos()) / 2
        inputs, targets = (x.view(SAMPLES, options.steps, 1) for x in (wave[:-1], wave[1:]))
        return split(protocol, options.steps, inputs, targets)


class ToyLoop(ToyStream):
    """A prediction task with separate samples; in evaluation the network soon sees its own predictions."""

    name: ClassVar[str] = "toy-loop"
    stream: ClassVar[bool] = False
    reset = "epoch"

    def feedback(self, options: ToyOptions) -> Feedback:
        def close(t: int, inputs: Tensor, outputs: Tensor) -> Tensor:
            return outputs[:, :, -1] if t >= UNSEEN else inputs[:, :, t].expand(len(outputs), -1, -1)

        return close


class ToyPerceptron(OfflineModel):
    """A network with one hidden layer, applied to each time step, with dropout; classes use its mean over time."""

    normalised: ClassVar[bool] = True

    hidden: Count = 5
    dropout: float = 0.2
    signals: bool = False

    def build(self, shape: Shape, seed: int) -> nn.Module:
        with seeded(seed):
            layers = [nn.Linear(shape.inputs, self.hidden), nn.Tanh(), nn.Dropout(self.dropout)]
            return _Perceptron(nn.Sequential(*layers, nn.Linear(self.hidden, shape.outputs)), self.signals)


class _Perceptron(nn.Module):
    def __init__(self, layers: nn.Sequential, signals: bool) -> None:
        super().__init__()
        self.layers, self.signals = layers, signals

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        return outputs if self.signals else outputs.mean(1)


class ToyTrace(ReadoutModel):
    """A linear readout of a constant, the input and a trace of the input."""

    reads: Reads = "every step"

    def build(self, shape: Shape, seed: int) -> Readout:
        return _Trace(shape, self.reads, seed)


class _Trace(Readout):
    def __init__(self, shape: Shape, reads: Reads, seed: int) -> None:
        super().__init__(1 + 2 * shape.inputs, shape, reads=reads)
        self.fade = linear(0.1 * normal(shape.inputs, shape.inputs, seed=seed).float() + torch.eye(shape.inputs) / 2)

    def start(self, batch: int) -> Tensor:
        return self.fade.weight.new_zeros(batch, self.fade.in_features)

    def advance(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        memory = x + self.fade(memory)
        return torch.cat([torch.ones_like(x[:, :1]), x, memory], 1), memory


class ToyBPTTOptions(RuleOptions):
    """The options of `toy-bptt`; `fade` is how much less the first windows count."""

    fade: Annotated[float, Field(ge=0, lt=1)] = 0.9


class ToyBPTT(OnlineRule):
    """Backpropagation through the last few steps. Its memory counts windows, because the first ones count less."""

    name: ClassVar[str] = "toy-bptt"
    window = 4
    lacks = ERRORS
    footing: ClassVar[Footing] = Footing(streamed=True)
    options: ClassVar[type[RuleOptions]] = ToyBPTTOptions

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        weight = present_weight(parameters)
        return (weight.new_zeros(weight.shape[1]),)

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        count, size = state[0].u.shape[1:3]
        flat, outputs = pack(network, parameters).requires_grad_(), []
        cost = flat.new_zeros(())
        with torch.enable_grad():
            free = unpack(network, flat, parameters)
            for t in range(window.steps):
                inputs, target, mask = window.at(t, count)
                assert target is not None
                now = seams.at(t)
                result = step(network, free, state, inputs, plastic=False, errors=False, seams=now)
                state = result.state
                outputs.append(result.signals.output)
                cost = cost + _cost(network, outputs[-1], target, 1.0 if mask is None else mask) / size
            (gradient,) = torch.autograd.grad(cost, flat, materialize_grads=True)
        seen = memory[0] + 1
        gradient = gradient * per_parameter(network, parameters, 1 - self.chosen.fade**seen)
        state = tuple(type(block)(*(x.detach() for x in block)) for block in state)
        return Learned(state, unpack(network, gradient, parameters), torch.stack(outputs, 2).detach(), (seen,))


def _cost(network: Network, output: Tensor, target: Tensor, mask: Tensor | float) -> Tensor:
    """Eq. 51 or 53, summed over members and batch."""
    if network.loss == "ce":
        return -(mask * target * output.log_softmax(-1)).sum()
    return (mask * (target - output).square()).sum() / 2


EPOCHS: dict[Budget, int] = {"smoke": 1, "short": 2, "paper": 3}


def _pair(task: str, model: str, rule: str, network: ModelConfig) -> Pair:
    def configure(budget: Budget) -> RunConfig:
        # Ten samples leave a last batch of two, and four samples a last evaluation of one.
        sizes = (1, 1) if task == "toy-stream" else (4, 3)  # chunks of one signal follow each other
        training = TrainingConfig(epochs=EPOCHS[budget], batch_size=sizes[0], evaluation_batch_size=sizes[1], rate=0.01)
        return RunConfig(
            task=task, model=model, rule=rule, budget=budget, options=ToyOptions(), network=network, training=training
        )

    return Pair(task, model, configure, (3, 1, 2), "a toy")


_online: Callable[[str], Pair] = lambda task: _pair(task, "toy-gle", "gle", NETWORK)  # noqa: E731
PAIRS = (
    *(_online(f"toy-{name}") for name in ("classes", "constant", "loop", "own-signal", "signal", "stream")),
    _pair("toy-classes", "toy-mlp", "backprop", ToyPerceptron()),
    _pair("toy-signal", "toy-mlp", "backprop", ToyPerceptron(signals=True)),
    _pair("toy-classes", "toy-readout", "readout", ToyTrace(reads="mean")),
    _pair("toy-loop", "toy-readout", "readout", ToyTrace()),
    _pair("toy-signal", "toy-readout", "readout", ToyTrace(ridge=0.1)),
)
