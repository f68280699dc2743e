"""Convolution and pooling: the connections between layers whose neurons form images.

Images lie flat in the rates of their layer, *channels last*: neuron (h W + w) C + c is channel c at row h and column w.
In this order an image is a view of the neurons and the other way round, and the convolutions and pooling of a step take
little more than half the time that they take channel by channel (oneDNN, float32, batches of 128). Shapes are still
named (C, H, W), as PyTorch names them.
"""

from dataclasses import dataclass
from math import prod

from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from gle_bench.errors import UsageError

ImageShape = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True)
class Convolution:
    """A convolution: weight (G, C_out, C, k, k), bias (G, 1, C_out), one for each channel.

    The gradient of a kernel sums over the positions, that of a bias *averages* over them, as the code of Latent
    Equilibrium does (facts/algorithms.md, section 1): a bias learns by the number of positions more slowly than the
    gradient of the cost would have it.

    Attributes:
        in_shape: (C, H, W) of the layer below.
        channels: C_out.
        kernel: its height and width.
        stride, padding: as in PyTorch; padded with zeros.
        plastic: False makes it fixed.

    Raises:
        UsageError: a number out of range, or a kernel larger than the padded image.
    """

    in_shape: ImageShape
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    plastic: bool = True

    def __post_init__(self) -> None:
        _check_image(self.in_shape)
        for name, least in (("channels", 1), ("kernel", 1), ("stride", 1), ("padding", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)} of a convolution must be at least {least}.")
        room = min(self.in_shape[1:]) + 2 * self.padding
        if self.kernel > room:
            raise UsageError(
                f"kernel = {self.kernel} is larger than the image of {self.in_shape[1]} x {self.in_shape[2]} with "
                f"padding = {self.padding}; give at most {room}, or pad more."
            )

    @property
    def out_shape(self) -> ImageShape:
        """(C_out, H_out, W_out)."""
        height, width = ((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in self.in_shape[1:])
        return self.channels, height, width

    @property
    def sizes(self) -> tuple[int, int]:
        return prod(self.in_shape), prod(self.out_shape)

    def weight_shape(self, inputs: int, neurons: int) -> tuple[int, ...]:
        return self.channels, self.in_shape[0], self.kernel, self.kernel

    def biases(self, neurons: int) -> int:
        return self.channels

    def macs(self, inputs: int, neurons: int) -> int:
        return neurons * self.in_shape[0] * self.kernel**2

    def current(self, weight: Tensor, bias: Tensor | None, rates: Tensor) -> Tensor:
        networks = len(weight)
        images = functional.conv2d(
            _grouped(rates, self.in_shape),
            weight.flatten(0, 1),
            None if bias is None else bias.flatten(),
            self.stride,
            self.padding,
            groups=networks,
        )
        return _ungrouped(images, networks)

    def feedback(self, weight: Tensor, error: Tensor) -> Tensor:
        networks = len(weight)
        # Rows and columns at the far edges that the stride skips get zero error, but belong to the result.
        left_out = [(side + 2 * self.padding - self.kernel) % self.stride for side in self.in_shape[1:]]
        images = functional.conv_transpose2d(
            _grouped(error, self.out_shape),
            weight.flatten(0, 1),
            None,
            self.stride,
            self.padding,
            left_out,
            groups=networks,
        )
        return _ungrouped(images, networks)

    def gradient(self, error: Tensor, rates: Tensor) -> Tensor:
        networks, batch = error.shape[:2]
        inputs, neurons = self.sizes
        shape = self.weight_shape(inputs, neurons)
        kernels: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            _grouped(rates, self.in_shape),
            (networks * shape[0], *shape[1:]),
            _grouped(error, self.out_shape),
            self.stride,
            self.padding,
            groups=networks,
        )
        return kernels.reshape(networks, *shape).mul(-1 / batch)

    def bias_gradient(self, error: Tensor) -> Tensor:
        return error.reshape(len(error), -1, self.channels).mean(1, keepdim=True).neg()


@dataclass(frozen=True)
class MaxPool:
    """Max pooling over size x size squares of every channel: a `Relay` whose errors go to the largest rate of each.

    Among equal rates the first is taken, row by row, as in PyTorch. Rows and columns at the far edges that fill no
    square are left out, as in PyTorch, and get zero error.

    Attributes:
        in_shape: (C, H, W) of the layer below.
        size: side of the squares, which do not overlap.

    Raises:
        UsageError: a shape out of range, or squares that do not fit into the image.
    """

    in_shape: ImageShape
    size: int = 2

    def __post_init__(self) -> None:
        _check_image(self.in_shape)
        if not 2 <= self.size <= min(self.in_shape[1:]):
            raise UsageError(
                f"size = {self.size} of pooling does not fit an image of {self.in_shape[1]} x {self.in_shape[2]}; "
                f"give one from 2 to {min(self.in_shape[1:])}, or leave the pooling out."
            )

    @property
    def plastic(self) -> bool:
        return False

    @property
    def out_shape(self) -> ImageShape:
        """(C, H_out, W_out)."""
        channels, height, width = self.in_shape
        return channels, height // self.size, width // self.size

    @property
    def sizes(self) -> tuple[int, int]:
        return prod(self.in_shape), prod(self.out_shape)

    def forth(self, rates: Tensor) -> tuple[Tensor, Tensor]:
        """The largest rate of each square, and its position h W + w as the route, (G, B, H_out W_out, C)."""
        networks, batch, _ = rates.shape
        channels, height, width = self.in_shape
        images = rates.reshape(networks * batch, height, width, channels).permute(0, 3, 1, 2)
        pooled, winners = functional.max_pool2d(images, self.size, return_indices=True)
        rows = (networks, batch, -1, channels)
        return pooled.permute(0, 2, 3, 1).reshape(rows).flatten(2), winners.permute(0, 2, 3, 1).reshape(rows)

    def back(self, error: Tensor, route: Tensor) -> Tensor:
        channels, height, width = self.in_shape
        zeros = error.new_zeros(*error.shape[:2], height * width, channels)
        return zeros.scatter(2, route, error.reshape(route.shape)).flatten(2)


def _check_image(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise UsageError(f"in_shape = {shape} must be (channels, height, width), each at least 1.")


def _grouped(flat: Tensor, shape: ImageShape) -> Tensor:
    """Rates as images with the channels of all networks: (G, B, H W C) -> (B, G C, H, W); a view if G = 1."""
    networks, batch, _ = flat.shape
    channels, height, width = shape
    rows = flat.reshape(networks, batch, height, width, channels).permute(1, 2, 3, 0, 4)
    return rows.reshape(batch, height, width, networks * channels).permute(0, 3, 1, 2)


def _ungrouped(images: Tensor, networks: int) -> Tensor:
    """Images with the channels of all networks as rates, the inverse of `_grouped`; a view if G = 1."""
    batch, channels, height, width = images.shape
    rows = images.permute(0, 2, 3, 1).reshape(batch, height, width, networks, channels // networks)
    return rows.permute(3, 0, 1, 2, 4).reshape(networks, batch, -1)
