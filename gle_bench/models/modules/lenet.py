"""The PyTorch module of LeNet-5."""

from torch import Tensor, nn
from torch.nn import functional

from gle_bench.dynamics.activations import activation


class Network(nn.Module):
    """LeNet-5: two convolutions, each with max pooling of 2 x 2, a hidden layer and a readout."""

    def __init__(self, image: tuple[int, int, int], phi: str, weights: list[Tensor], biases: list[Tensor]) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(weights), nn.ParameterList(biases)
        self._image, self._phi = image, activation(phi).rate

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits of the last step's image: (B, T, C_in) -> (B, C_out)."""
        channels, *area = self._image
        first, second, hidden, readout = zip(self.weights, self.biases, strict=True)
        below = inputs[:, -1].reshape(-1, *area, channels).permute(0, 3, 1, 2)
        for weight, bias in (first, second):
            below = functional.max_pool2d(self._phi(functional.conv2d(below, weight, bias)), 2)
        top = below.permute(0, 2, 3, 1).flatten(1)  # in the order of LE's neurons
        return functional.linear(self._phi(functional.linear(top, *hidden)), *readout)
