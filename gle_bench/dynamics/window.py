"""The window of time steps that a learning rule sees at once, and the result of learning from it."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from gle_bench.dynamics.state import Parameters, State
from gle_bench.dynamics.step import Instant


class Window(NamedTuple):
    """The inputs and targets of the time steps that a rule sees at once. A time dimension of 1: constant values."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, N_in)
    target: Tensor | None  # (S|1, B, T|1, C)  target rates, or one-hot classes
    mask: Tensor | None  # (S|1, B, T|1)  1 where the target counts
    following: Instant | None = None  # the signals of the step after the last one; None: they are not known

    def part(self, start: int, stop: int) -> "Window":
        """The window of steps start to stop (exclusive), as views, without `following`."""
        target = None if self.target is None else _cut(self.target, start, stop)
        mask = None if self.mask is None else _cut(self.mask, start, stop)
        return Window(stop - start, _cut(self.inputs, start, stop), target, mask)

    def at(self, t: int, ensemble: int) -> Instant:
        """The signals of step t. After the last step they are `following`, or if that is None the last step's again."""
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
    """The result of a learning rule on a window: the new state, the gradients, the outputs and the rule's memory."""

    state: State
    gradients: Parameters  # means over the batch and the steps
    outputs: Tensor  # (S, B, steps, C)  r_L before each step
    memory: tuple[Tensor, ...] = ()
    # The gradient of steps start to stop (exclusive), a mean over these; None: only that of the whole window is known.
    part: Callable[[int, int], Parameters] | None = None
