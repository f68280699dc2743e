"""The interfaces of models: families of networks that learn online or offline, and pairs of a model with a task."""

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
    """A family of GLE networks, which learning rules can train step by step; its fields are the hyper-parameters."""

    def network(self, shape: Shape, loss: Loss) -> Network:
        """The network for a task whose samples have this shape."""
        raise NotImplementedError

    def initialise(self, network: Network, seed: int) -> Parameters:
        """The initial parameters of one network (S = 1), in float32. They depend on the seed alone."""
        raise NotImplementedError

    def learned_parameters(self, shape: Shape) -> int | None:
        """The number of learned parameters, if it is known without PyTorch; None: it is counted in a network."""
        return None

    def named(self, network: Network, parameters: Parameters) -> dict[str, Tensor]:
        """The parameters that the history follows, by their names there, (S,) each; for small networks."""
        return {}


class Stepwise(Protocol):
    """A module that can also run one time step at a time, so that its outputs can become its next inputs.

    The modules of an `OfflineModel` with `closed_loop` are of this kind. Their steps together compute what `forward`
    computes.
    """

    def start(self, batch: int) -> Tensor | tuple[Tensor, ...]:
        """The module's memory (hidden state) before the first time step, for a batch of this size."""
        ...

    def step(self, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """One time step: inputs (B, C_in) and the old memory -> outputs (B, C_out) and the new memory."""
        ...


class Traced(Protocol):
    """A module that can also learn by eligibility traces, in recurrent layers whose memory is diagonal.

    The modules of an `OfflineModel` with `traces` are of this kind.
    """

    def traced(self, inputs: Tensor) -> Tensor:
        """The outputs of `forward`, through which autograd gives the gradient that eligibility traces give.

        A recurrent layer's own parameters get the gradient through all of its memory. What lies below the layer gets
        only that through its present input: the gradient through the memory of earlier inputs is left out.
        """
        ...


class OfflineModel(ModelConfig):
    """A family of networks that read whole sequences and learn by autograd or in closed form.

    Its fields are the hyper-parameters. `streamed` is True if the network reads one time step after the other, like a
    recurrent network, although it answers and learns at the end. `closed_loop` is True if its module fulfils
    `Stepwise`. `normalised` is True if its module normalises over a batch or a layer, or uses dropout. `traces` is
    True if its module fulfils `Traced`.
    """

    streamed: ClassVar[bool] = False
    closed_loop: ClassVar[bool] = False
    normalised: ClassVar[bool] = False
    traces: ClassVar[bool] = False

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A new module (B, T, C_in) -> (B, C_out), or (B, T, C_out) for signals; weights depend on the seed alone."""
        raise NotImplementedError

    def learned_parameters(self, shape: Shape) -> int | None:
        """The number of learned parameters of its module; None: it is counted in a module that is built.

        A model overrides it whose modules take long to build.
        """
        return None

    def rate_groups(self, module: nn.Module) -> Sequence[RateGroup]:
        """The groups into which the module's parameters are divided, each with its factor on the learning rate."""
        return [RateGroup(tuple(module.parameters()))]


class RateGroup(NamedTuple):
    """A group of parameters that share one factor on the learning rate."""

    parameters: tuple[nn.Parameter, ...]
    factor: float = 1.0


def footing(rule: LearningRule, model: ModelConfig) -> Footing:
    """The footing of a rule together with a model: the advantages that the two use in training."""
    if not isinstance(model, OfflineModel):
        return rule.granted
    return replace(rule.granted, streamed=rule.granted.streamed or model.streamed, normalised=model.normalised)


@dataclass(frozen=True)
class Refused:
    """Models that do not suit some tasks, and why; a module with `PAIRS` lists them in `REFUSED`.

    Attributes:
        models: the names of the models.
        reason: the reason, as a clause without a full stop ("it predicts a signal").
        tasks: the names of the tasks; None: every task with which the models have no pair.
    """

    models: tuple[str, ...]
    reason: str
    tasks: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pair:
    """A model on a task, with the function that configures the experiment and the seeds that the paper used.

    Attributes:
        configure: returns the full configuration for a budget.
        seeds: the seeds of the paper; the first one is the default.
        summary: a description of one line, for lists.
        notes: how the network or its recipe differs from the paper's text, and why.
        tried: the number of other settings that are known to have been tried on the task before these were chosen;
            None: some were tried, and nobody counted them. Trials by the authors of a paper are not known.
    """

    task: str
    model: str
    configure: Callable[[Budget], RunConfig]
    seeds: tuple[int, ...]
    summary: str
    notes: tuple[str, ...] = field(default=())
    tried: int | None = 0
