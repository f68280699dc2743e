"""glebench: a benchmark suite and experiment tracker for learning in space and time.

The functions of `gle_bench.api`, and what those need who add a task, a model or a rule, are attributes of this package.
They are imported when they are first used, so that `import gle_bench` takes no time.
"""

TYPE_CHECKING = False  # the name that type checkers know; nothing is imported before the current folder is left
if TYPE_CHECKING:
    from gle_bench.api import Runs, compare, data, figure, module, network, plot, run, runs, table
    from gle_bench.contracts import ClosedFormRule, GradientRule, OfflineModel, OnlineModel, OnlineRule, Pair, Task
    from gle_bench.dynamics.seams import Observer

__version__ = "0.1.0"
__all__ = [
    "ClosedFormRule",
    "GradientRule",
    "Observer",
    "OfflineModel",
    "OnlineModel",
    "OnlineRule",
    "Pair",
    "Runs",
    "Task",
    "compare",
    "data",
    "figure",
    "module",
    "network",
    "plot",
    "run",
    "runs",
    "table",
]

_PLACES = {  # {module: the names that it gives}
    "api": ("Runs", "compare", "data", "figure", "module", "network", "plot", "run", "runs", "table"),
    "contracts": ("ClosedFormRule", "GradientRule", "OfflineModel", "OnlineModel", "OnlineRule", "Pair", "Task"),
    "dynamics.seams": ("Observer",),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{place}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
