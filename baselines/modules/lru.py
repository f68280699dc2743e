"""The PyTorch modules of linear recurrent units: the recurrence, a layer, and a stack of blocks."""

import math
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from gle_bench.contracts import Shape

_INSIDE: Final = 1e-9  # distance of uniform draws from 0 and 1, whose logarithms would be infinite


class Recurrence(torch.autograd.Function):
    """The states x[t] = decay * x[t-1] + drive[t], x[-1] = 0: decay (N,) and drive (T, B, N), complex -> (T, B, N).

    Its backward pass is the same recurrence, run from the last step to the first with the conjugate decay.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor) -> Tensor:
        states = drive.clone()
        _accumulate(decay, states)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        adjoint = gradients[0].flip(0)
        _accumulate(decay.conj(), adjoint)
        adjoint = adjoint.flip(0)
        return (adjoint[1:] * states[:-1].conj()).sum((0, 1)), adjoint


def recurrence(decay: Tensor, drive: Tensor) -> Tensor:
    """The states of `Recurrence`."""
    states: Tensor = Recurrence.apply(decay, drive)  # type: ignore[no-untyped-call]
    return states


def _accumulate(decay: Tensor, x: Tensor) -> None:
    """Replaces x (T, B, N) by the states that it drives, in place, in about log2(T) passes over 2 T steps together.

    Steps are merged in pairs, so that every other step has a recurrence of half the length, with the decay squared;
    the steps between follow from it. No power of the decay is ever divided by, so that none can overflow.
    """
    if len(x) < 2:
        return
    odd, even = x[1::2], x[2::2]
    odd.addcmul_(x[: 2 * len(odd) : 2], decay)
    _accumulate(decay * decay, odd)
    even.addcmul_(odd[: len(even)], decay)


class LRU(nn.Module):
    """A layer of N linear recurrent units, with H inputs u and H outputs y.

        x[t] = lambda * x[t-1] + exp(gamma) * (B u[t])    y[t] = Re(C x[t]) + D * u[t]
        lambda = exp(-exp(nu) + i exp(theta))

    Complex parameters are held as two real matrices, real part and imaginary part: B (2, N, H) and C (2, H, N).
    """

    def __init__(self, hidden: int, states: int, radii: tuple[float, float], max_phase: float) -> None:
        super().__init__()
        low, high = (radius**2 for radius in radii)
        squared = low + (high - low) * _uniform(states)  # |lambda|^2, so that lambda is uniform on the ring
        self.nu = _parameter((-squared.log() / 2).log())
        self.theta = _parameter((max_phase * _uniform(states)).log())
        self.gamma = _parameter((1 - squared).log() / 2)
        self.B = _parameter(torch.randn(2, states, hidden) / math.sqrt(2 * hidden))
        self.C = _parameter(torch.randn(2, hidden, states) / math.sqrt(states))
        self.D = _parameter(torch.randn(hidden))

    @property
    def decay(self) -> Tensor:
        """The eigenvalues lambda (N,), complex."""
        return torch.polar((-self.nu.exp()).exp(), self.theta.exp())

    def forward(self, u: Tensor, traced: bool = False) -> Tensor:
        """The outputs (T, B, H) -> (T, B, H). With `traced`, no gradient reaches u through the memory: see `traced`."""
        if not traced:
            return self._read(recurrence(self.decay, self._drive(u)), u)
        x = recurrence(self.decay, self._drive(u.detach()))
        instant = self._drive(u, fixed=True)
        return self._read(x + (instant - instant.detach()), u)

    def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: inputs (B, H) and the state (B, N) -> outputs and the new state."""
        x = self.decay * x + self._drive(u)
        return self._read(x, u), x

    def _drive(self, u: Tensor, fixed: bool = False) -> Tensor:
        b, gamma = (self.B.detach(), self.gamma.detach()) if fixed else (self.B, self.gamma)
        real, imaginary = nn.functional.linear(u, (gamma.exp()[:, None] * b).flatten(0, 1)).chunk(2, -1)
        return torch.complex(real, imaginary)

    def _read(self, x: Tensor, u: Tensor) -> Tensor:
        real, imaginary = self.C
        y = nn.functional.linear(torch.cat([x.real, x.imag], -1), torch.cat([real, -imaginary], -1))
        return torch.addcmul(y, self.D, u)


class Block(nn.Module):
    """Linear recurrent units, GELU and a linear layer, beside a connection that skips all three."""

    def __init__(self, units: LRU, hidden: int) -> None:
        super().__init__()
        self.units, self.mix = units, nn.Linear(hidden, hidden)

    def forward(self, u: Tensor, traced: bool = False) -> Tensor:
        return self._add(u, self.units(u, traced))

    def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        y, x = self.units.step(u, x)
        return self._add(u, y), x

    def _add(self, u: Tensor, y: Tensor) -> Tensor:
        mixed: Tensor = self.mix(nn.functional.gelu(y))
        return u + mixed


class Stack(nn.Module):
    """A linear encoder, blocks of linear recurrent units, and a linear decoder, which is read at every time step."""

    def __init__(self, shape: Shape, hidden: int, layers: Sequence[LRU]) -> None:
        super().__init__()
        self.encoder = nn.Linear(shape.inputs, hidden)
        self.blocks = nn.ModuleList(Block(units, hidden) for units in layers)
        self.decoder = nn.Linear(hidden, shape.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs (B, T, C_in) -> (B, T, C_out)."""
        return self._run(inputs, traced=False)

    def traced(self, inputs: Tensor) -> Tensor:
        """The outputs of `forward`, whose gradients are those of eligibility traces (`contracts.Traced`).

        A layer's state is computed from inputs that autograd does not follow, so that the layer's own parameters have
        all of its memory. What the inputs of the same time step contribute is added as zero with a gradient.
        """
        return self._run(inputs, traced=True)

    def _run(self, inputs: Tensor, traced: bool) -> Tensor:
        u: Tensor = self.encoder(inputs.transpose(0, 1))
        for block in self._blocks:
            u = block(u, traced)
        outputs: Tensor = self.decoder(u)
        return outputs.transpose(0, 1)

    @property
    def _blocks(self) -> list[Block]:
        return [cast(Block, block) for block in self.blocks]

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """The memory before the first time step: the state (B, N) of every layer, complex, zero."""
        decays = (block.units.decay for block in self._blocks)
        return tuple(decay.new_zeros(batch, len(decay)) for decay in decays)

    def step(self, x: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One time step: x (B, C_in) and the memory so far -> outputs (B, C_out) and the memory from here on."""
        u, after = self.encoder(x), []
        for block, state in zip(self._blocks, memory, strict=True):
            u, state = block.step(u, state)
            after.append(state)
        return self.decoder(u), tuple(after)


def _uniform(count: int) -> Tensor:
    """Uniform draws between 0 and 1, in float64, which a radius close to 1 needs."""
    return torch.rand(count, dtype=torch.float64).clamp(_INSIDE, 1 - _INSIDE)


def _parameter(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.to(torch.get_default_dtype()))
