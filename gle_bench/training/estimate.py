"""How long a plan would take on this machine, from a rate measured here and now."""

import time
from collections.abc import Callable

import torch

from gle_bench.dynamics.engine import Window
from gle_bench.protocols import Batch, OnlineModel
from gle_bench.training.data_module import Feed
from gle_bench.training.offline import OfflineModule
from gle_bench.training.online import OnlineModule
from gle_bench.training.plan import Plan

PROBED_STEPS = 30


def seconds(todo: Plan, seeds: list[int], feed: Feed) -> float:
    """Estimated seconds for all of `seeds` from the start, evaluations included.

    Online: some steps of the whole ensemble, learning and evaluating. Offline: an update and an evaluation of one seed.
    """
    online = isinstance(todo.experiment.config.network, OnlineModel)
    batch, held_out = next(iter(feed.train_dataloader())), next(iter(feed.val_dataloader()))
    evaluations = len(feed.val_dataloader()) * len(todo.ends)
    if not online:
        module = OfflineModule(todo.experiment, seeds[:1])
        update, evaluation = _time(lambda: _update(module, batch)), _time(lambda: _evaluate(module, held_out))
        return len(seeds) * (todo.ends[-1] * update + evaluations * evaluation)
    ensemble = OnlineModule(todo.experiment, seeds)
    steps = min(PROBED_STEPS, batch.steps)
    learning = _time(lambda: _learn(ensemble, batch, steps)) / steps
    inferring = _time(lambda: _infer(ensemble, held_out, steps)) / steps
    return batch.steps * (todo.ends[-1] * learning + evaluations * inferring)


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


def _update(module: OfflineModule, batch: Batch) -> None:
    optimizer = module.configure_optimizers()
    optimizer.zero_grad()
    torch.autograd.backward(module.experiment.task.losses(module.evaluate(batch), batch).mean())
    optimizer.step()


def _evaluate(module: OfflineModule, batch: Batch) -> None:
    with torch.no_grad():
        module.evaluate(batch)
