"""What a task is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

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
    """A data set with its protocol: a subclass in one file, named in the registry or as an entry point.

    `Options` is the type of what can be chosen about its data: `options` holds the class itself, and every pair of the
    task configures an instance of it. The defaults are those of a classification of sequences; see `decide` and
    `measure`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1  # raised when what the task computes changes
    metric: ClassVar[Metric] = Metric("accuracy", "%")
    loss: ClassVar[Loss] = "ce"
    options: ClassVar[type[TaskOptions]] = TaskOptions
    published: ClassVar[tuple[Published, ...]] = ()
    setup: ClassVar[tuple[Setting, ...]] = ()  # the paper's, which its table sets beside ours
    stream: ClassVar[bool] = False  # True: samples are chunks of one unbroken signal, seen in order, state carried on
    reset: ClassVar[StateReset] = "never"  # when the state of an online model starts at zero
    data_per_seed: ClassVar[bool] = False  # True: `load` is called with each seed, else once with None
    downloads: ClassVar[bool] = False  # True: `prepare` goes to the network, which a preview does not
    alike: ClassVar[tuple[int, ...]] = ()  # classes of which all samples may be one and the same, such as silence
    notes: ClassVar[tuple[str, ...]] = ()  # what `glebench show` and the tables' footnotes say
    traced: ClassVar[tuple[int, ...]] = ()  # rounds after which the evaluated outputs are kept, as after the last

    def learned_by(self, model: ModelConfig) -> Task[Options]:
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

    def shape(self, options: Options) -> Shape:
        """What models must fit."""
        raise NotImplementedError

    def describe(self, config: RunConfig) -> Mapping[str, str]:
        """What `setup` lists, but the parameters, as a configuration has it: {name of the setting: as printed}."""
        return {}

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        """How many samples each split of the official data has under a configuration; empty: not known beforehand."""
        return {}

    def prepare(self, folder: Path, options: Options, report: Callable[[str], None]) -> None:
        """Gets or makes the data under `folder` (the task's own), if it is not there yet.

        Raises:
            GleBenchError: if it cannot be had; the text says where to put it by hand.
        """

    def by_hand(self, folder: Path) -> str:
        """How to put the data under `folder` without `prepare`, as the end of a sentence; empty: there is no way."""
        return ""

    def is_prepared(self, folder: Path, options: Options) -> bool:
        """Whether `load` would find its data."""
        return True

    def load(self, folder: Path, options: Options, protocol: Protocol, seed: int | None) -> Data:
        """The splits under a protocol. `clean` has 'train', 'validation' and 'test'; `paper` what the paper had.

        Raises:
            GleBenchError: missing or corrupt data, with the path and the cure.
        """
        raise NotImplementedError

    def evaluation_split(self, protocol: Protocol) -> str:
        """The split that is evaluated while training, and that schedulers see."""
        return "validation"

    def targets(self, batch: Batch, outputs: int) -> Tensor:
        """Target rates (S|1, B, T|1, C) of an online model: signals as they are, classes as one-hot."""
        if batch.targets.dim() == 2:
            from torch import nn

            return nn.functional.one_hot(batch.targets, outputs).to(batch.inputs.dtype)[:, :, None]
        return batch.targets

    def feedback(self, options: Options) -> Feedback | None:
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
