"""What the command line does around `execute`: previews, estimates, `prepare`; free of parsing and printing."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.contracts import Batch, OnlineModel, Pair
from gle_bench.dynamics.engines.interface import Window
from gle_bench.plugins import guarded
from gle_bench.report.terminal.summary import duration
from gle_bench.tracking.record import Record
from gle_bench.training.data import Feed, round_ends
from gle_bench.training.execute import feed_for, kind
from gle_bench.training.modules.gradient import WholeModule
from gle_bench.training.modules.online import OnlineModule
from gle_bench.training.plan import Plan, Settings, missing, plan

PROBED_STEPS: Final = 30
PROBED_BATCHES: Final = 8


class Pace(NamedTuple):
    """Measured seconds of a batch, fetched and learned, and of an evaluation, of `networks` side by side.

    `final` is how many evaluations' worth of samples are looked at when training is over.
    """

    batch: float
    evaluation: float
    networks: int
    final: float

    def seconds(self, ends: list[int], seeds: int) -> float:
        """From the start, for rounds that end after these numbers of batches."""
        return seeds / self.networks * (ends[-1] * self.batch + (len(ends) + self.final) * self.evaluation)


def measure(todo: Plan, seeds: list[int], feed: Feed) -> Pace:
    """The pace of `seeds`; `feed` is that of a round of several batches, where there is one.

    Online: some steps of the whole ensemble, learning and evaluating. Offline: updates and an evaluation of one seed.
    """
    splits = todo.any_data.splits
    final = 2 * len(splits["test"]) / len(splits[todo.watched]) if todo.keeps_test else 0.0  # by last and best weights
    online = isinstance(todo.experiment.config.network, OnlineModel)
    batch, evaluation, networks = (_online if online else _whole)(todo, seeds, feed)
    return Pace(batch, evaluation, networks, final)


def _whole(todo: Plan, seeds: list[int], feed: Feed) -> tuple[float, float, int]:
    module, held_out = kind(todo.experiment)(todo.experiment, seeds[:1]), feed.val_dataloader()
    assert isinstance(module, WholeModule)
    batch, first = _interval(_updates(module, feed.train_dataloader())), next(iter(held_out))
    return batch, len(held_out) * _time(lambda: _evaluate(module, first)), 1


def _online(todo: Plan, seeds: list[int], feed: Feed) -> tuple[float, float, int]:
    ensemble, held_out, batches = OnlineModule(todo.experiment, seeds), feed.val_dataloader(), feed.train_dataloader()
    fetching = _interval(batches)  # ahead of time, while the batch before is learned
    batch, first = next(iter(batches)), next(iter(held_out))
    steps = min(PROBED_STEPS, batch.steps)
    learning = _time(lambda: _learn(ensemble, batch, steps)) / steps * batch.steps
    inferring = _time(lambda: _infer(ensemble, first, steps)) / steps * batch.steps
    return max(fetching, learning), len(held_out) * inferring, len(seeds)


def _interval(things: Iterable[object]) -> float:
    """Seconds between things that come one after the other; the first ones, which warm up, do not count."""
    start = time.perf_counter()
    came = [start, *(time.perf_counter() for _ in islice(things, PROBED_BATCHES))]
    counted = came[len(came) // 3 :]
    return (counted[-1] - counted[0]) / (len(counted) - 1)


def _time(call: Callable[[], object]) -> float:
    """Seconds of the faster of two calls after a first one, which warms up."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _learn(module: OnlineModule, batch: Batch, steps: int) -> None:
    window = module.window(batch).part(0, steps)
    rates = torch.full((len(module.seeds),), module.experiment.config.training.rate)
    module.engine.learn(module.net, module.experiment.rule, module.optimizer, module.carry, window, rates)


def _infer(module: OnlineModule, batch: Batch, steps: int) -> None:
    window = Window(batch.steps, batch.inputs, None, None).part(0, steps)
    module.engine.infer(module.net, module.carry.parameters, module.carry.state, window)


def _updates(module: WholeModule, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Learns from each batch, and passes it on."""
    for batch in batches:
        module.learn(batch)
        yield batch


def _evaluate(module: WholeModule, batch: Batch) -> None:
    with torch.no_grad():
        module.evaluate(batch)
        module.evaluate_otherwise(batch)


def preview(config: RunConfig, seeds: Sequence[int], settings: Settings) -> dict[str, Any]:
    """What `run` would do, and for how long; runs a few steps to find out.

    Raises:
        GleBenchError: like `plan`, and where data would have to be downloaded.
    """
    task, folder = registry.task(config.task), settings.data / config.task
    if task.downloads and not task.is_prepared(folder, config.options):
        raise missing(task, folder, "--dry-run, which downloads nothing")
    todo = plan(config, seeds, settings)
    pending = list(todo.pending)
    with guarded(f"A few steps of {config.model} on {config.task}"):
        pace = measure(todo, pending, feed_for(todo, pending, min(1, len(todo.ends) - 2))) if pending else None
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
        "seconds": round(pace.seconds(todo.ends, len(pending)), 1) if pace else 0.0,
        "full_seconds": _full(todo, pace) if pace else None,
        "config": config.model_dump(mode="json"),
    }


def _full(todo: Plan, pace: Pace) -> float | None:
    """Estimated seconds of all of the paper's seeds at full length; None where another pace would be needed."""
    config = todo.experiment.config
    pair = registry.pair(config.task, config.model)
    whole = pair.configure("paper")
    if not _alike(config, whole):
        return None
    return round(pace.seconds(round_ends(whole.training, todo.samples), len(pair.seeds)), 1)


def _alike(config: RunConfig, other: RunConfig) -> bool:
    """Whether a batch of both is the same work."""
    sizes = [(c.training.batch_size, c.training.evaluation_batch_size) for c in (config, other)]
    return (config.options, config.network, sizes[0]) == (other.options, other.network, sizes[1])


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
    if preview["full_seconds"] is not None and preview["budget"] != "paper":
        lines.append(
            f"  the full run, --budget paper --seeds paper: about {duration(preview['full_seconds'])}, likewise"
        )
    return "\n".join(lines)


def full_seconds(config: RunConfig, pair: Pair, records: Sequence[Record]) -> float | None:
    """What all of the paper's seeds would take at full length, by the rate of these runs; None if it is not known."""
    record = next((r for r in records if r.status == "done" and r.cost.wall_s > 0), None)
    whole = pair.configure("paper")
    if record is None or not _alike(config, whole) or "train" not in record.data.sizes:
        return None
    here, full = (round_ends(c.training, record.data.sizes["train"])[-1] for c in (config, whole))
    return record.cost.seconds_of_a_seed * full / here * len(pair.seeds)


def prepare(name: str, folder: Path, report: Callable[[str], None]) -> None:
    """Gets or makes the data of a task, in every form that its models use.

    Raises:
        GleBenchError: an unknown task, or data that cannot be had.
    """
    task = registry.task(name)
    with guarded(f"Task {name}"):
        pairs = [pair for pair in registry.pairs() if pair.task == name]
        options = {pair.configure("paper").options for pair in pairs} or {task.options()}
        for option in sorted(options, key=str):
            task.prepare(folder / name, option, report)
        seed = pairs[0].seeds[0] if task.data_per_seed and pairs else None
        official, notes = True, dict[str, None]()
        for option in options:
            loaded = task.load(folder / name, option, "paper", seed)
            official, notes = official and loaded.official, notes | dict.fromkeys(loaded.notes)
        for line in notes:
            report(f"{name}: {line}")
        note = "" if official else ", and are not the official ones: runs take them with --accept-data alone"
        report(f"The data of {name} are in {folder / name}{note}.")
