"""Perceptrons, and Hello Edge's first weights of theirs."""

import math

from torch import Tensor, nn


def draw_as_hello_edge(layers: list[nn.Linear]) -> None:
    """Weights by Glorot; so too the hidden biases, as vectors of n in and n out: uniform on +-sqrt(3/n). Readout: 0."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        bound = math.sqrt(3 / layer.out_features)
        nn.init.uniform_(layer.bias, -bound, bound)
    nn.init.zeros_(layers[-1].bias)


class Perceptron(nn.Module):
    """ReLU layers and a readout of (B, T, C_in), flattened; `residual` adds what a middle layer is given."""

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
