"""SnAp-n: real-time recurrent learning that keeps influences in n layers only, and so trains the upper n layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gle_bench.config import Count
from gle_bench.contracts import RuleOptions
from gle_bench.rules.rtrl import RTRL

if TYPE_CHECKING:
    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.rule import RuleRequest


class SnApOptions(RuleOptions):
    """The options of the learning rule `snap`.

    Attributes:
        layers: n, the number of layers in which a parameter's influence is kept, counted upwards from its own.
    """

    layers: Count = 1


class SnAp(RTRL):
    """SnAp-n, a sparse `rtrl`: a parameter's influence is kept in its own layer and in n - 1 layers above it.

    All layers together form one recurrent state here, with one time step between layers. Only an influence that reaches
    the output contributes to a gradient. The upper n layers therefore learn by the exact gradient, and the layers below
    them do not learn: n = 1 trains the output layer, and n = L is `rtrl`.
    """

    name: ClassVar[str] = "snap"
    options: ClassVar[type[RuleOptions]] = SnApOptions

    def depth(self, network: Network) -> int:
        layers: int = self.chosen.layers
        return layers

    def request_refusal(self, request: RuleRequest) -> str | None:
        network, depth = request.network, self.depth(request.network)
        if depth > len(network.layers):
            return f"layers = {depth} is more than the {len(network.layers)} layers of the network; lower it"
        if not any(layer.connection.plastic for layer in network.layers[-depth:]):
            return f"layers = {depth} leaves nothing to learn, because all of the upper {depth} are fixed; raise it"
        return super().request_refusal(request)
