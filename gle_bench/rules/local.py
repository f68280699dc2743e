"""Local learning rules: one update in each time step, from errors that are local in space and time.

A local rule is a combination of options (`gle_bench.dynamics.choices`) that select the equations of the network's step.
Each class below is one combination; `--set` makes others. A subclass with a `learn` of its own can still call the
network's step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gle_bench.contracts import Footing, OnlineRule, RuleOptions
from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.rule import ERROR_TAUS

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.rule import RuleRequest
    from gle_bench.dynamics.seams import Seams, Signal
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.window import Learned, Window


class LocalRule(OnlineRule):
    """A learning rule whose errors and updates are local in space and time, defined by its options."""

    engines: ClassVar[frozenset[str]] = frozenset({"torch", "native", "graph"})
    ordered: ClassVar[bool] = True
    footing: ClassVar[Footing] = Footing(
        online=True, streamed=True, local_in_space=True, local_in_time=True, whole_sequence=False
    )
    options: ClassVar[type[RuleOptions]] = LocalOptions

    @property
    def choices(self) -> LocalOptions:
        """The options of this rule."""
        chosen: LocalOptions = self.chosen
        return chosen

    @property
    def _own_memory(self) -> bool:
        """Whether a rule derived from this one starts with a memory of its own, of another form."""
        return type(self).start is not LocalRule.start

    @property
    def follows(self) -> bool:  # type: ignore[override]
        return self.choices.feedback == "kolen-pollack"

    @property
    def lacks(self) -> frozenset[Signal]:  # type: ignore[override]
        choices = self.choices
        if not choices.error_sent:  # what disturbs it has no effect
            return ERROR_TAUS | {"error"}
        return frozenset() if choices.error_filters else ERROR_TAUS

    def request_refusal(self, request: RuleRequest) -> str | None:
        from gle_bench.dynamics.network import unlike_dense

        choices, network = self.choices, request.network
        if network.ordered:
            simple = choices.sent in ("gle", "instantaneous") and choices.feedback in ("transpose", "random")
            if choices.own != "sent" or choices.delay != "none" or not simple:
                return (
                    f"integrator = '{network.integrator}' traverses the layers in order, and has sent = gle or "
                    "instantaneous, own = sent, feedback = transpose or random, and delay = none only; set these"
                )
        if choices.idle:
            return choices.idle
        learn = network.learn_tau_m or network.learn_tau_r
        if choices.own == "trace" and (learn or network.own_taus) and (other := unlike_dense(network)):
            what, cure = ("learn", "learn") if learn else ("are noisy", "be noisy")
            return (
                f"own = trace with time constants that {what} needs a trace for every weight, but {other} has none; "
                f"set own = sent, or let no time constant {cure}"
            )
        return None

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        from gle_bench.dynamics import local_memory

        return local_memory.flat(local_memory.start(network, parameters, self.choices, batch, seeds))

    def resume(
        self,
        network: Network,
        parameters: Parameters,
        memory: tuple[Tensor, ...],
        before: int,
        batch: int,
        seeds: tuple[int, ...],
    ) -> tuple[Tensor, ...]:
        from gle_bench.dynamics import local_memory

        if self._own_memory:
            return super().resume(network, parameters, memory, before, batch, seeds)
        kept = local_memory.nested(network, self.choices, memory)
        return local_memory.flat(local_memory.resumed(network, kept, batch))

    def restart(
        self, network: Network, parameters: Parameters, memory: tuple[Tensor, ...], batch: int, seeds: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """The memory with empty traces and delay lines, and with the same feedback weights, which may have learned."""
        from gle_bench.dynamics import local_memory

        begun = super().restart(network, parameters, memory, batch, seeds)
        if self._own_memory:
            return begun
        fresh, kept = (local_memory.nested(network, self.choices, tensors) for tensors in (begun, memory))
        return local_memory.flat(tuple(new._replace(back=old.back) for new, old in zip(fresh, kept, strict=True)))

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        from gle_bench.dynamics import local_memory
        from gle_bench.dynamics.ordered_step import advance
        from gle_bench.dynamics.window import Learned

        ensemble = state[0].u.shape[1]
        result = advance(
            network,
            parameters,
            state,
            window.at(0, ensemble),
            lambda output: window.at(1, ensemble),
            seams=seams,
            options=self.choices,
            memory=local_memory.nested(network, self.choices, memory),
        )
        output = result.signals.output[:, :, None]
        return Learned(result.state, result.gradients, output, local_memory.flat(result.memory))

    def follow(
        self, network: Network, before: Parameters, parameters: Parameters, memory: tuple[Tensor, ...], rates: Tensor
    ) -> tuple[Tensor, ...]:
        """The memory after an update: B has moved as the optimizer moved W, whose gradient it shares; both decay."""
        from gle_bench.dynamics import local_memory

        kept = local_memory.nested(network, self.choices, memory)
        return local_memory.flat(local_memory.aligned(network, self.choices, before, parameters, kept, rates))


class Instantaneous(LocalRule):
    """Backpropagation at every moment: each layer learns by its instantaneous error, without a filter in time."""

    name: ClassVar[str] = "instantaneous"
    options = LocalOptions.with_defaults(sent="instantaneous")


class GLEEligibility(LocalRule):
    """GLE with eligibility traces: a neuron's own update filters the presynaptic rates in time, not the error."""

    name: ClassVar[str] = "gle-e"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(own="trace")


class EProp(LocalRule):
    """e-prop (Bellec 2020): instantaneous errors and eligibility traces, which is SnAp-1 in every layer."""

    name: ClassVar[str] = "eprop"
    options = LocalOptions.with_defaults(sent="instantaneous", own="trace")


class GLEFull(LocalRule):
    """GLE with delay lines: rates and slopes phi' are delayed until the error that they caused arrives."""

    name: ClassVar[str] = "gle-full"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(delay="full")


class InstantaneousFull(LocalRule):
    """`instantaneous` with delay lines: rates and slopes phi' are delayed until the error that they caused arrives."""

    name: ClassVar[str] = "instantaneous-full"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(sent="instantaneous", delay="full")


class GLEEligibilityFull(LocalRule):
    """`gle-e` with delay lines: traces and slopes phi' are delayed until the error that they caused arrives."""

    name: ClassVar[str] = "gle-e-full"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(own="trace", delay="full")


class EPropFull(LocalRule):
    """e-prop with delay lines: its gradient of a layer is exact if all layers above have tau_m = tau_r."""

    name: ClassVar[str] = "eprop-full"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(sent="instantaneous", own="trace", delay="full")


class GLEGain(LocalRule):
    """GLE with a gain in every error neuron, which makes its error the least-squares estimate of the adjoint."""

    name: ClassVar[str] = "gle-gain"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(sent="gain")


class GLELowpass(LocalRule):
    """GLE with a synaptic low-pass filter on every error that is sent to the layer below."""

    name: ClassVar[str] = "gle-lowpass"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(sent="lowpass")


class GLEClipped(LocalRule):
    """GLE with error neurons that saturate: an error is clipped to a fixed range."""

    name: ClassVar[str] = "gle-clipped"
    derived: ClassVar[bool] = True
    options = LocalOptions.with_defaults(sent="clipped")


class RFLO(LocalRule):
    """RFLO (Murray 2019): eligibility traces, and the output's error sent to every layer by fixed random weights."""

    name: ClassVar[str] = "rflo"
    options = LocalOptions.with_defaults(sent="instantaneous", own="trace", feedback="broadcast")


class GLEFeedbackAlignment(LocalRule):
    """GLE with feedback alignment (Lillicrap 2016): fixed random weights instead of W^T carry the errors down."""

    name: ClassVar[str] = "gle-fa"
    options = LocalOptions.with_defaults(feedback="random")


class GLEKolenPollack(LocalRule):
    """GLE with feedback weights that learn to equal W^T, by W's gradient and decay (Kolen and Pollack 1994)."""

    name: ClassVar[str] = "gle-kp"
    options = LocalOptions.with_defaults(feedback="kolen-pollack")
