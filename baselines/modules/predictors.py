"""The PyTorch module of polynomial predictors."""

import torch
from torch import Tensor

from gle_bench.contracts import Shape
from gle_bench.models.modules.ridge import Readout


class PolynomialReadout(Readout):
    """A linear readout of monomials. Each tuple of `factors` names the channels of a product; 0 is the constant 1."""

    def __init__(self, factors: list[tuple[int, ...]], shape: Shape, residual: bool) -> None:
        super().__init__(len(factors), shape, residual=residual)
        degree = len(factors[0]) if factors else 0
        self._factors = torch.tensor(factors, dtype=torch.int64).view(len(factors), degree)

    def features(self, inputs: Tensor) -> Tensor:
        """The monomials of the inputs: (..., C_in) -> (..., F)."""
        channels = torch.cat([torch.ones_like(inputs[..., :1]), inputs], -1)
        return channels[..., self._factors].prod(-1)

    def advance(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(x), memory
