"""The PyTorch modules of the convolutional networks."""

from torch import Tensor, nn


class Convolutions(nn.Module):
    """Convolutions along time and a linear readout of all their outputs: (B, T, C_in) -> (B, C_out)."""

    def __init__(self, layers: nn.Sequential, readout: nn.Linear) -> None:
        super().__init__()
        self.layers, self.readout = layers, readout

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.layers(inputs.transpose(1, 2)).flatten(1))
        return logits


class Image(nn.Module):
    """The view of a sequence as an image of one channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        """The image of a sequence: (B, T, C) -> (B, 1, T, C)."""
        return inputs[:, None]


def zero(bias: Tensor | None) -> None:
    """Sets a bias, which must be there, to zero."""
    assert bias is not None
    nn.init.zeros_(bias)
