"""Sweeps: the grid of several values of some settings as a suite, and what was measured on it."""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, Final

from gle_bench import registry
from gle_bench.chosen import resolve as choose
from gle_bench.errors import UsageError, clipped
from gle_bench.overrides import path_of, value_of
from gle_bench.report.grid import Grid, Point, peeking
from gle_bench.report.results import ConfigurationRuns
from gle_bench.suites.matrix import Entry, Suite
from gle_bench.suites.states import Standing
from gle_bench.suites.values import Swept
from gle_bench.words import Selection

MOST: Final = 1000  # configurations of a sweep; more are taken for a typing error


class GridEntry(Entry):
    """An entry that a sweep made; `axes` are the keys in its settings that the sweep varies."""

    axes: tuple[str, ...] = ()


def combinations(settings: Sequence[Swept]) -> list[tuple[str, ...]]:
    """Every combination of the settings' values, as texts 'key=value'; the last setting changes fastest."""
    return [*product(*([f"{each.key}={value}" for value in each.values] for each in settings))]


def grid(entry: Entry, settings: Sequence[Swept]) -> list[GridEntry]:
    """An entry for each combination of the settings' values, the last setting changing fastest.

    Raises:
        UsageError: there are too many, an entry is refused, or two are the same configuration.
    """
    count = prod(len(each.values) for each in settings)
    if count > MOST:
        sizes = " x ".join(str(len(each.values)) for each in settings)
        raise UsageError(
            f"A sweep of {sizes} = {count:,} configurations is too large; at most {MOST:,} are run at once."
        )
    axes = tuple(each.key for each in settings if len(each.values) > 1)
    fields = {name: value for name, value in entry if name != "set"}
    entries = [GridEntry(**fields, set=(*entry.set, *assigned), axes=axes) for assigned in combinations(settings)]
    _check(entries, settings)
    return entries


def _check(entries: Sequence[Entry], settings: Sequence[Swept]) -> None:
    """Refuses values that a setting does not take, a setting that is named twice, and a configuration that is."""
    seen: dict[Any, Entry] = {}
    for entry in entries:
        try:
            chosen = choose(entry.task, entry.model, entry.rule, entry.protocol, entry.budget, entry.set)
        except UsageError as error:
            if "Input should be a list" in str(error) and any(len(each.values) > 1 for each in settings):
                raise UsageError(f"{error} Commas separate values; a list stands in brackets, as key=[1,2].") from error
            raise
        keys = [assignment.partition("=")[0].strip() for assignment in entry.set]
        paths = [path_of(chosen.config, key) for key in keys]
        twice = next((key for key, path in zip(keys, paths, strict=True) if paths.count(path) > 1), None)
        if twice is not None:
            raise UsageError(f"--set {clipped(twice)}: it is set twice; give all its values at once, as {twice}=1,2.")
        same = seen.setdefault(chosen.config.model_dump_json(), entry)
        if same is not entry:
            one, other = (", ".join(each.set) for each in (same, entry))
            raise UsageError(f"{one} and {other} are the same configuration; name each once.")


def suite(entry: Entry, settings: Sequence[Swept]) -> Suite:
    """The suite of a sweep of one model on one task.

    Raises:
        UsageError: no setting has several values; or as by `grid`.
    """
    axes = [each.key for each in settings if len(each.values) > 1]
    if not axes:
        raise UsageError(
            "A sweep needs a setting with several values, as --set rate=1e-3,2e-3; for a single one use `glebench run`."
        )
    rule = f"+{entry.rule}" if entry.rule else ""
    name = "-".join([f"sweep-{entry.task}-{entry.model}{rule}", *axes])
    return Suite(name, f"a sweep over {' and '.join(axes)}", tuple(grid(entry, settings)))


# What was measured ----------------------------------------------------------------------------------------------------


def grids(standings: Sequence[Standing], selection: Selection) -> list[Grid]:
    """The grids that the runs of a sweep make: one for each task, split and set of swept settings.

    The split is the one that is watched while training: a sweep chooses a setting, which must not be done by the test
    split where there is another.
    """
    groups: dict[tuple[str, str, tuple[str, ...]], list[Standing]] = {}
    for each in standings:
        entry = each.planned.entry
        split = registry.task(entry.task).evaluation_split(entry.protocol)
        groups.setdefault((entry.task, split, _axes(entry)), []).append(each)
    return [_grid(*key, members, selection) for key, members in groups.items()]


def _axes(entry: Entry) -> tuple[str, ...]:
    return entry.axes if isinstance(entry, GridEntry) else ()


def _grid(name: str, split: str, axes: tuple[str, ...], members: Sequence[Standing], selection: Selection) -> Grid:
    task = registry.task(name)
    protocols = {each.planned.entry.protocol for each in members}
    budgets = {each.planned.entry.budget for each in members}
    points = []
    for each in members:
        entry = each.planned.entry
        values = dict(reversed([assignment.split("=", 1) for assignment in entry.set]))
        others = [f"{key}={value}" for key, value in values.items() if key not in axes]
        parts = [f"{entry.model}{f'+{entry.rule}' if entry.rule else ''}", *reversed(others)]
        parts += [f"protocol {entry.protocol}"] if len(protocols) > 1 else []
        parts += [f"budget {entry.budget}"] if len(budgets) > 1 else []
        at = tuple(value_of(values[axis]) for axis in axes)
        records = tuple(sorted(each.records, key=lambda record: record.seed))
        scores = ConfigurationRuns(records, ()).values(selection, split, task.metric.name)
        points.append(Point(", ".join(parts), at, scores, _left(each)))
    notes = [f"Protocol {' and '.join(sorted(protocols))}, budget {' and '.join(sorted(budgets))}."]
    return Grid(
        name, task.metric, split, selection, axes, tuple(points), (*notes, *peeking(task, split, min(protocols)))
    )


def _left(each: Standing) -> tuple[str, ...]:
    states = [state for state in each.states.values() if state not in ("done", "published")]
    return tuple(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
