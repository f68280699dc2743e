"""What the command line does around `execute`: previews, estimates, `prepare`; free of parsing and printing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.protocols import Pair
from gle_bench.report.summary import duration
from gle_bench.tracking.record import Record
from gle_bench.training.estimate import seconds
from gle_bench.training.execute import feed_for
from gle_bench.training.plan import Settings, plan


def preview(config: RunConfig, seeds: Sequence[int], settings: Settings) -> dict[str, Any]:
    """What `run` would do, and for how long; runs a few steps to find out."""
    todo = plan(config, seeds, settings)
    pending = list(todo.pending)
    return {
        "task": config.task,
        "model": config.model,
        "rule": config.rule,
        "protocol": config.protocol,
        "budget": config.budget,
        "config_hash": todo.hash,
        "engine": todo.experiment.engine,
        "engine_reason": todo.engine_reason,
        "device": todo.device,
        "cached": {str(seed): record.status for seed, record in todo.finished.items()},
        "to_run": {str(seed): str(folder.path) for seed, folder in todo.pending.items()},
        "rounds": len(todo.ends) - 1,
        "seconds": round(seconds(todo, pending, feed_for(todo, pending, 0)), 1) if pending else 0.0,
        "config": config.model_dump(mode="json"),
    }


def preview_text(preview: dict[str, Any]) -> str:
    """The preview for a reader."""
    head = (
        "{task} {model}: rule {rule}, protocol {protocol}, budget {budget}, engine {engine} on {device} ({config_hash})"
    )
    lines = [head.format(**preview)]
    lines += [f"  seed {seed:<4} cached: {status}" for seed, status in preview["cached"].items()]
    lines += [f"  seed {seed:<4} would run, in {folder}" for seed, folder in preview["to_run"].items()]
    if preview["to_run"]:
        lines.append(
            f"  {preview['rounds']} rounds, about {duration(preview['seconds'])}: "
            "estimated from a few steps on this machine, for a start from the beginning"
        )
    return "\n".join(lines)


def full_seconds(config: RunConfig, pair: Pair, records: Sequence[Record]) -> float | None:
    """What all of the paper's seeds would take at full length, by the rate of these runs; None if it is not known."""
    record = next((r for r in records if r.status == "done" and r.cost.wall_s > 0), None)
    if record is None:
        return None
    whole, task = pair.configure("paper"), registry.task(config.task)
    here, full = config.training, whole.training
    if here.batch_size != full.batch_size or task.shape(config.options) != task.shape(whole.options):
        return None
    if here.epochs and full.epochs:
        ratio = full.epochs / here.epochs
    elif here.batches and full.batches:
        ratio = full.batches / here.batches
    else:
        return None
    return record.cost.wall_s / record.cost.networks * ratio * len(pair.seeds)


def prepare(name: str, folder: Path, report: Callable[[str], None]) -> None:
    """Gets or makes the data of a task, in every form that its models use.

    Raises:
        GleBenchError: an unknown task, or data that cannot be had.
    """
    task = registry.task(name)
    options = {pair.configure("paper").options for pair in registry.pairs() if pair.task == name} or {task.options()}
    for option in sorted(options, key=str):
        task.prepare(folder / name, option, report)
    report(f"The data of {name} are in {folder / name}.")
