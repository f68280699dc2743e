"""A choice of values for tests that take long: few of them by default, all with `scripts/test --systems`."""

from collections.abc import Sequence
from typing import Any

import pytest


def first(values: Sequence[Any], count: int = 1) -> list[Any]:
    """The values for `parametrize`; those after the first `count` bear the marker `systems`.

    A tuple holds the values of several arguments.
    """
    rows = [value if isinstance(value, tuple) else (value,) for value in values[count:]]
    return [*values[:count], *(pytest.param(*row, marks=pytest.mark.systems) for row in rows)]
