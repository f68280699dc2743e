"""The PyTorch module of multi-layer perceptrons, and the first weights of Hello Edge's."""

import math

from torch import Tensor, nn


def draw_as_hello_edge(layers: list[nn.Linear]) -> None:
    """Draws Hello Edge's first weights: Glorot; hidden biases uniform on +-sqrt(3/n), the readout's biases zero."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        bound = math.sqrt(3 / layer.out_features)
        nn.init.uniform_(layer.bias, -bound, bound)
    nn.init.zeros_(layers[-1].bias)


class Perceptron(nn.Module):
    """A perceptron on flattened inputs (B, T, C_in); if `residual`, a middle layer adds its input to its output."""

    def __init__(self, layers: list[nn.Linear], residual: bool) -> None:
        super().__init__()
        self.first, self.middle, self.readout = layers[0], nn.ModuleList(layers[1:-1]), layers[-1]
        self.residual = residual

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs.flatten(1)).relu()
        for layer in self.middle:
            new = layer(hidden).relu()
            hidden = hidden + new if self.residual else new
        logits: Tensor = self.readout(hidden)
        return logits
