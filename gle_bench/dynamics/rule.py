"""What a learning rule is, and what it is granted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.engines.interface import Learned, Window
    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.seams import Seams
    from gle_bench.dynamics.state import Parameters, State


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
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        """Runs the network over the window. Gradients are batch means; descending along them learns.

        `seams` watch and disturb the run, as of the window's first step: `step` of the window's step t is given
        `seams.at(t)`.

        It is called without autograd: a rule that differentiates says `torch.enable_grad()` itself.
        """
        raise NotImplementedError(f"rule '{self.name}' leaves gradients to autograd")
