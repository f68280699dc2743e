"""Engines for tests, which skip a test that an engine cannot run."""

from collections.abc import Callable
from typing import Any

import pytest

from gle_bench.dynamics.engines import choice

NAMES = sorted(choice.ENGINES)


class Tried:
    """An engine whose absence or refusal skips the test; `torch` is always present, and its refusal is a failure."""

    def __init__(self, name: str) -> None:
        absent = choice.absence(name)
        if absent is not None and name != "torch":
            pytest.skip(f"engine {name} is absent: {absent}")
        self.name, self._engine = name, choice.make(name)

    def learn(self, *arguments: Any, **options: Any) -> Any:
        return self._or_skip(self._engine.learn, *arguments, **options)

    def gradients(self, *arguments: Any, **options: Any) -> Any:
        return self._or_skip(self._engine.gradients, *arguments, **options)

    def infer(self, *arguments: Any, **options: Any) -> Any:
        return self._or_skip(self._engine.infer, *arguments, **options)

    def _or_skip(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except NotImplementedError as refusal:
            if self.name == "torch":
                raise
            pytest.skip(f"engine {self.name} refuses: {refusal}")
