"""The window of time steps that a learning rule sees at once, and what the rule makes of it."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from gle_bench.dynamics.state import Parameters, State
from gle_bench.dynamics.step import Instant


class Window(NamedTuple):
    """The time steps that a rule sees at once. A time dimension of 1 stands for equal steps throughout."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, N_in)
    target: Tensor | None  # (S|1, B, T|1, C)  target rates, or one-hot classes
    mask: Tensor | None  # (S|1, B, T|1)  1 where the target counts
    following: Instant | None = None  # the instant after the last step; None: nobody knows it

    def part(self, start: int, stop: int) -> "Window":
        """Steps start to stop (exclusive): views. Not `following`, which would be a matter of the whole ensemble."""
        target = None if self.target is None else _cut(self.target, start, stop)
        mask = None if self.mask is None else _cut(self.mask, start, stop)
        return Window(stop - start, _cut(self.inputs, start, stop), target, mask)

    def at(self, t: int, ensemble: int) -> Instant:
        """The instant of step t. The one after the last is `following`, or where that is None the last one held."""
        if t == self.steps:
            if self.following is not None:
                return self.following
            t -= 1
        now = self.part(t, t + 1)
        target = None if now.target is None else now.target[:, :, 0]
        mask = None if now.mask is None else now.mask[:, :, 0, None]
        return Instant(now.inputs[:, :, 0].expand(ensemble, -1, -1), target, mask)


def _cut(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor if tensor.shape[2] == 1 else tensor[:, :, start:stop]


class Learned(NamedTuple):
    """What a rule makes of a window."""

    state: State
    gradients: Parameters  # means over the batch and the steps
    outputs: Tensor  # (S, B, steps, C)  r_L before each step
    memory: tuple[Tensor, ...] = ()
    # The mean of what steps start to stop (exclusive) contribute to the gradients; None: only the whole is known.
    part: Callable[[int, int], Parameters] | None = None
