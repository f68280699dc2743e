"""What `glebench show` shows: a task, a model, or a run, as plain data and as text."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gle_bench import registry
from gle_bench.contracts import Pair, Task, footing
from gle_bench.contracts.parameters import parameter_count
from gle_bench.errors import UnknownName, UsageError, did_you_mean, look_up
from gle_bench.plugins import guarded
from gle_bench.report.output import plain
from gle_bench.report.results import gather_folders
from gle_bench.report.tables.costs import differences
from gle_bench.report.terminal.run_sheet import as_text
from gle_bench.surroundings.home import expanded
from gle_bench.tracking.costs import Complexity, kept
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RECORD, RunFolder
from gle_bench.words import PROTOCOLS

TAIL: Final = 8  # rows of a history that are shown

CostsOf = Callable[[RunFolder, Record], Complexity | str]  # the costs of running a run's network, or why there are none

__all__ = ["as_text", "describe", "describe_model", "describe_run", "describe_task"]


def describe(which: str, runs: Path, costs_of: CostsOf = kept) -> dict[str, Any]:
    """The task, the model or the run of that name; a task wins over a model, and both over a run.

    `costs_of` is asked for the costs of a run alone.

    Raises:
        UnknownName: there is none; with the nearest names. UsageError: several runs begin so.
    """
    if which in registry.places("tasks"):
        return describe_task(which)
    models = {pair.model for pair in registry.pairs()}
    if which in models:
        return describe_model(which)
    try:
        return describe_run(runs, which, costs_of)
    except UnknownName as error:
        tasks = registry.places("tasks")
        if any(which.startswith(f"{task}-") for task in tasks) or Path(which).name != which:
            raise  # it was meant to be a run
        none = f"No run in {runs.absolute()} begins so, either."
        raise UnknownName(f"{did_you_mean('name', which, [*tasks, *models])} {none}") from error


def describe_task(name: str) -> dict[str, Any]:
    """A task: its protocol, what was published, and its models.

    Raises:
        UnknownName: with the nearest name.
    """
    place = look_up("task", name, registry.places("tasks"))
    with guarded(f"Task {name}"):
        return _task(name, place)


def _task(name: str, place: str) -> dict[str, Any]:
    task = registry.task(name)
    steps, inputs, outputs = task.shape(task.options())
    return {
        "kind": "task",
        "name": name,
        "summary": registry.summary(place),
        "version": task.version,
        "shape": {"steps": steps, "inputs": inputs, "outputs": outputs},
        "metric": vars(task.metric),
        "loss": task.loss,
        "options": task.options().model_dump(mode="json"),
        "protocols": {protocol: {"evaluated_on": task.evaluation_split(protocol)} for protocol in PROTOCOLS},
        "published": [vars(cell) for cell in task.published],
        "models": [_pair(task, pair) for pair in registry.pairs() if pair.task == name],
        "notes": list(task.notes),
    }


def describe_model(name: str) -> dict[str, Any]:
    """A model on every task that it has a configuration for.

    Raises:
        UnknownName: with the nearest name.
    """
    pairs = [pair for pair in registry.pairs() if pair.model == name]
    if not pairs:
        raise UnknownName(did_you_mean("model", name, {pair.model for pair in registry.pairs()}))
    with guarded(f"Model {name}"):
        tasks = [_pair(registry.task(pair.task), pair) | {"config": _config(pair)} for pair in pairs]
    return {"kind": "model", "name": name, "tasks": tasks}


def describe_run(runs: Path, which: str, costs_of: CostsOf = kept) -> dict[str, Any]:
    """A run by its id, the beginning of one that no other shares, its folder or its record.json.

    Raises:
        UnknownName: with the nearest id. UsageError: several begin so. GleBenchError: it cannot be read.
    """
    folder, record = _find(runs, which)
    history = folder.read_history()
    return {
        "kind": "run",
        "folder": str(folder.path),
        "record": record.model_dump(mode="json"),
        "history": {"rows": len(history), "tail": plain(history[-TAIL:])},
        "complexity": _complexity(costs_of(folder, record)),
    }


def _complexity(costs: Complexity | str) -> dict[str, Any]:
    """What running the run's network costs; or why that is not known."""
    if isinstance(costs, str):
        return {"missing": costs}
    return costs.model_dump(mode="json") | {"differences": differences(costs)}


def _pair(task: Task, pair: Pair) -> dict[str, Any]:
    config = pair.configure("paper")
    return {
        "task": pair.task,
        "name": pair.model,
        "rule": config.rule,
        "parameters": parameter_count(task, config),
        "steps": task.shape(config.options).steps,
        "footing": vars(footing(registry.rule(config.rule), config.network)),
        "seeds": list(pair.seeds),
        "summary": pair.summary,
        "notes": list(pair.notes),
    }


def _config(pair: Pair) -> dict[str, Any]:
    return pair.configure("paper").model_dump(mode="json", include={"options", "network", "training", "precision"})


def _find(runs: Path, which: str) -> tuple[RunFolder, Record]:
    path = expanded(which)
    folder = RunFolder(path.parent if path.name == RECORD else path)
    record = folder.read()
    if record is not None:
        return folder, record
    found, _ = gather_folders(runs)
    known = {record.run_id: (folder, record) for folder, record in found}
    if which in known:
        return known[which]
    matching = [run_id for run_id in known if which and run_id.startswith(which)]
    if len(matching) > 1:
        raise UsageError(f"Run '{which}' could be any of {len(matching)}: {_first(matching)}. Write more of it.")
    if not matching:
        raise UnknownName(_unknown(which, sorted(known), runs))
    return known[matching[0]]


def _unknown(which: str, known: Sequence[str], runs: Path) -> str:
    """With the nearest id, but not with all of them: there may be thousands."""
    if not known:
        return f"Unknown run '{which}'. There are no runs in {runs.absolute()}."
    sentence = did_you_mean("run", which, known).partition(" Runs: ")[0]
    return f"{sentence} {runs.absolute()} has {len(known)}: {_first(known)}; `glebench list runs` names them all."


def _first(names: Sequence[str]) -> str:
    return ", ".join(islice(names, 3)) + (", ..." if len(names) > 3 else "")
