"""Descriptions of tasks, models, rules and runs (`glebench show`), as plain data and as text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gle_bench import registry
from gle_bench.contracts import Pair, Published, Task, footing
from gle_bench.contracts.parameters import parameter_count
from gle_bench.errors import UnknownName, did_you_mean, look_up
from gle_bench.plugins import guarded
from gle_bench.report.results import pairs_of
from gle_bench.report.tables.cells import published_text
from gle_bench.report.terminal import run_sheet
from gle_bench.report.terminal.layout import Blocks, bullets, fields, heading, number, table, text_of
from gle_bench.report.terminal.run_sheet import CostsOf, describe_run
from gle_bench.tracking.costs import kept
from gle_bench.words import PROTOCOLS


def describe(which: str, runs: Path, costs_of: CostsOf = kept) -> dict[str, Any]:
    """The description of the task, the model, the rule or the run of that name, looked for in this order.

    `costs_of` returns the costs of running a run's network, or why they are not known.

    Raises:
        UnknownName: there is none; with the nearest names. UsageError: several runs begin so.
    """
    tasks = registry.places("tasks")
    if which in tasks:
        return describe_task(which)
    models = {pair.model for pair in registry.pairs()}
    if which in models:
        return describe_model(which)
    rules = registry.places("rules")
    if which in rules:
        return describe_rule(which)
    try:
        return describe_run(runs, which, costs_of)
    except UnknownName as error:
        if any(which.startswith(f"{task}-") for task in tasks) or Path(which).name != which:
            raise  # the name is that of a run, or a path
        none = f"No run in {runs.absolute()} begins so, either."
        raise UnknownName(f"{did_you_mean('name', which, [*tasks, *models, *rules])} {none}") from error


def as_text(description: Mapping[str, Any]) -> str:
    """A description as text of at most 120 columns."""
    blocks = {"task": _task_blocks, "model": _model_blocks, "rule": _rule_blocks, "run": run_sheet.blocks}
    return text_of(blocks[description["kind"]](description))


def describe_task(name: str) -> dict[str, Any]:
    """The description of a task: its protocols, published results and models.

    Raises:
        UnknownName: with the nearest name.
    """
    place = look_up("task", name, registry.places("tasks"))
    with guarded(f"Task {name}"):
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
            "models": [_described(task, pair) for pair in pairs_of(task).values()],
            "absent": _absent(name),
            "notes": list(task.notes),
        }


def describe_model(name: str) -> dict[str, Any]:
    """The description of a model: its settings on every task that has it.

    Raises:
        UnknownName: with the nearest name.
    """
    pairs = [pair for pair in registry.pairs() if pair.model == name]
    if not pairs:
        raise UnknownName(did_you_mean("model", name, {pair.model for pair in registry.pairs()}))
    with guarded(f"Model {name}"):
        tasks = [_described(registry.task(pair.task), pair) | {"config": _settings(pair)} for pair in pairs]
    return {"kind": "model", "name": name, "tasks": tasks}


def describe_rule(name: str) -> dict[str, Any]:
    """The description of a learning rule: its footing and its options.

    Raises:
        UnknownName: with the nearest name.
    """
    rule = registry.rule(name)
    return {
        "kind": "rule",
        "name": name,
        "summary": registry.rule_summary(name),
        "derived": rule.derived,
        "version": rule.version,
        "footing": vars(rule.granted),
        "options": rule.options().model_dump(mode="json"),
    }


def _absent(task: str) -> list[dict[str, Any]]:
    """The models that have no pair with a task, by the reason; models that only lack a recipe are left out."""
    models = dict.fromkeys(pair.model for pair in registry.pairs())
    by_reason: dict[str, list[str]] = {}
    for model in models.keys() - {pair.model for pair in registry.pairs() if pair.task == task}:
        by_reason.setdefault(registry.absence(task, model), []).append(model)
    by_reason.pop(registry.NO_RECIPE, None)
    return [{"models": sorted(names), "reason": reason} for reason, names in sorted(by_reason.items())]


def _described(task: Task, pair: Pair) -> dict[str, Any]:
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


def _settings(pair: Pair) -> dict[str, Any]:
    return pair.configure("paper").model_dump(mode="json", include={"options", "network", "training", "precision"})


def _task_blocks(task: Mapping[str, Any]) -> Blocks:
    shape, metric = task["shape"], task["metric"]
    yield task["summary"]
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    evaluated = [f"{name} (watches {protocol['evaluated_on']})" for name, protocol in task["protocols"].items()]
    yield fields(
        {
            "task": f"{task['name']} (version {task['version']})",
            "shape": f"{shape['steps']} time steps, {shape['inputs']} -> {shape['outputs']} channels",
            "metric": f"{metric['name']}{unit}, {metric['better']} is better; loss {task['loss']}",
            "protocols": ", ".join(evaluated),
        }
    )
    yield heading("Models")
    yield table(("model", "parameters", "rule", "steps", "seeds", ""), map(_model_cells, task["models"]))
    if task["published"]:
        yield heading("Published")
        header = ("model", "value", "spread", "n", "selection", "split", "margin ±", "source")
        yield table(header, map(_published, task["published"]))
    yield from _notes(task["notes"])
    if task["absent"]:
        yield heading("Models that do not suit it")
        yield from bullets(f"{', '.join(absent['models'])}: {absent['reason']}" for absent in task["absent"])


def _model_cells(model: Mapping[str, Any]) -> list[str]:
    size, rule = f"{model['parameters']:,}", registry.rule_title(model["rule"])
    return [model["name"], size, rule, str(model["steps"]), _seeds(model["seeds"]), model["summary"]]


def _published(cell: Mapping[str, Any]) -> list[str]:
    value = published_text(Published(**cell)).replace("±", " ± ")
    margin = "no verdict" if cell["margin"] is None else f"{cell['margin']:g}"
    where = [cell["selection"], cell["split"], margin, cell["source"]]
    return [cell["model"], value, cell["spread_kind"], number(cell["n"]), *where]


def _model_blocks(model: Mapping[str, Any]) -> Blocks:
    for on in model["tasks"]:
        granted = _granted(on["footing"])
        yield f"{model['name']} on {on['task']}: {on['summary']}"
        yield fields(
            {
                "parameters": f"{on['parameters']:,}",
                "rule": f"{registry.rule_title(on['rule'])}{f' ({granted})' if granted else ''}",
                "time steps": str(on["steps"]),
                "seeds": f"{_seeds(on['seeds'])} (the paper's)",
                **{part: _assignments(values) for part, values in on["config"].items()},
            }
        )
        yield from _notes(on["notes"])


def _rule_blocks(rule: Mapping[str, Any]) -> Blocks:
    yield rule["summary"]
    yield fields(
        {
            "rule": f"{registry.rule_title(rule['name'])} (version {rule['version']})",
            "granted": _granted(rule["footing"]) or "nothing",
            "options": _assignments(rule["options"]) or "none",
        }
    )


def _granted(footing: Mapping[str, bool]) -> str:
    return ", ".join(name.replace("_", " ") for name, yes in footing.items() if yes)


def _notes(notes: Sequence[str]) -> Iterator[Any]:
    if notes:
        yield heading("Notes")
        yield from bullets(notes)


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _assignments(values: Any) -> str:
    if not isinstance(values, dict):
        return str(values)
    return ", ".join(f"{name} = {value}" for name, value in values.items() if value is not None)
