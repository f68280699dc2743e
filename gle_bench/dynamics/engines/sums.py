"""Gradients with frozen weights: their sums over all steps of a batch, and their means over windows of steps."""

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from gle_bench.dynamics.state import BlockParameters, Parameters, State
from gle_bench.dynamics.window import Learned
from gle_bench.errors import UsageError


class Gradients(NamedTuple):
    """The gradients of a rule on a batch with frozen weights, as means over the samples; None where nothing learns."""

    accumulated: Parameters  # summed over the steps
    windowed: tuple[Parameters, ...]  # means over windows of steps, in their order
    state: State  # after the batch
    memory: tuple[Tensor, ...]  # the rule's, after the batch
    outputs: Tensor  # (S, B, T, C)


class WindowSums:
    """The sums of a rule's gradients over windows of `every` steps.

    A rule's gradient is a mean over the steps of the rule's own window, and is therefore weighted by their number.

    Args:
        every: the number of steps of the windows over which gradients are summed.
        length: the number of steps of the rule's own windows; the last one may be shorter.
    """

    def __init__(self, every: int, length: int) -> None:
        self._every, self._length = check_every(every), length
        self._sums: dict[int, Parameters] = {}
        self._steps: dict[int, int] = defaultdict(int)

    def add(self, begin: int, steps: int, learned: Learned) -> None:
        """Adds the rule's gradients of a window of `steps` steps that begins at step `begin`."""
        cuts = [begin, *range((begin // self._every + 1) * self._every, begin + steps, self._every), begin + steps]
        if len(cuts) > 2 and learned.part is None:
            raise UsageError(
                f"every = {self._every} cuts windows of {self._length} steps, and the rule gives one gradient for each "
                f"of them; give a multiple of {self._length}."
            )
        for start, stop in pairwise(cuts):
            part = learned.part if stop - start < steps else None
            mean = part(start - begin, stop - begin) if part else learned.gradients
            number, summand = start // self._every, _scaled(mean, stop - start)
            self._sums[number] = each(Tensor.add, self._sums[number], summand) if number in self._sums else summand
            self._steps[number] += stop - start

    def total(self) -> Parameters:
        """The sum of the gradients over all steps."""
        first, *others = self._sums.values()
        for other in others:
            first = each(Tensor.add, first, other)
        return first

    def means(self) -> tuple[Parameters, ...]:
        """The mean gradients of each window of `every` steps, in their order."""
        return tuple(_scaled(total, 1 / self._steps[number]) for number, total in self._sums.items())


def check_every(every: int) -> int:
    """The given number of steps of a window, after a check that it is at least 1.

    Raises:
        UsageError: it is below 1.
    """
    if every < 1:
        raise UsageError(f"every = {every} must be at least 1: it is the number of steps of a window.")
    return every


def _scaled(gradients: Parameters, factor: float) -> Parameters:
    return each(lambda gradient: gradient * factor, gradients)


def each(function: Callable[..., Tensor], *gradients: Parameters) -> Parameters:
    """The result of a function applied to corresponding tensors of several gradients; None stays None."""
    return tuple(
        BlockParameters(*(None if same[0] is None else function(*same) for same in zip(*blocks, strict=True)))
        for blocks in zip(*gradients, strict=True)
    )
