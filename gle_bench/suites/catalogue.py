"""The suites behind the paper's tables and its figure 8."""

from collections.abc import Iterable

from gle_bench import registry
from gle_bench.errors import look_up
from gle_bench.paper import FIGURE_8, RESULTS, SUITES
from gle_bench.suites.file import from_file
from gle_bench.suites.matrix import Entry, Suite
from gle_bench.surroundings.home import expanded


def suite(name: str) -> Suite:
    """The suite of that name, or the suite in that TOML file.

    Raises:
        UsageError: a file that cannot be read. UnknownName: with the nearest name.
    """
    if name.endswith(".toml"):
        return from_file(expanded(name))
    summary = look_up("suite", name, SUITES)
    if name == "figure8":
        entries = [entry for panel in FIGURE_8.values() for entry in _entries(panel.task, panel.models)]
        return Suite(name, summary, tuple(dict.fromkeys(entries)))
    task = RESULTS[name.removeprefix("table")]
    models = dict.fromkeys(cell.model for cell in registry.task(task).published)
    entries = _entries(task, models)
    if name == "table2":  # the paper validates on the test split of MNIST-1D, so that `clean` has other results
        entries += [entry.model_copy(update={"protocol": "clean"}) for entry in entries]
    return Suite(name, summary, tuple(entries))


def _entries(task: str, models: Iterable[str]) -> list[Entry]:
    registered = {pair.model for pair in registry.pairs() if pair.task == task}
    return [Entry(task=task, model=model) for model in models if model in registered]
