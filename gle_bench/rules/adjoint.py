"""The adjoint method as a learning rule: exact over a whole sample, or with errors that look K steps ahead."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from gle_bench.contracts import Footing, OnlineRule, RuleOptions
from gle_bench.dynamics.choices import AdjointOptions
from gle_bench.dynamics.rule import ERROR_TAUS, ERRORS

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.rule import RuleRequest
    from gle_bench.dynamics.seams import Seams, Signal
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.tape import Recorded
    from gle_bench.dynamics.window import Learned, Window


class Adjoint(OnlineRule):
    """The adjoint method: exact gradients by errors that are integrated backward in time.

    The errors are those of the stationary point of the paper's energy, summed over time, in the limit of weak nudging.

    By default there is one update for each sample, at its end. With a `lookahead` of K steps there is one update at
    every step. It descends the gradient of the costs up to this step by the effect that the parameters had K steps ago;
    in the discrete scheme, the steps that rates take from the layer to the output are added to K. With K = 0 only the
    direct effect on the output counts. With K as long as the sample the gradient is exact, if the network runs on for K
    steps after the sample. Where the state is reset between samples, effects not yet learned are lost.

    The method and the paper's form of it are published. A preprint states that the adjoint method is the general case
    of a variational formulation (arXiv 2603.09600, abstract); its local equations are not public. The look-ahead is
    derived here, and so is the proof that the exact discrete adjoint is the stationary point of the energy summed over
    steps (facts/rules.md, section 6).
    """

    name: ClassVar[str] = "adjoint"
    footing: ClassVar[Footing] = Footing(streamed=True)
    options: ClassVar[type[RuleOptions]] = AdjointOptions
    passes: ClassVar[int | None] = None  # with a look-ahead, the errors of a step are computed many times
    window: int | None = None
    lacks: frozenset[Signal] = ERROR_TAUS

    def with_options(self, chosen: RuleOptions) -> Self:
        rule = super().with_options(chosen)
        assert isinstance(chosen, AdjointOptions)
        rule.window = None if chosen.lookahead == "sample" else 1
        rule.lacks = ERROR_TAUS if rule.window is None else ERRORS  # a step's errors are made anew in each later one
        return rule

    @property
    def granted(self) -> Footing:
        """The footing under the chosen look-ahead: a finite one lets the rule learn while the sample streams in."""
        return self.footing if self.window is None else Footing(online=True, streamed=True, whole_sequence=False)

    def request_refusal(self, request: RuleRequest) -> str | None:
        from gle_bench.dynamics.adjoint import exact_refusal

        ahead = self.chosen.lookahead
        if ahead != "sample" and ahead > request.steps:
            return f"lookahead = {ahead} is longer than a sample, which has {request.steps} steps; lower it"
        return exact_refusal(request.network)

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        from gle_bench.dynamics.tape import empty_slide

        return () if self.window is None else empty_slide(network, parameters, batch, self._reach(network))

    def _reach(self, network: Network) -> int:
        """The number of steps on the sliding tape, the present step included."""
        delay = len(network.layers) if self.chosen.scheme == "discrete" else 0
        steps: int = self.chosen.lookahead + delay + 1
        return steps

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        from gle_bench.dynamics.tape import record

        recorded = record(network, parameters, state, window, seams)
        if self.window is None:
            return self._whole(network, parameters, recorded, seams)
        return self._ahead(network, parameters, recorded, memory)

    def _whole(self, network: Network, parameters: Parameters, recorded: Recorded, seams: Seams) -> Learned:
        """The gradients of a whole sample, computed backward in time from its end."""
        from gle_bench.dynamics.adjoint import exact_errors, mean_gradients, paper_errors
        from gle_bench.dynamics.window import Learned

        tape, state, outputs = recorded
        if self.chosen.scheme == "paper":
            errors = paper_errors(network, parameters, tape, seams)
        else:
            errors = exact_errors(network, parameters, tape, [block.slope for block in state], seams=seams)
        part = partial(mean_gradients, network, parameters, tape, errors)
        return Learned(state, part(), outputs, part=part)

    def _ahead(
        self, network: Network, parameters: Parameters, recorded: Recorded, memory: tuple[Tensor, ...]
    ) -> Learned:
        """The gradients of one past step, by errors computed backward in time from the present step."""
        from gle_bench.dynamics.adjoint import exact_errors, mean_gradients, one_step, paper_errors
        from gle_bench.dynamics.tape import first_steps, slide, tape_of
        from gle_bench.dynamics.window import Learned

        memory = slide(memory, recorded.tape)
        tape, there = tape_of(network, memory)
        discrete = self.chosen.scheme == "discrete"
        if discrete:  # of the present step, only the cost and the slopes are known
            slopes, nudging = [block.slopes[:, :, -1] for block in tape.blocks], tape.nudging[:, -1]
            tape = first_steps(tape, tape.steps - 1)
            errors = exact_errors(network, parameters, tape, slopes, nudging)
        else:
            errors = paper_errors(network, parameters, tape)
        gradients = mean_gradients(network, parameters, *one_step(network, tape, errors, there, staggered=discrete))
        return Learned(recorded.state, gradients, recorded.outputs, memory)
