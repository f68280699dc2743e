"""The PyTorch module of the networks of convolutions along time."""

from torch import Tensor, nn


class Convolutions(nn.Module):
    """Convolutions along time and a linear readout of all their outputs: (B, T, C_in) -> (B, C_out)."""

    def __init__(self, layers: nn.Sequential, readout: nn.Linear) -> None:
        super().__init__()
        self.layers, self.readout = layers, readout

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.layers(inputs.transpose(1, 2)).flatten(1))
        return logits
