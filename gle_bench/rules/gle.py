"""The paper's rule: one local update a time step, from errors that are local in space and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gle_bench.contracts import Footing, OnlineRule

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.seams import Seams
    from gle_bench.dynamics.state import Parameters, State
    from gle_bench.dynamics.window import Learned, Window


class GLE(OnlineRule):
    """Generalized Latent Equilibrium, Eqs. 21-24: the network's own dynamics give the gradient at every step."""

    name: ClassVar[str] = "gle"
    engines: ClassVar[frozenset[str]] = frozenset({"torch", "native", "graph"})
    ordered: ClassVar[bool] = True
    footing: ClassVar[Footing] = Footing(
        online=True, streamed=True, local_in_space=True, local_in_time=True, whole_sequence=False
    )

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        from gle_bench.dynamics.ordered_step import advance
        from gle_bench.dynamics.window import Learned

        ensemble = state[0].u.shape[1]
        now = window.at(0, ensemble)
        result = advance(network, parameters, state, now, lambda output: window.at(1, ensemble), seams=seams)
        return Learned(result.state, result.gradients, result.signals.output[:, :, None])
