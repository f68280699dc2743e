"""What a model is: a family of networks, and a pair of one with a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from gle_bench.config import ModelConfig, RunConfig
from gle_bench.contracts.data import Shape
from gle_bench.dynamics.rule import Footing, LearningRule
from gle_bench.words import Budget

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss


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
        return rule.granted
    return replace(rule.granted, streamed=rule.granted.streamed or model.streamed, normalised=model.normalised)


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
