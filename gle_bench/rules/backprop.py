"""Backpropagation (through time) by autograd, offline: the rule of the baselines."""

from typing import ClassVar

from gle_bench.contracts import GradientRule


class Backprop(GradientRule):
    """The exact gradient of the whole sample's loss. It grants itself all that GLE does without: see `Footing`."""

    name: ClassVar[str] = "backprop"
