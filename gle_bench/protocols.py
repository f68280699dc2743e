"""What a task, a model, a learning rule and a batch are.

Shapes, everywhere:

    S networks (ensemble)   B batch   T time steps   N neurons   C channels or classes
    inputs (S|1, B, T, C_in)   targets (S|1, B) classes or (S|1, B, T, C_out) signals
    u, v, r, e   (S, B, N)     W (S, N_out, N_in)   b, tau_m, tau_r (S|1, N)

Inside the dynamics K layers of one shape lie side by side: W (K, S, N_out, N_in), b and the time constants
(K, S, 1, N), the state (K, S, B, N); see `gle_bench.dynamics.network`.

Importing PyTorch takes a second, of which tables and lists need nothing: our own modules that declare tasks, models and
rules import it only where they compute. A stranger's need not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from gle_bench.config import Budget, ModelConfig, ProtocolName, RunConfig, TaskOptions
from gle_bench.names import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gle_bench.dynamics.engine import Feedback, Learned, Window
    from gle_bench.dynamics.network import Parameters, State
    from gle_bench.dynamics.structure import Loss, Network


class Shape(NamedTuple):
    """What a model has to fit: time steps, input channels, output channels or classes."""

    steps: int
    inputs: int
    outputs: int


class Batch(NamedTuple):
    """Samples side by side. A leading dimension of 1 stands for the same data in every member of the ensemble; a time
    dimension of 1 for inputs that stay constant over all `steps`."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, C_in)
    targets: Tensor  # (S|1, B) classes, int64, or (S|1, B, T, C_out) signals
    mask: Tensor | None = None  # (S|1, B, T|1)  1 where the loss counts, 0 where it does not


class Split(Protocol):
    """One part of a data set, in samples; a sample of an unbroken stream is a chunk of it.

    A split of classes has them as `targets`, (M,), which balanced sampling needs. One whose `fetch` takes long says
    `slow = True`: it is then called ahead of time, in threads.
    """

    def __len__(self) -> int: ...

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        """The samples `indices` (B,), as a batch with S = 1.

        `seed`, `epoch` and a sample's place in that epoch, `place` for the first of these, decide any augmentation, so
        that nothing else does. (Where samples are drawn with replacement, one may come twice in an epoch.)
        """
        ...


@dataclass(frozen=True)
class TensorSplit:
    """A split that lies in memory: inputs (M, T|1, C_in), targets (M,) or (M, T, C_out), mask (M, T|1)."""

    inputs: Tensor
    targets: Tensor
    steps: int
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        mask = None if self.mask is None else self.mask[indices][None]
        return Batch(self.steps, self.inputs[indices][None], self.targets[indices][None], mask)


class Data(NamedTuple):
    """What a task loads: its splits ('train', 'validation' and/or 'test') and what identifies them.

    `fingerprint` is a SHA-256 over the content; `official` is False for anything but the data set itself; `digests` has
    one SHA-256 a split; `notes` say how these data differ from what the task's rules ask for.
    """

    splits: Mapping[str, Split]
    fingerprint: str
    official: bool
    digests: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """How a result is called and read: `unit` as printed, `better` up or down."""

    name: str
    unit: str = ""
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class Published:
    """A number from the literature, for one cell of a table.

    Attributes:
        model: the model of ours that it is compared with.
        value, spread: in the metric's unit; `spread_kind` says what the spread is, `n` over how many seeds.
        margin: half width of equivalence in the metric's unit, fixed before our runs; None: compare without verdict.
        selection: 'last' or 'best' epoch.
        source: table and version; caveat: what a reader must know.
    """

    model: str
    value: float
    source: str
    spread: float | None = None
    spread_kind: Literal["population sd", "sample sd", "sem", "none"] = "population sd"
    n: int | None = None
    split: str = "test"
    selection: Literal["last", "best"] = "last"
    margin: float | None = None
    caveat: str = ""


@dataclass(frozen=True)
class Setting:
    """A line of the literature's table that says how its models were trained.

    Attributes:
        name: as `Task.describe` calls ours; 'parameters' is counted from the network.
        printed: {model: as printed}.
        notes: {model: what a reader must know}, where the literature disagrees with itself, or ours with it.
    """

    name: str
    printed: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)


class Task:
    """A data set with its protocol. Subclass it in one file and name it in the registry or as an entry point.

    The defaults are those of a classification of sequences; see `decide` and `measure`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1  # raised when what the task computes changes
    metric: ClassVar[Metric] = Metric("accuracy", "%")
    loss: ClassVar[Loss] = "ce"
    options: ClassVar[type[TaskOptions]] = TaskOptions
    published: ClassVar[tuple[Published, ...]] = ()
    setup: ClassVar[tuple[Setting, ...]] = ()  # the paper's, which its table sets beside ours
    stream: ClassVar[bool] = False  # True: samples are chunks of one unbroken signal, seen in order, state carried on
    reset: ClassVar[Literal["never", "batch", "epoch"]] = "never"  # when the state of an online model starts at zero
    data_per_seed: ClassVar[bool] = False  # True: `load` is called with each seed, else once with None
    downloads: ClassVar[bool] = False  # True: `prepare` goes to the network, which a preview does not
    alike: ClassVar[tuple[int, ...]] = ()  # classes of which all samples may be one and the same, such as silence
    notes: ClassVar[tuple[str, ...]] = ()  # what `glebench show` and the tables' footnotes say
    traced: ClassVar[tuple[int, ...]] = ()  # rounds after which the evaluated outputs are kept, as after the last

    def learned_by(self, model: ModelConfig) -> Task:
        """The task as that model learns it: with the model's loss, where it names one of its own.

        Raises:
            UsageError: cross-entropy, where there are no classes.
        """
        if model.loss is None or model.loss == self.loss:
            return self
        if self.loss == "mse":
            raise UsageError(f"loss = {model.loss} needs classes, and {self.name} has signals; leave it at null.")
        learned = copy(self)
        vars(learned)["loss"] = model.loss  # of this copy alone: a class attribute, to which nothing else is assigned
        return learned

    def shape(self, options: TaskOptions) -> Shape:
        """What models must fit."""
        raise NotImplementedError

    def describe(self, config: RunConfig) -> Mapping[str, str]:
        """What `setup` lists, but the parameters, as a configuration has it: {name of the setting: as printed}."""
        return {}

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        """How many samples each split of the official data has under a configuration; empty: not known beforehand."""
        return {}

    def prepare(self, folder: Path, options: TaskOptions, report: Callable[[str], None]) -> None:
        """Gets or makes the data under `folder` (the task's own), if it is not there yet.

        Raises:
            GleBenchError: if it cannot be had; the text says where to put it by hand.
        """

    def by_hand(self, folder: Path) -> str:
        """How to put the data under `folder` without `prepare`, as the end of a sentence; empty: there is no way."""
        return ""

    def is_prepared(self, folder: Path, options: TaskOptions) -> bool:
        """Whether `load` would find its data."""
        return True

    def load(self, folder: Path, options: TaskOptions, protocol: ProtocolName, seed: int | None) -> Data:
        """The splits under a protocol. `clean` has 'train', 'validation' and 'test'; `paper` what the paper had.

        Raises:
            GleBenchError: missing or corrupt data, with the path and the cure.
        """
        raise NotImplementedError

    def evaluation_split(self, protocol: ProtocolName) -> str:
        """The split that is evaluated while training, and that schedulers see."""
        return "validation"

    def targets(self, batch: Batch, outputs: int) -> Tensor:
        """Target rates (S|1, B, T|1, C) of an online model: signals as they are, classes as one-hot."""
        if batch.targets.dim() == 2:
            from torch import nn

            return nn.functional.one_hot(batch.targets, outputs).to(batch.inputs.dtype)[:, :, None]
        return batch.targets

    def feedback(self, options: TaskOptions) -> Feedback | None:
        """Closes the loop in evaluation: gives each step's input from the outputs so far. None: the loop stays open."""
        return None

    def decide(self, outputs: Tensor, batch: Batch) -> Tensor:
        """What a model's outputs (S, B, T, C) amount to: logits summed over time, (S, B, C), or the signal itself."""
        return outputs.sum(2) if batch.targets.dim() == 2 else outputs

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Loss of each sample, (S, B): averaged over the time steps that the mask leaves.

        Cross-entropy of each step's softmax (Eq. 53), or half the squared error summed over channels (Eq. 51).
        """
        targets = self.targets(batch, outputs.shape[-1])
        if self.loss == "ce":
            return mean_over_time(cross_entropy(outputs, targets), batch.mask)
        return mean_over_time((targets - outputs).square().sum(-1) / 2, batch.mask)

    def measure(self, decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Metrics of each sample, (S, B), whose means over a split are reported."""
        if batch.targets.dim() == 2:
            return {"accuracy": 100.0 * (decisions.argmax(-1) == batch.targets).double()}
        return {"mse": mean_over_time((decisions - batch.targets).square().mean(-1), batch.mask)}


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-log softmax of the target class: (..., C) and one-hot targets -> (...).

    By hand: torch's log_softmax along so short a dimension takes ten times as long, as long as the networks themselves.
    """
    import torch

    top = reduce(torch.maximum, logits.detach().unbind(-1))  # cancels in the gradient
    total = (logits - top[..., None]).exp().sum(-1).log() + top
    return total - (targets * logits).sum(-1)


def mean_over_time(values: Tensor, mask: Tensor | None) -> Tensor:
    """Means over the time steps that the mask (S|1, B, T|1) leaves: (S, B, T) -> (S, B)."""
    if mask is None:
        return values.mean(-1)
    weight = mask.expand_as(values)
    return (values * weight).sum(-1) / weight.sum(-1).clamp_min(1)


@dataclass(frozen=True)
class Footing:
    """What a method is granted: the equal-footing columns of a board."""

    online: bool = False  # parameters change while the sample is still streaming in
    streamed: bool = False  # sees one time step after the other, not the sequence as an image
    local_in_space: bool = False
    local_in_time: bool = False
    whole_sequence: bool = True  # learns, or answers, only once the whole sequence is there
    normalised: bool = False  # normalises over a batch or a layer, or drops out


class LearningRule:
    """How parameters are updated. An online rule implements `learn`; `backprop` leaves gradients to autograd.

    Attributes:
        name: as on the command line.
        engines: those that can run it; 'torch' can run everything. A subclass that learns, starts or cuts windows in a
            way of its own is back at 'torch' alone, until it names others itself.
        online: whether the engine calls it, once in `window` time steps.
        autograd: whether it leaves an offline model's gradients to autograd.
        closed_form: whether it solves an offline model's linear readout in closed form (`models.readout`).
        ordered: whether it can learn in networks whose layers are traversed in order, without delays.
        footing: see `Footing`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1  # raised when what the rule computes changes
    engines: ClassVar[frozenset[str]] = frozenset({"torch"})
    online: ClassVar[bool] = True
    autograd: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    window: int = 1
    footing: ClassVar[Footing] = Footing()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "engines" not in vars(cls) and {"start", "learn", "window"} & vars(cls).keys():
            cls.engines = frozenset({"torch"})

    def start(self, network: Network, parameters: Parameters, batch: int) -> tuple[Tensor, ...]:
        """The rule's memory before its first window (eligibility traces, say), each tensor (S, ...)."""
        return ()

    def learn(
        self, network: Network, parameters: Parameters, state: State, memory: tuple[Tensor, ...], window: Window
    ) -> Learned:
        """Runs the network over the window. Gradients are batch means; descending along them learns.

        It is called without autograd: a rule that differentiates says `torch.enable_grad()` itself.
        """
        raise NotImplementedError(f"rule '{self.name}' leaves gradients to autograd")


class OnlineModel(ModelConfig):
    """A family whose networks learn while the sample streams in: its fields are the hyper-parameters."""

    def network(self, shape: Shape, loss: Loss) -> Network:
        """The network for a task of that shape."""
        raise NotImplementedError

    def initialise(self, network: Network, seed: int) -> Parameters:
        """Parameters with S = 1, in float32, a function of the seed alone."""
        raise NotImplementedError


class Stepwise(Protocol):
    """What the module of an `OfflineModel` with `closed_loop` has beside its `forward`, of which it is the steps."""

    def start(self, batch: int) -> Tensor | tuple[Tensor, ...]:
        """The memory before the first time step."""
        ...

    def step(self, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """One time step: x (B, C_in) and the memory so far -> outputs (B, C_out) and the memory from here on."""
        ...


class OfflineModel(ModelConfig):
    """A family that sees the whole sequence and learns by autograd, or in closed form: its fields are the
    hyper-parameters.

    `streamed` says that it reads one time step after the other, as a recurrent network does, though it answers and
    learns at the end. `closed_loop` says that its module also goes step by step, as `Stepwise` does. `normalised` says
    that its module normalises over a batch or a layer, or drops out.
    """

    streamed: ClassVar[bool] = False
    closed_loop: ClassVar[bool] = False
    normalised: ClassVar[bool] = False

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, C_out), or (B, T, C_out) for signals; a function of the seed alone."""
        raise NotImplementedError

    def rate_groups(self, module: nn.Module) -> Sequence[RateGroup]:
        """The module's parameters, each in one group, with their factors on the learning rate."""
        return [RateGroup(tuple(module.parameters()))]


class RateGroup(NamedTuple):
    """Parameters that learn at the same factor times the learning rate."""

    parameters: tuple[nn.Parameter, ...]
    factor: float = 1.0


def footing(rule: LearningRule, model: ModelConfig) -> Footing:
    """What a rule and a model together are granted."""
    if not isinstance(model, OfflineModel):
        return rule.footing
    return replace(rule.footing, streamed=rule.footing.streamed or model.streamed, normalised=model.normalised)


@dataclass(frozen=True)
class Pair:
    """One model on one task: an experiment, as a function of the budget, with the seeds that the paper used.

    Attributes:
        configure: returns the full configuration for a budget.
        seeds: the paper's, the first of which is the default.
        summary: one line for lists.
        notes: how the network or its recipe differs from the paper's text, and why.
        tried: how many other settings we know to have been tried on the task before these, or in their place; None:
            some, and nobody counted them. What the authors of a paper tried, whose settings these are, is unknown.
    """

    task: str
    model: str
    configure: Callable[[Budget], RunConfig]
    seeds: tuple[int, ...]
    summary: str
    notes: tuple[str, ...] = field(default=())
    tried: int | None = 0


__all__ = [
    "Batch",
    "Data",
    "Footing",
    "LearningRule",
    "Metric",
    "ModelConfig",
    "OfflineModel",
    "OnlineModel",
    "Pair",
    "Published",
    "RateGroup",
    "Setting",
    "Shape",
    "Split",
    "Stepwise",
    "Task",
    "TensorSplit",
    "footing",
]
