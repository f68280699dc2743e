"""Adam and plain gradient descent on the flat parameter vector of an ensemble, each member with its own rate.

Both follow torch.optim's formulas and defaults. They update the vector they are given in place: it is the engine's own.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from gle_bench.errors import UsageError
from gle_bench.words import OptimizerName


class Corrections(NamedTuple):
    """Adam's bias corrections in one update: numbers, or tensors () where a CUDA graph reads them anew each time."""

    step: float | Tensor  # -1 / (1 - beta1^n): factor of the step, which descends
    root: float | Tensor  # sqrt(1 - beta2^n): divisor of the root of the squares' mean


class OptimizerState(NamedTuple):
    """Moments, flat like the parameters and empty where the optimizer has none, and the number of updates so far."""

    mean: Tensor  # (P,)
    square: Tensor  # (P,)
    updates: int


@dataclass(frozen=True)
class Optimizer:
    """Which optimizer, with torch's default parameters for Adam; `sgd` is the plain gradient."""

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
        """Those of update number `update`, counted from 1; plain descent looks at none."""
        return Corrections(-1 / (1 - self.beta1**update), (1 - self.beta2**update) ** 0.5)

    def descend(
        self, flat: Tensor, gradient: Tensor, state: OptimizerState, rate: Tensor, corrections: Corrections
    ) -> None:
        """`update` without its count, which `corrections` stand for: tensor operations alone."""
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
