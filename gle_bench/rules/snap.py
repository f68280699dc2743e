"""SnAp-n: real-time recurrent learning by the influence on n layers, which trains the upper n."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gle_bench.config import Count
from gle_bench.contracts import RuleOptions
from gle_bench.rules.rtrl import RTRL

if TYPE_CHECKING:
    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.rule import RuleRequest


class SnApOptions(RuleOptions):
    """What can be chosen about `snap`.

    Attributes:
        layers: n, the layers in which a parameter's influence is kept, its own layer the first of them.
    """

    layers: Count = 1


class SnAp(RTRL):
    """SnAp-n, a sparse approximation of `rtrl`: what a parameter does to its own layer and n - 1 layers above it.

    The stack is one recurrent state here, with a step between layers. Only an influence that reaches the output teaches
    anything, so the upper n layers learn by the exact gradient, and those below not at all: n = 1 trains the output
    layer, and n = L is `rtrl`.
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
            return f"layers = {depth} leaves nothing to learn, because the layers down to there are fixed; raise it"
        return super().request_refusal(request)
