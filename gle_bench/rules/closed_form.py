"""The learning rule of echo state networks and linear predictors: a linear readout, fitted in closed form."""

from typing import ClassVar

from gle_bench.contracts import ClosedFormRule


class ReadoutRule(ClosedFormRule):
    """Ridge regression of a linear readout: least squares over all samples seen, with a penalty on the weights."""

    name: ClassVar[str] = "readout"
