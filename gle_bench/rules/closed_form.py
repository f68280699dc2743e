"""Ridge regression of a linear readout in closed form: the rule of echo state networks and trivial predictors."""

from typing import ClassVar

from gle_bench.contracts import LearningRule


class ReadoutRule(LearningRule):
    """The linear readout that minimises the squared error over all samples seen, with a penalty on its weights."""

    name: ClassVar[str] = "readout"
    online: ClassVar[bool] = False
    closed_form: ClassVar[bool] = True
