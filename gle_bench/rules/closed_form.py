"""Ridge regression of a linear readout in closed form: the rule of echo state networks and trivial predictors."""

from typing import ClassVar

from gle_bench.contracts import ClosedFormRule


class ReadoutRule(ClosedFormRule):
    """The linear readout that minimises the squared error over all samples seen, with a penalty on its weights."""

    name: ClassVar[str] = "readout"
