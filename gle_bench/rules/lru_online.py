"""The online learning rule of linear recurrent units: eligibility traces, and errors of the same time step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from gle_bench.contracts import Footing, GradientRule, ModelConfig, OfflineModel, Traced

if TYPE_CHECKING:
    from torch import Tensor, nn


class LRUOnline(GradientRule):
    """The online rule of linear recurrent units: eligibility traces in every layer, errors within a time step.

    It is that of Zucchet et al. (arXiv 2305.15947). The error delta[t] = dL[t]/dx[t] reaches a layer's state x from the
    loss of the same step, through all that lies above, where memory is left out. It is multiplied by traces, which run
    forward in time beside the state:

        s_lambda[t] = lambda s_lambda[t-1] + x[t-1]    s_gamma[t] = lambda s_gamma[t-1] + B u[t]
        s_B[t] = lambda s_B[t-1] + exp(gamma) u[t]

    In time a layer's own gradient is exact. The approximation is in space: that a layer's output also acts through
    what the layers above remember of it is ignored. So the gradient is exact for the uppermost recurrent layer and what
    is above it, and approximate for all that is below, the encoder included, even where there is one such layer.

    Errors and traces of all steps are summed, and the parameters change once a sample. Here the sums are computed
    backward within each layer, where they need no traces; they equal those of forward traces to rounding. Errors are
    backpropagated in space through several layers at once, which is not local in space.
    """

    name: ClassVar[str] = "lru-online"
    footing: ClassVar[Footing] = Footing(streamed=True, local_in_time=True)  # it updates once the sample is over

    def refusal(self, model: ModelConfig) -> str | None:
        if isinstance(model, OfflineModel) and model.traces:
            return None
        return "it follows the memory of linear recurrent units by traces, and this network is none of these"

    def outputs(self, module: nn.Module, inputs: Tensor) -> Tensor:
        return cast(Traced, module).traced(inputs)
