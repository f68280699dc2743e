"""The interface of a task: its data, its loss, its metric and its protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from typing_extensions import TypeVar

from gle_bench.config import ModelConfig, RunConfig, TaskOptions
from gle_bench.contracts.data import Batch, Data, Shape
from gle_bench.contracts.results import Metric, Published, Setting
from gle_bench.errors import UsageError
from gle_bench.words import Protocol, StateReset

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.engines.interface import Feedback
    from gle_bench.words import Loss


Options = TypeVar("Options", bound=TaskOptions, default=Any)


class Task(Generic[Options]):
    """A data set with its protocol, loss and metric. A task is a subclass that the registry or an entry point names.

    `Options` is the type of the task's data options. The attribute `options` holds this class, and the configuration of
    each of the task's pairs holds an instance. The default methods are those of a task that classifies sequences; see
    `decide` and `measure`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1  # raised when what the task computes changes
    metric: ClassVar[Metric] = Metric("accuracy", "%")
    loss: ClassVar[Loss] = "ce"
    options: ClassVar[type[TaskOptions]] = TaskOptions
    published: ClassVar[tuple[Published, ...]] = ()
    setup: ClassVar[tuple[Setting, ...]] = ()  # the paper's training settings, shown beside ours
    stream: ClassVar[bool] = False  # True: samples are chunks of one unbroken signal, seen in order, state carried on
    streams: ClassVar[int] = 1  # signals side by side of a `stream`: a batch is the next chunk of each
    reset: ClassVar[StateReset] = "never"  # when the state of an online model starts at zero
    data_per_seed: ClassVar[bool] = False  # True: `load` is called with each seed; False: once, with None
    downloads: ClassVar[bool] = False  # True: `prepare` downloads files, so that a preview does not call it
    alike: ClassVar[tuple[int, ...]] = ()  # classes whose samples may all be identical, such as silence
    notes: ClassVar[tuple[str, ...]] = ()  # remarks shown by `glebench show` and in the footnotes of tables
    traced: ClassVar[tuple[int, ...]] = ()  # rounds whose evaluated outputs are kept, besides those of the last one

    def learned_by(self, model: ModelConfig) -> Task[Options]:
        """The task with the loss that the model learns by: the model's own loss if it has one, else the task's.

        Raises:
            UsageError: the model's loss is cross-entropy, and the task has no classes.
        """
        if model.loss is None or model.loss == self.loss:
            return self
        if self.loss == "mse":
            raise UsageError(f"loss = {model.loss} needs classes, and {self.name} has signals; leave it at null.")
        learned = copy(self)
        vars(learned)["loss"] = model.loss  # of this copy alone: a class attribute, to which nothing else is assigned
        return learned

    def shape(self, options: Options) -> Shape:
        """The shape of the task's samples under these data options, which models must fit."""
        raise NotImplementedError

    def describe(self, config: RunConfig) -> Mapping[str, str]:
        """The training settings of a configuration under the names of `setup`: {name of the setting: as printed}."""
        return {}

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        """The number of samples of each split of the official data; empty if it is known only after loading."""
        return {}

    def prepare(self, folder: Path, options: Options, report: Callable[[str], None]) -> None:
        """Downloads or generates the data into the task's own `folder`, unless they are there already.

        Raises:
            GleBenchError: the data cannot be obtained; the text says where to put them by hand.
        """

    def by_hand(self, folder: Path) -> str:
        """How to put the data into `folder` by hand, as the end of a sentence; empty if that is impossible."""
        return ""

    def is_prepared(self, folder: Path, options: Options) -> bool:
        """Whether the data are in `folder`, so that `load` can read them."""
        return True

    def load(self, folder: Path, options: Options, protocol: Protocol, seed: int | None) -> Data:
        """The data under a protocol: splits 'train', 'validation' and 'test' for `clean`, the paper's own for `paper`.

        Raises:
            GleBenchError: missing or corrupt data, with the path and the cure.
        """
        raise NotImplementedError

    def evaluation_split(self, protocol: Protocol) -> str:
        """The name of the split that is evaluated during training and whose metric learning-rate schedulers use."""
        return "validation"

    def idle(self, options: Options) -> int:
        """The steps at the start of training in which an online model runs, and is nudged, but does not learn."""
        return 0

    def targets(self, batch: Batch, outputs: int) -> Tensor:
        """The target rates of an online model, (S|1, B, T|1, C): signals unchanged, classes in one-hot form."""
        if batch.targets.dim() == 2:
            from torch import nn

            return nn.functional.one_hot(batch.targets, outputs).to(batch.inputs.dtype)[:, :, None]
        return batch.targets

    def feedback(self, options: Options) -> Feedback | None:
        """The function that makes each step's input from earlier outputs in evaluation; None: the loop stays open."""
        return None

    def decide(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The model's answers from its outputs (S, B, T, C): logits summed over time, (S, B, C), or the signals."""
        return outputs.sum(2) if batch.targets.dim() == 2 else outputs

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of each sample, (S, B), averaged over the time steps that the mask selects.

        That is the cross-entropy of each step's softmax (Eq. 53), or half the summed squared error (Eq. 51).
        """
        targets = self.targets(batch, outputs.shape[-1])
        if self.loss == "ce":
            return mean_over_time(cross_entropy(outputs, targets), batch.mask)
        return mean_over_time((targets - outputs).square().sum(-1) / 2, batch.mask)

    def measure(self, decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The metrics of each sample, {name: (S, B)}. Their means over a split are reported."""
        if batch.targets.dim() == 2:
            return {"accuracy": 100.0 * (decisions.argmax(-1) == batch.targets).double()}
        return {"mse": mean_over_time((decisions - batch.targets).square().mean(-1), batch.mask)}


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy, -log softmax of the target class, from logits (..., C) and one-hot targets: (...).

    It is written out here, because torch's log_softmax along so short a dimension takes ten times as long, which is as
    long as the networks themselves take.
    """
    import torch

    top = reduce(torch.maximum, logits.detach().unbind(-1))  # cancels in the gradient
    total = (logits - top[..., None]).exp().sum(-1).log() + top
    return total - (targets * logits).sum(-1)


LEAST_RELATIVE: Final = 1e-20  # of a squared error, so that its logarithm is finite: -200 dB


def signal_errors(decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The mean squared error of signals, and `error`: its ratio to the variance of the sample's target, in dB."""
    squared = mean_over_time((decisions - batch.targets).square().mean(-1), batch.mask)
    variance = batch.targets.double().var((-2, -1), correction=0).clamp_min(LEAST_RELATIVE)
    return {"error": 10 * (squared.double() / variance).clamp_min(LEAST_RELATIVE).log10(), "mse": squared}


def mean_over_time(values: Tensor, mask: Tensor | None) -> Tensor:
    """The means over the time steps that the mask (S|1, B, T|1) selects: (S, B, T) -> (S, B)."""
    if mask is None:
        return values.mean(-1)
    weight = mask.expand_as(values)
    return (values * weight).sum(-1) / weight.sum(-1).clamp_min(1)
