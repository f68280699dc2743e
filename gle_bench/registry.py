"""The registry: tasks, rules and pairs of task and model by their names, built in or from plugins' entry points.

It names modules by dotted strings, and imports a module only when it is asked for. Entry points `glebench.tasks` and
`glebench.rules` name a class, `glebench.models` a module with `PAIRS` (a task's module may have them, too).
"""

from __future__ import annotations

import inspect
import sys
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gle_bench import plugins
from gle_bench.errors import NAME, GleBenchError, UnknownName, UsageError, did_you_mean, look_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gle_bench.contracts import LearningRule, Pair, Refused, Task
    from gle_bench.words import PluginPart

TASKS = {
    "chain": "gle_bench.tasks.chain:ChainTask",
    "cifar10": "gle_bench.tasks.cifar10:CIFAR10",
    "gsc": "gle_bench.tasks.gsc:GSC",
    "mackey-glass": "gle_bench.tasks.mackey_glass:MackeyGlass",
    "mnist1d": "gle_bench.tasks.mnist1d:MNIST1D",
    "small-nets": "gle_bench.tasks.small_nets:SmallNets",
}
RULES = {
    "adjoint": "gle_bench.rules.adjoint:Adjoint",
    "backprop": "gle_bench.rules.backprop:Backprop",
    "bptt": "gle_bench.rules.bptt:BPTT",
    "eprop": "gle_bench.rules.local:EProp",
    "eprop-full": "gle_bench.rules.local:EPropFull",
    "gle": "gle_bench.rules.gle:GLE",
    "gle-clipped": "gle_bench.rules.local:GLEClipped",
    "gle-e": "gle_bench.rules.local:GLEEligibility",
    "gle-e-full": "gle_bench.rules.local:GLEEligibilityFull",
    "gle-fa": "gle_bench.rules.local:GLEFeedbackAlignment",
    "gle-full": "gle_bench.rules.local:GLEFull",
    "gle-gain": "gle_bench.rules.local:GLEGain",
    "gle-kp": "gle_bench.rules.local:GLEKolenPollack",
    "gle-lowpass": "gle_bench.rules.local:GLELowpass",
    "instantaneous": "gle_bench.rules.local:Instantaneous",
    "instantaneous-full": "gle_bench.rules.local:InstantaneousFull",
    "lru-online": "gle_bench.rules.lru_online:LRUOnline",
    "readout": "gle_bench.rules.closed_form:ReadoutRule",
    "rflo": "gle_bench.rules.local:RFLO",
    "rtrl": "gle_bench.rules.rtrl:RTRL",
    "snap": "gle_bench.rules.snap:SnAp",
}
MODELS = {  # modules with pairs, in the order in which models are listed: a baseline's family, or a task's GLE networks
    "esn": "gle_bench.baselines.esn",
    "mnist1d": "gle_bench.recipes.mnist1d",
    "gsc": "gle_bench.recipes.gsc",
    "cifar10": "gle_bench.recipes.cifar10",
    "mackey-glass": "gle_bench.recipes.mackey_glass",
    "causal": "gle_bench.baselines.causal",
    "chain": "gle_bench.recipes.chain",
    "small-nets": "gle_bench.recipes.small_nets",
    "lookback": "gle_bench.baselines.lookback",
    "lru": "gle_bench.baselines.lru",
    "mlp": "gle_bench.baselines.mlp",
    "predictors": "gle_bench.baselines.predictors",
    "rnn": "gle_bench.baselines.rnn",
    "tcn": "gle_bench.baselines.tcn",
}
_ABSENT = object()
NO_RECIPE = "no recipe yet; docs/add-a-model.md says how to add one"
KINDS = {"tasks": TASKS, "models": MODELS, "rules": RULES}  # plugins add to a kind by entry points `glebench.<kind>`


def places(kind: str) -> dict[str, str]:
    """The dotted place of every task, rule or module of models, by name: built-in ones, then those of plugins.

    A name belongs to the first that has it; a plugin that gives it again is reported.
    """
    return dict(KINDS[kind]) | {name: point.value for name, point in points(kind).items()}


def points(kind: str) -> dict[str, EntryPoint]:
    """The entry points of the tasks, rules or modules of models that plugins add, by name."""
    added: dict[str, EntryPoint] = {}
    for point in plugins.offered(kind):
        if EntryPoint.pattern.match(point.value) is None:
            plugins.complain(f"{plugins.called(point)}: {point.value!r} is not the place of a module; it is left out.")
            continue
        holder = KINDS[kind].get(point.name) or added.setdefault(point.name, point).value
        if holder != point.value:
            plugins.complain(f"{plugins.called(point)}: the name is taken by {holder}; the plugin's is left out.")
        elif not NAME.fullmatch(point.name):
            plugins.complain(f"{plugins.called(point)}: such a name cannot name a folder; it is left out.")
            del added[point.name]
    return added


def load(place: str) -> Any:
    """The module at 'module', or the object at 'module:attribute', imported.

    Raises:
        GleBenchError: if it cannot be imported.
    """
    module, _, attribute = place.partition(":")
    try:
        with redirect_stdout(sys.stderr):  # so that a module's prints do not mix with the command's output
            imported = import_module(module)
            return getattr(imported, attribute) if attribute else imported
    except BaseException as error:  # a plugin's module may fail in any way, and must not end the program
        reason = plugins.failure(error)
        raise GleBenchError(f"Cannot load {place}: {reason}. Install what it needs, or remove its plugin.") from error


def summary(place: str) -> str:
    """The first line of the docstring of a place's module, read without an import; '(missing: why)' if that fails."""
    import ast
    from importlib.util import find_spec

    from gle_bench.files.foreign import Malformed, content, parsing, reason

    try:
        with parsing():  # a plugin's package may be gone, or hold no Python
            spec = find_spec(place.partition(":")[0])
            if spec is None or spec.origin is None:
                return "(missing)"
            text = ast.get_docstring(ast.parse(content(Path(spec.origin)))) or ""
    except (OSError, Malformed) as error:
        return f"(missing: {reason(error)})"
    return text.partition("\n")[0]


def task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownName: there is none; names the nearest. GleBenchError: it is a plugin's, and cannot be used.
    """
    from gle_bench.contracts import Task

    place = look_up("task", name, places("tasks"))
    checked: Task = plugins.checked(lambda: load(place)(), Task, name, f"Task {place}")
    return checked


def rule(name: str) -> LearningRule:
    """The learning rule of that name.

    Raises:
        UnknownName: there is none; names the nearest. GleBenchError: it is a plugin's, and cannot be used.
    """
    from gle_bench.contracts import LearningRule

    place = look_up("rule", name, places("rules"))
    checked: LearningRule = plugins.checked(lambda: load(place)(), LearningRule, name, f"Rule {place}")
    with plugins.guarded(f"Making the options of rule {name}"):
        checked.options()
    return checked


def usable_rule(name: str) -> LearningRule | None:
    """The rule of that name; None if there is none, or if it cannot be used, which is reported once."""
    if name not in places("rules"):
        return None
    try:
        return rule(name)
    except GleBenchError as error:
        plugins.complain(str(error))
        return None


def rule_title(name: str) -> str:
    """A rule's name beside results, such as 'gle-e (derived)' for a rule that this project derived."""
    return f"{name} (derived)" if is_derived(name) else name


def is_derived(name: str) -> bool:
    """Whether this project derived a rule; False if the rule cannot be used."""
    its_rule = usable_rule(name)
    return its_rule is not None and its_rule.derived


def rule_summary(name: str) -> str:
    """First line of the docstring of a rule's class; of its module, where the rule cannot be used."""
    its_rule = usable_rule(name)
    text = "" if its_rule is None else inspect.cleandoc(type(its_rule).__doc__ or "")
    return text.partition("\n")[0] or summary(places("rules")[name])


def pairs() -> list[Pair]:
    """All pairs of task and model that can be loaded: built-in ones in the registry's order, then those of plugins."""
    return [pair for pair, _ in _pairs().values()]


def sources(task_name: str, of_pair: EntryPoint | None, rule_name: str) -> dict[PluginPart, EntryPoint]:
    """The entry points of the plugins that supply the task, the model or the rule of a run; empty if all are built in.

    `of_pair` is the entry point that supplies the pair, as `find` returns it.
    """
    parts: dict[PluginPart, EntryPoint | None] = {
        "task": points("tasks").get(task_name),
        "model": of_pair,
        "rule": points("rules").get(rule_name),
    }
    return {part: point for part, point in parts.items() if point is not None}


@cache
def _pairs() -> dict[tuple[str, str], tuple[Pair, EntryPoint | None]]:
    """Every pair by task and model, with the entry point that supplies it, None if it is built in.

    Of two pairs with the same names the first stays.
    """
    by_names: dict[tuple[str, str], tuple[Pair, EntryPoint | None]] = {}
    modules: set[str] = set()  # one module may hold several tasks, or a task and its models
    for module, point, needed in _modules():
        if module in modules:
            continue
        modules.add(module)
        for pair in _pairs_of(module, point, needed):
            holder, _ = by_names.setdefault((pair.task, pair.model), (pair, point))
            if point is not None and holder is not pair:
                text = f"{pair.task} has a model {pair.model} already; the plugin's is left out."
                plugins.complain(f"{plugins.called(point)}: {text}")
    return by_names


def absence(task_name: str, model: str) -> str:
    """The reason why a task and a model have no pair, as a clause: that of `REFUSED`, or that nobody wrote a recipe."""
    return next(filter(None, (_reason(entry, task_name, model) for entry in _refused())), NO_RECIPE)


def _reason(entry: Refused, task_name: str, model: str) -> str | None:
    suits = model not in entry.models or (entry.tasks is not None and task_name not in entry.tasks)
    return None if suits else entry.reason


@cache
def _refused() -> tuple[Refused, ...]:
    """The entries of `REFUSED` of all modules that may have PAIRS, in their order. A faulty module has none."""
    entries: dict[Refused, None] = {}
    for module, point, _ in _modules():
        try:
            with plugins.guarded(module):
                declared: Any = getattr(load(module), "REFUSED", ())
        except GleBenchError:
            continue  # `_pairs` reports it
        entries |= dict.fromkeys(
            declared if point is None else plugins.checked_refusals(declared, plugins.called(point))
        )
    return tuple(entries)


def _modules() -> Iterator[tuple[str, EntryPoint | None, bool]]:
    """Modules that may have PAIRS, each with its entry point, None if it is built in, and whether it must have them."""
    yield from ((module, None, False) for module in MODELS.values())
    yield from ((place.partition(":")[0], None, False) for place in TASKS.values())
    yield from ((point.module, point, True) for point in points("models").values())
    yield from ((point.module, point, False) for point in points("tasks").values())


def _pairs_of(module: str, point: EntryPoint | None, needed: bool) -> Iterable[Pair]:
    """The usable pairs of a module; a module that cannot be loaded loses only its own."""
    source = f"{plugins.called(point)}: " if point is not None else ""
    try:
        with plugins.guarded(module):
            declared: Any = getattr(load(module), "PAIRS", _ABSENT)
    except GleBenchError as error:
        plugins.complain(f"{source}{error}")
        return ()
    if declared is _ABSENT:
        if needed:
            plugins.complain(f"{source}the module has no PAIRS, and so no models.")
        return ()
    return declared if point is None else plugins.checked_pairs(declared, plugins.called(point))


def pair(task_name: str, model: str) -> Pair:
    """The pair of that task and model.

    Raises:
        UnknownName: an unknown task or model.
        UsageError: both exist, but not together.
    """
    return find(task_name, model)[0]


def find(task_name: str, model: str) -> tuple[Pair, EntryPoint | None]:
    """A pair and the entry point that supplies it, None if it is built in. Raises what `pair` raises."""
    look_up("task", task_name, places("tasks"))
    by_names = _pairs()
    if (task_name, model) in by_names:
        return by_names[task_name, model]
    models = sorted(name for of, name in by_names if of == task_name)
    others = ", ".join(sorted(of for of, name in by_names if name == model))
    if others:
        raise UsageError(
            f"Model '{model}' has no configuration for task '{task_name}', only for {others}: "
            f"{absence(task_name, model)}. "
            f"Models of {task_name}: {', '.join(models)}."
        )
    raise UnknownName(did_you_mean("model", model, models))
