"""Convolutions over the whole sequence, and what lies around them."""

from torch import Tensor, nn


class Convolutions(nn.Module):
    """(B, T, C_in) -> (B, C_out), read from all that convolutions along time leave."""

    def __init__(self, layers: nn.Sequential, readout: nn.Linear) -> None:
        super().__init__()
        self.layers, self.readout = layers, readout

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.layers(inputs.transpose(1, 2)).flatten(1))
        return logits


class Image(nn.Module):
    """A sequence as an image of one channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, C) -> (B, 1, T, C)."""
        return inputs[:, None]


def zero(bias: Tensor | None) -> None:
    """Sets a bias, which must be there, to zero."""
    assert bias is not None
    nn.init.zeros_(bias)
