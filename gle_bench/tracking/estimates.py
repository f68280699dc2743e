"""How long a full run would take, by the rate of runs that were recorded."""

import math
from collections.abc import Sequence

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.contracts import Pair, Task
from gle_bench.tracking.record import Record


def full_seconds(task: Task, pair: Pair, records: Sequence[Record]) -> float | None:
    """What all of the paper's seeds would take on the machine that made the records; None if they do not tell.

    By the longest of those that learned the model's own way, whatever their budget and data.
    """
    whole = pair.configure("paper")
    batches = _batches(task, whole)
    told = [r for r in records if (r.model, r.rule, r.status) == (pair.model, whole.rule, "done") and r.cost.steps]
    told = [r for r in told if not any("=" in mark for mark in r.marks)]
    if batches is None or not told:
        return None
    cost = max((record.cost for record in told), key=lambda cost: cost.steps)
    steps = batches * (task.shape(whole.options).steps if registry.rule(whole.rule).online else 1)
    return cost.seconds_of_a_seed / cost.steps * steps * len(pair.seeds)


def _batches(task: Task, whole: RunConfig) -> int | None:
    """Batches that a full run of one seed learns from; None where only the data could tell."""
    training, size = whole.training, task.sizes(whole).get("train")
    if training.epochs is None or size is None:
        return training.batches
    return training.epochs * math.ceil(size / training.batch_size)
