"""How long a plan would take on this machine, from a rate measured here and now."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import torch

from gle_bench.contracts import Batch, OnlineModel
from gle_bench.dynamics.engines.interface import Window
from gle_bench.training.data import Feed
from gle_bench.training.modules import kind
from gle_bench.training.modules.gradient import WholeModule
from gle_bench.training.modules.online import OnlineModule
from gle_bench.training.plan import Plan

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
