"""Adam and plain gradient descent on the flat parameter vector of an ensemble, each member with its own rate.

Both follow torch.optim's formulas and defaults. They update the given vector in place: it belongs to the engine.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from gle_bench.errors import UsageError
from gle_bench.words import OptimizerName


class Corrections(NamedTuple):
    """Adam's bias corrections of one update: numbers, or tensors () that a CUDA graph reads anew each time."""

    step: float | Tensor  # -1 / (1 - beta1^n): factor of the step, which descends
    root: float | Tensor  # sqrt(1 - beta2^n): divisor of the root of the squares' mean


class OptimizerState(NamedTuple):
    """The state of an optimizer: moments, flat like the parameters (empty for `sgd`), and the number of updates."""

    mean: Tensor  # (P,)
    square: Tensor  # (P,)
    updates: int


@dataclass(frozen=True)
class Optimizer:
    """An optimizer and its parameters: Adam, with torch's defaults, or `sgd`, plain gradient descent."""

    kind: OptimizerName = "adam"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.kind not in ("adam", "sgd"):
            raise UsageError(f"optimizer '{self.kind}' is unknown; use 'adam' or 'sgd'.")

    def start(self, flat: Tensor) -> OptimizerState:
        """The state before the first update."""
        empty = flat.new_zeros(flat.numel() if self.kind == "adam" else 0)
        return OptimizerState(empty, empty.clone(), 0)

    def update(self, flat: Tensor, gradient: Tensor, state: OptimizerState, rate: Tensor) -> OptimizerState:
        """One update of `flat` (P,) and of the moments, in place.

        Args:
            flat, gradient: parameters and their gradient, (P,).
            state: its moments are overwritten.
            rate: learning rate of each parameter, (P,).
        """
        updates = state.updates + 1
        self.descend(flat, gradient, state, rate, self.corrections(updates))
        return state._replace(updates=updates)

    def corrections(self, update: int) -> Corrections:
        """Adam's bias corrections of update number `update`, counted from 1; `sgd` ignores them."""
        return Corrections(-1 / (1 - self.beta1**update), (1 - self.beta2**update) ** 0.5)

    def descend(
        self, flat: Tensor, gradient: Tensor, state: OptimizerState, rate: Tensor, corrections: Corrections
    ) -> None:
        """One update in place by tensor operations alone; `corrections` replace the number of the update."""
        if self.kind == "sgd":
            flat.addcmul_(gradient, rate, value=-1)
            return
        state.mean.lerp_(gradient, 1 - self.beta1)
        state.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        denominator = state.square.sqrt().div_(corrections.root).add_(self.eps)
        factor = corrections.step
        if isinstance(factor, Tensor):  # addcmul_ takes a number only; the product is the same, in one more pass
            rate, factor = rate * factor, 1.0
        flat.addcmul_(rate, state.mean.div(denominator), value=factor)


def clone(state: OptimizerState) -> OptimizerState:
    """A copy that may be updated in place."""
    return OptimizerState(state.mean.clone(), state.square.clone(), state.updates)
