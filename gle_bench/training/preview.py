"""The preview of a run, whose time is measured in a few steps, and the preparation of a task's data."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, Final

import torch

from gle_bench import registry
from gle_bench.chosen import Chosen
from gle_bench.contracts import Batch
from gle_bench.dynamics.window import Window
from gle_bench.plugins import guarded
from gle_bench.surroundings.processes import is_request
from gle_bench.tracking.estimates import Length, Pace, duration, same_work, seconds
from gle_bench.training.data import Feed, round_ends
from gle_bench.training.execute import feed_for, module_class
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.gradient import WholeModule
from gle_bench.training.modules.online import OnlineModule
from gle_bench.training.plan import Settings, missing, plan

PROBED_STEPS: Final = 30  # time steps that are run to measure their time
PROBED_BATCHES: Final = 8  # batches that are fetched or learned from to measure their time


def preview(chosen: Chosen, seeds: Sequence[int], settings: Settings, full_command: str) -> dict[str, Any]:
    """A description of what `run` would do and of the time it would take, which is measured in a few steps.

    Raises:
        GleBenchError: like `plan`, and where data would have to be downloaded.
    """
    config, task, folder = chosen.config, chosen.task, settings.data / chosen.config.task
    if task.downloads and not task.is_prepared(folder, config.options):
        raise missing(task, folder, "--dry-run, which downloads nothing")
    planned = plan(chosen, seeds, settings)
    experiment, pending = planned.experiment, list(planned.pending)
    with guarded(f"A few steps of {config.model} on {config.task}"):
        pace = measure(experiment, pending) if pending else None
    return {
        **config.model_dump(include={"task", "model", "rule", "protocol", "budget"}),
        "config_hash": planned.hash,
        "engine": experiment.engine.engine,
        "engine_reason": experiment.engine.reason,
        "device": experiment.device,
        "cached": {str(seed): record.status for seed, record in planned.finished.items()},
        "to_run": {str(seed): str(folder.path) for seed, folder in planned.pending.items()},
        "rounds": len(experiment.ends) - 1,
        "seconds": round(seconds(_length(experiment, experiment.ends), pace, len(pending)), 1) if pace else 0.0,
        "full_seconds": _full_seconds(experiment, pace) if pace else None,
        "full_command": full_command,
        "config": config.model_dump(mode="json"),
    }


def _full_seconds(experiment: Experiment, pace: Pace) -> float | None:
    """The seconds of full runs of all the paper's seeds; None if their batches differ from those that were measured."""
    pair = experiment.chosen.pair
    whole = pair.configure("paper")
    if not same_work(experiment.config, whole):
        return None
    return round(seconds(_length(experiment, round_ends(whole.training, experiment.samples)), pace, len(pair.seeds)), 1)


def forecast(experiment: Experiment, learned: Mapping[int, int], report: Callable[[str], None]) -> None:
    """Reports how long a run will take, at a pace that is measured in a few steps, and how long `smoke` would.

    Budget `smoke` is not worth measuring. A pace that cannot be measured is not reported: the run tells what is wrong.

    Args:
        learned: for each seed to run, the batches that it has learned from already.
    """
    budget = experiment.config.budget
    if budget == "smoke":
        return
    try:
        pace = measure(experiment, list(learned))
    except BaseException as error:  # a plugin's code may raise anything
        if is_request(error):
            raise
        return
    whole, part = _length(experiment, experiment.ends), 1 - mean(learned.values()) / experiment.ends[-1]
    line = f"About {duration(part * seconds(whole, pace, len(learned)))} left" if any(learned.values()) else ""
    line = line or f"Budget {budget} takes about {duration(seconds(whole, pace, len(learned)))}"
    smoke = experiment.chosen.pair.configure("smoke")
    if experiment.config.training == experiment.chosen.own.training and same_work(experiment.config, smoke):
        length = _length(experiment, round_ends(smoke.training, experiment.samples))
        other = f"; --budget smoke, about {duration(seconds(length, pace, len(learned)))}"
    else:
        other = ""
    report(f"{line} on this machine, by a few steps measured now{other}.")


def _length(experiment: Experiment, ends: Sequence[int]) -> Length:
    """The length of a run whose rounds end after these numbers of batches.

    A test split that is kept is evaluated after training, with the last and with the best weights.
    """
    splits, final = experiment.any_data.splits, 0.0
    if experiment.keeps_test:
        final = 2 * len(splits["test"]) / len(splits[experiment.watched])
    return Length(ends[-1] * experiment.steps_per_batch, len(ends) + final)


def measure(experiment: Experiment, seeds: list[int]) -> Pace:
    """The pace at which these seeds would learn.

    For an online model, it is measured in some steps of the whole ensemble; for an offline model, in updates and an
    evaluation of one seed.
    """
    measured, side_by_side = (_whole, seeds[:1]) if experiment.network is None else (_online, seeds)
    feed = feed_for(experiment, side_by_side, min(1, len(experiment.ends) - 2))  # a round of several batches, if any
    batch, evaluation = measured(experiment, side_by_side, feed)
    return Pace(batch / experiment.steps_per_batch, evaluation)


def _whole(experiment: Experiment, seeds: list[int], feed: Feed) -> tuple[float, float]:
    """The seconds in which the one seed of an offline model fetches and learns from a batch, and for an evaluation."""
    module, held_out = module_class(experiment)(experiment, seeds), feed.val_dataloader()
    assert isinstance(module, WholeModule)
    batch, first = _interval(_updates(module, feed.train_dataloader())), next(iter(held_out))
    return batch, len(held_out) * _time(lambda: _evaluate(module, first))


def _online(experiment: Experiment, seeds: list[int], feed: Feed) -> tuple[float, float]:
    """The seconds for a batch and for an evaluation, for each of the seeds of an online model, side by side."""
    ensemble, held_out, batches = OnlineModule(experiment, seeds), feed.val_dataloader(), feed.train_dataloader()
    fetching = _interval(batches)  # ahead of time, while the batch before is learned
    batch, first = next(iter(batches)), next(iter(held_out))
    steps = min(PROBED_STEPS, batch.steps)
    learning = _time(lambda: _learn(ensemble, batch, steps)) / steps * batch.steps
    inferring = _time(lambda: _infer(ensemble, first, steps)) / steps * batch.steps
    return max(fetching, learning) / len(seeds), len(held_out) * inferring / len(seeds)


def _interval(batches: Iterable[object]) -> float:
    """The mean seconds between successive batches, without the first ones, which warm up."""
    start = time.perf_counter()
    times = [start, *(time.perf_counter() for _ in islice(batches, PROBED_BATCHES))]
    counted = times[len(times) // 3 :]
    return (counted[-1] - counted[0]) / (len(counted) - 1)


def _time(call: Callable[[], object]) -> float:
    """The seconds of the faster of two calls, after a first call, which warms up."""
    durations = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return min(durations[1:])


def _learn(module: OnlineModule, batch: Batch, steps: int) -> None:
    window = module.window(batch).part(0, steps)
    rates = torch.full((len(module.seeds),), module.experiment.config.training.rate)
    module.engine.learn(module.net, module.rule, module.optimizer, module.carry, window, rates, seams=module.seams)


def _infer(module: OnlineModule, batch: Batch, steps: int) -> None:
    window = Window(batch.steps, batch.inputs, None, None).part(0, steps)
    seams = module.seams.in_evaluation(0)
    for _ in range(1 if module.average is None else 2):
        module.engine.infer(module.net, module.carry.parameters, module.carry.state, window, seams=seams)


def _updates(module: WholeModule, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Learns from each batch, and passes it on."""
    for batch in batches:
        module.learn(batch)
        yield batch


def _evaluate(module: WholeModule, batch: Batch) -> None:
    with torch.no_grad():
        module.evaluate(batch)
        module.evaluate_otherwise(batch)
        if module.average is not None:
            module.evaluate_averaged(batch)


def prepare(name: str, folder: Path, report: Callable[[str], None]) -> None:
    """Downloads or generates the data of a task, in every form that its models use.

    Raises:
        GleBenchError: an unknown task, or data that can be neither downloaded nor generated.
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
