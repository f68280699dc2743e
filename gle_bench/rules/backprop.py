"""The learning rule of the offline baselines: backpropagation (through time) by autograd."""

from typing import ClassVar

from gle_bench.contracts import GradientRule


class Backprop(GradientRule):
    """Backpropagation through the whole sample by autograd: the exact gradient of the loss, not local, not online."""

    name: ClassVar[str] = "backprop"
