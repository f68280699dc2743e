"""The PyTorch module of the echo state network."""

import torch
from torch import Tensor

from gle_bench.contracts import Shape
from gle_bench.models.modules.ridge import Readout, linear
from gle_bench.models.readout import Reads


class Reservoir(Readout):
    """The reservoir: leaky neurons with input weights V (N, 1 + C_in), `driving`, and recurrent weights W (N, N).

    Its features are [1, s, x].
    """

    def __init__(
        self, shape: Shape, driving: Tensor, recurrent: Tensor, *, leak: float, shift: float, scale: float, reads: Reads
    ) -> None:
        super().__init__(1 + shape.inputs + len(recurrent), shape, reads=reads)
        dtype = torch.get_default_dtype()
        self.driving, self.recurrent = linear(driving.to(dtype)), linear(recurrent.to(dtype))
        self.leak, self.shift, self.scale = leak, shift, scale

    def start(self, batch: int) -> Tensor:
        return self.recurrent.weight.new_zeros(batch, self.recurrent.in_features)

    def advance(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([torch.ones_like(x[:, :1]), self.shift + self.scale * x], 1)
        new = (self.recurrent(memory) + self.driving(seen)).tanh()
        memory = (1 - self.leak) * memory + self.leak * new
        return torch.cat([seen, memory], 1), memory
