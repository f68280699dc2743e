"""Modules with fixed features of an input sequence, whose linear readout alone learns, by ridge regression."""

import torch
from torch import Tensor, nn

from gle_bench.contracts import Shape
from gle_bench.models.readout import Reads


class Readout(nn.Module):
    """A linear readout y = W f of fixed features f. A subclass computes the features step by step, in `advance`.

    A subclass may replace `features` to compute all steps at once; the result must be that of `advance`.

    Attributes:
        readout: W, zero until it is learned.
        reads: the features of every step, for signals, or their mean over time, for classes.
        residual: whether the first channels of the input are added to the readout: y = x + W f.
    """

    def __init__(self, features: int, shape: Shape, *, reads: Reads = "every step", residual: bool = False) -> None:
        super().__init__()
        self.readout = linear(torch.zeros(shape.outputs, features))
        self.readout.requires_grad_()
        self.reads, self.residual = reads, residual

    def start(self, batch: int) -> Tensor:
        """The memory before the first time step, (B, M). It is empty unless a subclass has one."""
        return self.readout.weight.new_zeros(batch, 0)

    def advance(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: inputs (B, C_in) and the old memory -> features (B, F) and the new memory."""
        raise NotImplementedError

    def features(self, inputs: Tensor) -> Tensor:
        """The features of all time steps: (B, T, C_in) -> (B, T, F)."""
        memory, steps = self.start(len(inputs)), []
        for x in inputs.unbind(1):
            features, memory = self.advance(x, memory)
            steps.append(features)
        return torch.stack(steps, 1)

    def read(self, inputs: Tensor) -> Tensor:
        """The features that the readout sees: (B, T, F), or their mean (B, 1, F)."""
        features = self.features(inputs)
        return features.mean(1, keepdim=True) if self.reads == "mean" else features

    def base(self, inputs: Tensor) -> Tensor | float:
        """The term that is added to the readout, (..., C_in) -> (..., C_out): inputs if `residual`, else zero."""
        return inputs[..., : self.readout.out_features] if self.residual else 0.0

    def step(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: x (B, C_in) and the memory so far -> outputs (B, C_out) and the memory from here on."""
        features, memory = self.advance(x, memory)
        return self.base(x) + self.readout(features), memory

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs (B, T, C_in) -> (B, T, C_out), or (B, C_out) if the mean is read."""
        outputs: Tensor = self.readout(self.read(inputs))
        return outputs[:, 0] if self.reads == "mean" else self.base(inputs) + outputs


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear map (N_out, N_in), which does not learn."""
    layer = nn.Linear(
        1, 1, bias is not None, device="meta"
    )  # first of size 1: no weights are drawn, and size 0 would warn
    layer.out_features, layer.in_features = weight.shape
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def fold(factor: Tensor, rows: Tensor) -> Tensor:
    """Adds rows of features and targets, (M, F + C), to the triangular factor R of all that came before.

    R^T R is the matrix of the normal equations. Unlike that matrix it loses no digits.
    """
    triangle: Tensor = torch.linalg.qr(torch.cat([factor.to(rows), rows]), mode="r")[1]
    return triangle


def solve(factor: Tensor, features: int, ridge: float) -> Tensor:
    """The W (C, F) that minimises |f W^T - y|^2 + ridge |W|^2 over all folded rows (f, y); of several, the smallest.

    The penalty of each weight is a further row with target zero.
    """
    penalty = ridge**0.5 * torch.eye(features, factor.shape[1]).to(factor)
    triangle = fold(factor, penalty)[:features]
    if not features:
        return triangle.new_zeros(factor.shape[1], 0)
    weight: Tensor = torch.linalg.lstsq(triangle[:, :features], triangle[:, features:], driver="gelsd").solution
    return weight.T
