"""The interfaces of learning rules: online rules, gradient rules and closed-form rules; and the footing of a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

from gle_bench.config import ModelConfig, RuleOptions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.seams import Seams, Signal
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.window import Learned, Window


@dataclass(frozen=True)
class Footing:
    """The advantages that a method uses, such as whole sequences: the equal-footing columns of a leaderboard."""

    online: bool = False  # parameters change while the sample is still streaming in
    streamed: bool = False  # sees one time step after the other, not the sequence as an image
    local_in_space: bool = False
    local_in_time: bool = False
    whole_sequence: bool = True  # learns, or answers, only once the whole sequence is there
    normalised: bool = False  # normalises over a batch or a layer, or drops out


ERROR_TAUS: Final[frozenset[Signal]] = frozenset({"error_tau_m", "error_tau_r"})
ERRORS: Final[frozenset[Signal]] = ERROR_TAUS | {"feedback", "instantaneous", "error"}


class LearningRule(ABC):
    """A rule by which a network's parameters are updated. Each rule is of one of the three kinds below.

    Attributes:
        name: the name on the command line.
        version: a number that is raised when the rule's results change.
        footing: the advantages that the rule uses.
        derived: whether the rule was derived in this project and is in no paper; lists and tables say so.
        options: the type of the rule's options, all of which have defaults.
        passes: how often learning from a step goes through each weight, for the operations that tables count; None:
            not a fixed number of times.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    footing: ClassVar[Footing] = Footing()
    derived: ClassVar[bool] = False
    options: ClassVar[type[RuleOptions]] = RuleOptions
    passes: ClassVar[int | None] = 3  # for the output, for the error, and for the gradient

    @cached_property
    def chosen(self) -> Any:
        """The values of the rule's options, an instance of `options`: the defaults unless `with_options` set them."""
        return self.options()

    def with_options(self, chosen: RuleOptions) -> Self:
        """A copy of the rule with these options."""
        rule = copy(self)
        rule.chosen = chosen
        return rule

    @property
    def granted(self) -> Footing:
        """The footing of the rule under its chosen options."""
        return self.footing

    def refusal(self, model: ModelConfig) -> str | None:
        """The reason why the rule cannot train a model, as a clause ("it has layers without weights"); None: it can.

        It is called only for models of the rule's own kind: online, by gradients, or in closed form.
        """
        return None


class RuleRequest(NamedTuple):
    """The network and the sizes of the data that an online rule would train, as known before an experiment starts."""

    network: Network
    steps: int  # time steps of a sample
    batch: int  # samples of a batch
    members: int  # networks of the ensemble
    itemsize: int  # bytes of a number


class OnlineRule(LearningRule):
    """A rule for GLE networks that learns from windows of time steps: it returns the gradients for one update each.

    Attributes:
        engines: the engines that can run it; 'torch' can run every rule. A subclass that overrides how the rule learns,
            starts or cuts windows has 'torch' only, unless it names others itself.
        ordered: whether it can train networks whose layers are computed in order, without delays.
        window: the number of time steps that it sees at once; None: a whole sample. There is one update per window.
        lacks: the signals that its steps do not have or do not use, so that disturbing them has no effect.
        follows: whether its memory follows each update of the parameters, by `follow`.
    """

    engines: ClassVar[frozenset[str]] = frozenset({"torch"})
    ordered: ClassVar[bool] = False
    window: int | None = 1
    lacks: frozenset[Signal] = frozenset()
    follows: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "engines" not in vars(cls) and {"start", "learn", "window", "resume", "follow"} & vars(cls).keys():
            cls.engines = frozenset({"torch"})

    def window_in(self, steps: int) -> int:
        """The number of time steps of a window, in samples of `steps` steps."""
        return self.window or steps

    def request_refusal(self, request: RuleRequest) -> str | None:
        """The reason why the rule cannot train the network of a request, as a clause with the cure; None: it can.

        A rule overrides it; `refused` asks it once, before the run writes anything.
        """
        return None

    def refused(self, request: RuleRequest) -> str | None:
        """The reason of `request_refusal`, or else that the rule is not for layers that are computed in order."""
        if reason := self.request_refusal(request):
            return reason
        network = request.network
        if network.ordered and not self.ordered:
            # A rule that runs the network by itself calls `step`, which refuses it, but in its first batch only.
            return f"it does not support integrator = '{network.integrator}'; choose 'euler', or rule 'gle'"
        return None

    def seams_refusal(self, seams: Seams) -> str | None:
        """The reason why the rule cannot learn under these disturbances, as a clause with the cure; None: it can."""
        for disturbance in seams.disturbances:
            if absent := sorted(disturbance.signals & self.lacks):
                kind = disturbance.kind or type(disturbance).__name__
                return f"{kind} changes {' and '.join(absent)}, which its steps do not use; {disturbance.cure}"
        return None

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The rule's memory before its first window, such as eligibility traces: tensors (S, ...).

        `seeds` are those of the S members in their order; empty if the caller of the engine gave none. A member's
        memory must depend on its own seed only, so that it learns as it would without the other members.
        """
        return ()

    def resume(
        self,
        network: Network,
        parameters: Parameters,
        memory: tuple[Tensor, ...],
        before: int,
        batch: int,
        seeds: tuple[int, ...],
    ) -> tuple[Tensor, ...]:
        """The rule's memory at the start of a batch, made from the memory after the last batch, of size `before`.

        By default the memory is kept if the size is the same; otherwise it starts anew.
        """
        return memory if before == batch else self.start(network, parameters, batch, seeds)

    def restart(
        self, network: Network, parameters: Parameters, memory: tuple[Tensor, ...], batch: int, seeds: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """The rule's memory where the network's state is reset to zero between samples: the one that it starts from."""
        return self.start(network, parameters, batch, seeds)

    def follow(
        self,
        network: Network,
        before: Parameters,
        parameters: Parameters,
        memory: tuple[Tensor, ...],
        rates: Tensor,
    ) -> tuple[Tensor, ...]:
        """The rule's memory after an update of the parameters; called if `follows` is true.

        Args:
            before, parameters: the parameters before and after the update. The latter may be changed in place.
            rates: the learning rate of each member, (S,).
        """
        return memory

    @abstractmethod
    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        """Runs the network over the window; returns gradients for descent, which are means over batch and steps.

        `seams` are the observers and disturbances as of the window's first step; step t of the window uses
        `seams.at(t)`.

        It is called without autograd: a rule that differentiates uses `torch.enable_grad()` itself.
        """


class GradientRule(LearningRule):
    """A rule for offline models that learn by autograd, from the gradient of a whole sample's loss."""

    def outputs(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """The outputs that the rule learns from, (B, T, C_in) -> (B, C_out) or (B, T, C_out).

        Autograd differentiates their loss, through all that the module computes unless a rule overrides this. Their
        values are those of `module(inputs)`; a rule may only choose through what gradients flow.
        """
        outputs: Tensor = module(inputs)
        return outputs


class ClosedFormRule(LearningRule):
    """A rule for offline models whose linear readout is fitted in closed form to all samples (`models.readout`)."""

    passes: ClassVar[int | None] = None
