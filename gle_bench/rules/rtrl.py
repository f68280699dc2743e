"""Real-time recurrent learning: the exact gradient, carried forward in time; for small networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from gle_bench.contracts import Footing, OnlineRule
from gle_bench.dynamics.rule import ERRORS

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.rule import RuleRequest
    from gle_bench.dynamics.seams import Seams, Signal
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.window import Learned, Window

LIMIT: Final = 2**30  # bytes that a run's influence may take; a step needs about as much again


class RTRL(OnlineRule):
    """Real-time recurrent learning, for small networks: the exact gradient of each step's cost, at that step.

    The rule carries the influence of every parameter on the state (`dynamics.influence`). With frozen weights the sum
    over a sample is the exact gradient. When the weights change at every step, the influence is approximate, because
    older contributions were computed with older weights.
    """

    name: ClassVar[str] = "rtrl"
    footing: ClassVar[Footing] = Footing(online=True, streamed=True, local_in_time=True, whole_sequence=False)
    passes: ClassVar[int | None] = None  # the influence is multiplied by every weight, too
    lacks: frozenset[Signal] = ERRORS

    def depth(self, network: Network) -> int:
        """The number of upper layers, counted from the output layer down, whose influence is carried."""
        return len(network.layers)

    def request_refusal(self, request: RuleRequest) -> str | None:
        from gle_bench.dynamics.adjoint import exact_refusal
        from gle_bench.dynamics.influence import influence_refusal, influence_size

        network = request.network
        if reason := exact_refusal(network) or influence_refusal(network):
            return reason
        size = influence_size(network, self.depth(network)) * request.batch * request.members * request.itemsize
        if size <= LIMIT:
            return None
        return (
            f"the influence of its parameters needs {size / 2**30:,.1f} GiB (batch_size = {request.batch}, seeds: "
            f"{request.members}), and the limit is {LIMIT / 2**30:g} GiB; make the network or the batch smaller, or "
            "choose rule 'bptt', whose gradient of a sample is the same"
        )

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        from gle_bench.dynamics.influence import no_influence

        return no_influence(network, parameters, batch, self.depth(network))

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        from gle_bench.dynamics.influence import advance_influence, influence_gradients
        from gle_bench.dynamics.step import output_feedback, step
        from gle_bench.dynamics.window import Learned

        inputs, target, mask = window.at(0, state[0].u.shape[1])
        depth, output = self.depth(network), state[-1].r[-1]
        nudging = output_feedback(network, output, target, mask)
        gradients = influence_gradients(network, parameters, memory, nudging, depth)
        result = step(network, parameters, state, inputs, plastic=False, errors=False, seams=seams)
        if seams:  # the input as disturbances left it: they are functions, and give the same again
            inputs = seams.unobserved.pass_layer("rate", 0, inputs)
        memory = advance_influence(network, parameters, memory, inputs, state, result, depth)
        return Learned(result.state, gradients, output[:, :, None], memory)
