"""Backpropagation through time, in windows of K steps or over whole samples: the exact gradient inside a window."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from gle_bench.contracts import Footing, OnlineRule, RuleOptions
from gle_bench.dynamics.choices import BPTTOptions
from gle_bench.dynamics.rule import ERROR_TAUS

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.rule import RuleRequest
    from gle_bench.dynamics.seams import Seams, Signal
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.window import Learned, Window


class BPTT(OnlineRule):
    """Backpropagation through time: the exact gradient of a window of steps, or of a whole sample.

    A window starts from the final state of the window before, and no gradient flows back into that one. The gradient is
    computed backward in time by the discrete adjoint of the network's step (`dynamics.adjoint`); it equals autograd's
    up to rounding. A convolution's bias learns by the connection's own gradient, which is a mean over positions.

    Where errors move membranes (gamma), the rule is refused, unless it is `nudged`: it then leaves the path by which
    the target moves membranes out of the gradient.
    """

    name: ClassVar[str] = "bptt"
    engines: ClassVar[frozenset[str]] = frozenset({"torch", "native"})
    footing: ClassVar[Footing] = Footing(streamed=True)
    options: ClassVar[type[RuleOptions]] = BPTTOptions
    window: int | None = None
    lacks: frozenset[Signal] = ERROR_TAUS

    def with_options(self, chosen: RuleOptions) -> Self:
        rule = super().with_options(chosen)
        assert isinstance(chosen, BPTTOptions)
        rule.window = None if chosen.window == "sample" else chosen.window
        return rule

    @property
    def granted(self) -> Footing:
        """The footing under the chosen window: one shorter than a sample lets the rule learn while it streams in."""
        return self.footing if self.window is None else Footing(online=True, streamed=True, whole_sequence=False)

    def request_refusal(self, request: RuleRequest) -> str | None:
        from gle_bench.dynamics.adjoint import exact_refusal

        if self.window is not None and self.window > request.steps:
            return f"window = {self.window} is longer than a sample, which has {request.steps} steps; lower it"
        if 1 in (self.window, request.steps):
            return "window = 1 is too short, because a weight takes 2 steps to affect the cost; raise it"
        network = request.network
        if not self.chosen.nudged:
            return exact_refusal(network)
        if not any(layer.gamma for layer in network.layers):
            return "nudged = true moves membranes by gamma, which is 0 in every layer; leave it out"
        still = replace(network, layers=tuple(replace(layer, gamma=0.0) for layer in network.layers))
        return exact_refusal(still)

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        from gle_bench.dynamics.adjoint import exact_errors, mean_gradients
        from gle_bench.dynamics.tape import record
        from gle_bench.dynamics.window import Learned

        tape, state, outputs = record(network, parameters, state, window, seams, nudged=self.chosen.nudged)
        errors = exact_errors(network, parameters, tape, [block.slope for block in state], seams=seams)
        part = partial(mean_gradients, network, parameters, tape, errors)
        return Learned(state, part(), outputs, memory, part)
