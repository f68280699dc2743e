"""Learning rules: the three kinds, what each promises, and what a method is granted (its footing)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

from gle_bench.config import ModelConfig, RuleOptions

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.seams import Seams, Signal
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.window import Learned, Window


@dataclass(frozen=True)
class Footing:
    """What a method is granted: the equal-footing columns of a board."""

    online: bool = False  # parameters change while the sample is still streaming in
    streamed: bool = False  # sees one time step after the other, not the sequence as an image
    local_in_space: bool = False
    local_in_time: bool = False
    whole_sequence: bool = True  # learns, or answers, only once the whole sequence is there
    normalised: bool = False  # normalises over a batch or a layer, or drops out


ERROR_TAUS: Final[frozenset[Signal]] = frozenset({"error_tau_m", "error_tau_r"})
ERRORS: Final[frozenset[Signal]] = ERROR_TAUS | {"feedback", "instantaneous", "error"}


class LearningRule(ABC):
    """A rule by which a network's parameters are updated, of one of the three kinds below.

    Attributes:
        name: as on the command line.
        version: raised when what the rule computes changes.
        footing: what the rule is granted.
        derived: whether the rule is a derivation of this project, and in no paper; lists and tables say so.
        options: the type of what can be chosen about the rule, all of it with defaults.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    footing: ClassVar[Footing] = Footing()
    derived: ClassVar[bool] = False
    options: ClassVar[type[RuleOptions]] = RuleOptions

    @cached_property
    def chosen(self) -> Any:
        """What was chosen, of the type `options`; its defaults, unless the rule is made by `with_options`."""
        return self.options()

    def with_options(self, chosen: RuleOptions) -> Self:
        """The same rule with these options."""
        rule = copy(self)
        rule.chosen = chosen
        return rule

    @property
    def granted(self) -> Footing:
        """What the rule is granted with the options that were chosen."""
        return self.footing

    def refusal(self, model: ModelConfig) -> str | None:
        """Why the rule cannot train that model, as a clause ("it has layers without weights"); None: it can.

        It is asked for models that learn in the rule's way only: online, by gradients, or in closed form.
        """
        return None


class RuleRequest(NamedTuple):
    """What an online rule is asked to train, as an experiment knows it before it starts."""

    network: Network
    steps: int  # time steps of a sample
    batch: int  # samples of a batch
    members: int  # networks that learn side by side
    itemsize: int  # bytes of a number


class OnlineRule(LearningRule):
    """A rule that sees a window of time steps and returns gradients, while the sample is still streaming in.

    Attributes:
        engines: those that can run it; 'torch' can run everything. A subclass that learns, starts or cuts windows in a
            way of its own is back at 'torch' alone, until it names others itself.
        ordered: whether it can learn in networks whose layers are traversed in order, without delays.
        window: time steps that it sees at once, None for those of a whole sample; there is one update a window.
        lacks: the signals that its steps do not have or do not use, so that no disturbance of them has an effect.
        follows: whether it wants to see each update of the parameters, by `follow`.
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
        """Time steps of a window in a sample of that many steps."""
        return self.window or steps

    def request_refusal(self, request: RuleRequest) -> str | None:
        """Why the rule cannot train that network on such samples, as a clause that ends with the cure; None: it can.

        It is asked once, before anything is written.
        """
        network = request.network
        if network.ordered and not self.ordered:
            # A rule that runs the network by itself calls `step`, which refuses it, but in its first batch only.
            return f"it knows no integrator = '{network.integrator}', but 'euler' only; choose that, or rule 'gle'"
        return None

    def seams_refusal(self, seams: Seams) -> str | None:
        """Why the rule cannot learn under these disturbances, as a clause that ends with the cure; None: it can."""
        for disturbance in seams.disturbances:
            if absent := sorted(disturbance.signals & self.lacks):
                kind = type(disturbance).__name__
                return f"{kind} changes {' and '.join(absent)}, which its steps do not use; {disturbance.cure}"
        return None

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The rule's memory before its first window (eligibility traces, say), each tensor (S, ...).

        `seeds` are those of the S members, in their order; empty where the engine's caller named none. A member's
        memory depends on its own seed alone, so that it learns as it would without the others.
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
        """The rule's memory at the start of a batch, from that after the last one, whose size was `before`.

        A rule begins anew where the size has changed, unless it knows better.
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
        """The rule's memory after an update; called where `follows` is true.

        Args:
            before, parameters: of before the update and after it. The latter may be changed in place.
            rates: learning rate of each member, (S,).
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
        """Runs the network over the window. Gradients are means over the batch and the steps; descending them learns.

        `seams` watch and disturb the run, as of the window's first step: `step` of the window's step t is given
        `seams.at(t)`.

        It is called without autograd: a rule that differentiates says `torch.enable_grad()` itself.
        """


class GradientRule(LearningRule):
    """A rule that leaves a whole sample to autograd: an offline model is trained by the gradient of its loss."""


class ClosedFormRule(LearningRule):
    """A rule that solves for a linear readout in closed form (`models.readout`), from all samples seen."""
