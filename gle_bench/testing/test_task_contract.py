"""The contract of tasks: tests that every registered task must pass."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from gle_bench import registry
from gle_bench.contracts import Batch, Data, Split, Task
from gle_bench.testing.data import load, some
from gle_bench.words import PROTOCOLS, Protocol

TASKS = list(registry.places("tasks"))
MOST = 5000  # most samples of a split that are compared, since all of a large data set do not fit into memory


def tasks_with(quality: Callable[[Task], object]) -> list[str]:
    """The names of the tasks for which `quality` holds; a task that cannot be loaded is left out, and fails others."""
    names = []
    for name in TASKS:
        with suppress(Exception):  # a plugin's code may raise anything
            if quality(registry.task(name)):
                names.append(name)
    return names


EVERY_TASK = pytest.mark.parametrize("name", TASKS)
EVERY_PROTOCOL = pytest.mark.parametrize("protocol", PROTOCOLS)
OWN_DATA = tasks_with(lambda task: task.data_per_seed)
CLOSED_LOOP = tasks_with(lambda task: task.feedback(task.options()) is not None)


class Loaded(NamedTuple):
    task: Task
    options: Any
    data: Data

    @property
    def train(self) -> Split:
        return self.data.splits["train"]


@cache
def loaded(name: str, protocol: Protocol, folder: Path, again: int = 0) -> Loaded:
    """The task with the options of its first model, and its data for seed 1."""
    task = registry.task(name)
    pairs = [pair for pair in registry.pairs() if pair.task == name]
    options = pairs[0].configure("paper").options if pairs else task.options()
    return Loaded(task, options, load(task, options, protocol, folder))


def same(a: Batch, b: Batch) -> bool:
    pairs = zip(a[1:], b[1:], strict=True)
    return a.steps == b.steps and all(x is y if x is None or y is None else torch.equal(x, y) for x, y in pairs)


def outputs_for(batch: Batch, channels: int, steps: int) -> torch.Tensor:
    """Random outputs of an ensemble of two networks, (S, B, T, C)."""
    shape = (2, batch.inputs.shape[1], steps, channels)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@EVERY_TASK
@EVERY_PROTOCOL
def test_official_data_have_the_sizes_that_were_told(name: str, protocol: Protocol, data: Path) -> None:
    loaded_task = loaded(name, protocol, data)
    pairs = [pair for pair in registry.pairs() if pair.task == name]
    if not pairs or not loaded_task.data.official:
        return
    announced = loaded_task.task.sizes(pairs[0].configure("paper").model_copy(update={"protocol": protocol}))
    assert not announced or announced == {split: len(samples) for split, samples in loaded_task.data.splits.items()}


@EVERY_TASK
def test_it_is_called_as_it_is_registered(name: str) -> None:
    task = registry.task(name)
    assert task.name == name
    assert task.version >= 1
    assert task.reset in ("never", "batch", "epoch")
    assert task.loss in ("ce", "mse")


@EVERY_PROTOCOL
@EVERY_TASK
def test_splits_are_there_and_named(data: Path, name: str, protocol: Protocol) -> None:
    task, _, loaded_task = loaded(name, protocol, data)
    assert set(loaded_task.splits) <= {"train", "validation", "test"}
    if protocol == "clean":
        assert set(loaded_task.splits) == {"train", "validation", "test"}
        assert task.evaluation_split(protocol) == "validation"
    assert "train" in loaded_task.splits
    assert task.evaluation_split(protocol) in set(loaded_task.splits) - {"train"}
    assert all(len(split) > 0 for split in loaded_task.splits.values())
    assert set(loaded_task.digests) == set(loaded_task.splits)
    assert len(set(loaded_task.digests.values())) == len(loaded_task.digests)
    assert all(len(digest) == 64 for digest in (*loaded_task.digests.values(), loaded_task.fingerprint))


@EVERY_TASK
def test_no_sample_is_in_two_splits(data: Path, name: str) -> None:
    task, _, loaded_task = loaded(name, "clean", data)
    batches = [split.fetch(_unlike(task, split), 1, 0) for split in loaded_task.splits.values()]
    rows = [
        torch.cat([b.inputs[0].flatten(1), b.targets[0].flatten(1) if b.targets.dim() > 2 else b.inputs[0, :, 0]], 1)
        for b in batches
    ]
    # A stream may repeat itself within a split, but not in another one.
    length = min(row.shape[1] for row in rows)
    unlike = [torch.unique(row[:, :length].nan_to_num(), dim=0) for row in rows]
    assert len(torch.unique(torch.cat(unlike), dim=0)) == sum(map(len, unlike))


def _unlike(task: Task, split: Any) -> torch.Tensor:
    """The indices of at most `MOST` samples, without classes whose samples may be equal."""
    everything = torch.arange(min(len(split), MOST))
    return everything[~torch.isin(split.targets, torch.tensor(task.alike))] if task.alike else everything


@EVERY_TASK
def test_both_protocols_share_the_test_split(data: Path, name: str) -> None:
    digests = [loaded(name, protocol, data).data.digests for protocol in PROTOCOLS]
    assert "test" not in digests[0] or digests[0]["test"] == digests[1]["test"]


@EVERY_PROTOCOL
@EVERY_TASK
def test_batches_fit_the_shape_that_models_are_built_for(data: Path, name: str, protocol: Protocol) -> None:
    task, options, loaded_task = loaded(name, protocol, data)
    shape = task.shape(options)
    for split in loaded_task.splits.values():
        size = min(4, len(split))
        batch = split.fetch(torch.arange(size), 1, 0)
        # In closed loop, samples may be longer than training samples, and later inputs are NaN.
        closed, steps = name in CLOSED_LOOP, batch.steps
        assert closed or steps == shape.steps
        assert batch.inputs.shape in [(1, size, t, shape.inputs) for t in (1, steps)]
        assert batch.inputs.is_floating_point()
        assert batch.inputs.isfinite().all() or (closed and split is not loaded_task.splits["train"])
        if task.loss == "ce":
            assert batch.targets.shape == (1, size)
            assert batch.targets.dtype == torch.int64
            assert 0 <= batch.targets.min() <= batch.targets.max() < shape.outputs
        else:
            assert batch.targets.shape == (1, size, steps, shape.outputs)
            assert batch.targets.isfinite().all()
        if batch.mask is not None:
            assert batch.mask.shape in [(1, size, t) for t in (1, steps)]
            assert ((batch.mask == 0) | (batch.mask == 1)).all()


@EVERY_TASK
def test_a_sample_is_a_function_of_index_seed_and_epoch(data: Path, name: str) -> None:
    train = loaded(name, "paper", data).train
    chosen = torch.tensor([3, 0, 2]) % len(train)
    torch.manual_seed(0)
    first = train.fetch(chosen, 1, 5)
    torch.manual_seed(1)
    assert same(first, train.fetch(chosen, 1, 5))
    again = loaded(name, "paper", data, again=1).train
    assert same(first, again.fetch(chosen, 1, 5))


@EVERY_TASK
def test_data_are_the_same_whenever_they_are_loaded(data: Path, name: str) -> None:
    first, again = (loaded(name, "paper", data, again=n).data for n in (0, 1))
    assert first is not again
    assert first.fingerprint == again.fingerprint
    assert first.digests == again.digests


@pytest.mark.parametrize("name", OWN_DATA)
def test_seeds_have_data_of_their_own_where_the_task_says_so(data: Path, name: str) -> None:
    task, options, loaded_task = loaded(name, "paper", data)
    assert load(task, options, "paper", data, seed=2).fingerprint != loaded_task.fingerprint


@EVERY_TASK
def test_online_models_get_target_rates(data: Path, name: str) -> None:
    task, options, loaded_task = loaded(name, "paper", data)
    shape, batch = task.shape(options), loaded_task.splits["train"].fetch(some(loaded_task.splits["train"]), 1, 0)
    targets = task.targets(batch, shape.outputs)
    assert targets.shape in [(1, 4, t, shape.outputs) for t in (1, shape.steps)]
    assert targets.is_floating_point()
    if task.loss == "ce":
        assert torch.equal(targets.sum(-1), torch.ones(1, 4, 1))
        assert torch.equal(targets.argmax(-1)[..., 0], batch.targets)


@EVERY_TASK
def test_outputs_are_decided_measured_and_given_a_loss(data: Path, name: str) -> None:
    task, options, loaded_task = loaded(name, "paper", data)
    shape, batch = task.shape(options), loaded_task.splits["train"].fetch(some(loaded_task.splits["train"]), 1, 0)
    for steps in (shape.steps, 1) if task.loss == "ce" else (shape.steps,):  # classes may have one output at the end
        outputs = outputs_for(batch, shape.outputs, steps)
        decisions = task.decide(outputs, batch)
        assert decisions.shape in [(2, 4, shape.outputs), tuple(outputs.shape)]
        measured = task.measure(decisions, batch)
        assert task.metric.name in measured
        losses = task.losses(outputs, batch)
        for values in (losses, *measured.values()):
            assert values.shape == (2, 4)
            assert values.isfinite().all()
        assert losses.min() >= 0
        mask = None if batch.mask is None else batch.mask[:, 2:3]
        single = Batch(batch.steps, batch.inputs[:, 2:3], batch.targets[:, 2:3], mask)
        alone = task.losses(outputs[1:, 2:3], single)  # independent of other members and samples
        torch.testing.assert_close(alone[0, 0], losses[1, 2])


@EVERY_TASK
def test_nothing_beats_the_targets_themselves(data: Path, name: str) -> None:
    task, options, loaded_task = loaded(name, "paper", data)
    shape, batch = task.shape(options), loaded_task.splits["train"].fetch(some(loaded_task.splits["train"]), 1, 0)
    perfect = task.targets(batch, shape.outputs).expand(1, 4, shape.steps, shape.outputs)
    perfect = 50 * perfect if task.loss == "ce" else perfect
    poor = outputs_for(batch, shape.outputs, shape.steps)
    sign = 1 if task.metric.better == "higher" else -1
    best, worse = (task.measure(task.decide(out, batch), batch)[task.metric.name].mean() for out in (perfect, poor))
    assert sign * best > sign * worse
    assert task.losses(perfect, batch).max() < 1e-6 < task.losses(poor, batch).min()


@pytest.mark.parametrize("name", CLOSED_LOOP)
def test_a_closed_loop_gives_inputs_of_the_tasks_width(data: Path, name: str) -> None:
    task, options, loaded_task = loaded(name, "paper", data)
    shape, feedback = task.shape(options), task.feedback(options)
    assert feedback is not None
    batch = loaded_task.splits["train"].fetch(some(loaded_task.splits["train"]), 1, 0)
    outputs = outputs_for(batch, shape.outputs, shape.steps)
    for t in range(shape.steps):
        assert feedback(t, batch.inputs, outputs[:, :, :t]).shape == (2, 4, shape.inputs)


@EVERY_TASK
def test_published_cells_belong_to_models_that_there_are(name: str) -> None:
    task = registry.task(name)
    models = {pair.model for pair in registry.pairs() if pair.task == name}
    for cell in task.published:
        assert cell.model in models
        assert cell.source
        assert cell.margin is None or cell.margin > 0
