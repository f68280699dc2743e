"""A learning rule in one file: GLE with the signs of its gradients."""

from typing import ClassVar

from torch import Tensor

from gle_bench.dynamics.network import Network
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State
from gle_bench.dynamics.window import Learned, Window
from gle_bench.rules.gle import GLE


class SignGLE(GLE):
    """GLE with each gradient replaced by its sign, so that all parameters move by equal amounts."""

    name: ClassVar[str] = "sign-gle"

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        learned = super().learn(network, parameters, state, memory, window, seams)
        signs = [BlockParameters(*(None if g is None else g.sign() for g in block)) for block in learned.gradients]
        return learned._replace(gradients=tuple(signs))
