"""The estimated time of a run: its length times a pace, which is measured now or taken from recorded runs."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.chosen import Chosen
from gle_bench.config import RunConfig
from gle_bench.contracts import LearningRule, OnlineRule, Pair, Task
from gle_bench.errors import GleBenchError
from gle_bench.tracking.history import Row
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import Store

LEAST_BATCHES: Final = 5  # fewest batches after a first round of training that a pace is taken from
LEAST_FROM_START: Final = 20  # fewest batches from the start, of whose time starting up would take a large part


class Length(NamedTuple):
    """The length of the run of one seed.

    Attributes:
        steps: number of time steps that an online rule learns from; of any other rule, number of updates.
        evaluations: number of evaluations of the split that is evaluated in training.
    """

    steps: int
    evaluations: float = 0.0


class Pace(NamedTuple):
    """The seconds of one seed for a step and for an evaluation; seeds that learn side by side share their time.

    In a pace of recorded runs, the time of evaluations is part of the time of steps.
    """

    step: float
    evaluation: float = 0.0


def seconds(length: Length, pace: Pace, seeds: int) -> float:
    """The seconds that the runs of `seeds` seeds take."""
    return seeds * (length.steps * pace.step + length.evaluations * pace.evaluation)


def full_seconds(task: Task, pair: Pair, records: Sequence[Record]) -> float | None:
    """The seconds of all of the paper's seeds on the machine that made the records; None if no record tells.

    The pace is that of the longest run with the model's own rule and settings, whatever its budget and data.
    """
    whole = pair.configure("paper")
    own = _own(records, pair.model, whole.rule)
    if not own:
        return None
    longest = max(own, key=lambda record: record.cost.steps)
    return _full_seconds(task, registry.rule(whole.rule), pair, longest, [], task.sizes(whole).get("train"))


def run_seconds(task: Task, config: RunConfig, records: Sequence[Record]) -> float | None:
    """The seconds of one seed of a pair's own configuration; None if no record tells.

    It is the mean of the runs of its budget, or else taken from the pace of the longest run of another budget with the
    same options of the task, which may limit the number of samples.
    """
    options = config.options.model_dump(mode="json")
    own = [r for r in _own(records, config.model, config.rule) if r.config.get("options") == options]
    mean = seed_seconds([record for record in own if record.budget == config.budget])
    if mean is not None or not own:
        return mean
    longest, its_rule = max(own, key=lambda record: record.cost.steps), registry.rule(config.rule)
    return _seconds(task, its_rule, config, longest, [], task.sizes(config).get("train"))


def _own(records: Sequence[Record], model: str, rule: str) -> list[Record]:
    """The runs of a model by that rule, with the model's own settings, that are done."""
    own = [r for r in records if (r.model, r.rule, r.status) == (model, rule, "done") and r.cost.steps]
    return [record for record in own if not any(mark.changed for mark in record.marks)]


def full_seconds_after(chosen: Chosen, records: Sequence[Record], store: Store) -> float | None:
    """The seconds of all of the paper's seeds at the pace of runs that have just ended; None if it is not known."""
    record = next((r for r in records if r.status == "done" and r.cost.wall_s > 0), None)
    if record is None or not same_work(chosen.config, chosen.pair.configure("paper")):
        return None
    folder = store.folder_of(record, chosen.named_rule)
    try:
        rows = folder.read_history()
    except GleBenchError:  # the history was changed: the record is valid, but has no pace
        return None
    return _full_seconds(chosen.task, chosen.rule, chosen.pair, record, rows, record.data.sizes.get("train"))


def _full_seconds(
    task: Task, rule: LearningRule, pair: Pair, record: Record, rows: Sequence[Row], samples: int | None
) -> float | None:
    """The seconds of all of the paper's seeds, with this number of training samples, at the pace of a record."""
    a_seed = _seconds(task, rule, pair.configure("paper"), record, rows, samples)
    return None if a_seed is None else len(pair.seeds) * a_seed


def _seconds(
    task: Task, rule: LearningRule, config: RunConfig, record: Record, rows: Sequence[Row], samples: int | None
) -> float | None:
    """The seconds of one seed of a configuration, with this number of training samples, at the pace of a record."""
    steps_per_batch = task.shape(config.options).steps if isinstance(rule, OnlineRule) else 1
    pace, batches = recorded_pace(record, rows, steps_per_batch), _batches(config, samples)
    if pace is None or batches is None:
        return None
    return seconds(Length(batches * steps_per_batch), pace, 1)


def recorded_pace(record: Record, rows: Sequence[Row], steps_per_batch: int) -> Pace | None:
    """The seconds per step of a recorded run, as a `Pace`; None if the run is too short to tell.

    If the rows of its history are given, and it has several rounds, the first round is left out, because its time
    includes that of starting up.
    """
    cost, part, spent, least = record.cost, 1.0, record.cost.wall_s, LEAST_FROM_START
    if len(rows) > 2:
        (before, since), (updates, until) = ([row["update"], row["wall_s"]] for row in (rows[1], rows[-1]))
        numbers = (before, since, updates, until)
        if not all(isinstance(number, int | float) for number in numbers) or not updates:
            return None
        part, spent, least = 1 - before / updates, until - since, LEAST_BATCHES  # type: ignore[operator]
    steps = part * cost.steps
    if steps < least * steps_per_batch or spent <= 0:
        return None
    return Pace(spent / steps * cost.seconds_of_a_seed / cost.wall_s)


def seed_seconds(records: Sequence[Record]) -> float | None:
    """The mean seconds of a seed in runs of the same configuration; None if none of them is done."""
    done = [r.cost.seconds_of_a_seed for r in records if r.status == "done" and r.cost.wall_s > 0]
    return sum(done) / len(done) if done else None


def same_work(config: RunConfig, other: RunConfig) -> bool:
    """Whether two configurations need the same computation for a batch."""
    sizes = [(c.training.batch_size, c.training.evaluation_batch_size) for c in (config, other)]
    return (config.options, config.network, sizes[0]) == (other.options, other.network, sizes[1])


def _batches(config: RunConfig, samples: int | None) -> int | None:
    """The number of batches in a run of one seed; None if it depends on data that are not here."""
    training = config.training
    if training.epochs is None or samples is None:
        return training.batches
    return training.epochs * math.ceil(samples / training.batch_size)


def duration(seconds: float) -> str:
    """A number of seconds in words: '45 s', '12 min', '3.5 h' or '2,560 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours = seconds / 3600
    return f"{seconds / 60:.0f} min" if hours < 1.5 else f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"
