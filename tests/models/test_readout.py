"""Tests of readouts in closed form: the regression itself, and its use in the training loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from torch import Tensor, nn
from toy_runs import assert_alike, checkpoint, configured, run, seed_folder

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.config import RunConfig
from gle_bench.contracts import Batch, Shape
from gle_bench.errors import UsageError
from gle_bench.models.modules.ridge import Readout, fold, solve
from gle_bench.models.readout import ReadoutModel
from gle_bench.training.data import side_by_side
from gle_bench.training.execute import module_class
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.closed_form import ReadoutModule
from gle_bench.training.modules.gradient import OfflineModule, WholeModule
from gle_bench.training.plan import check_pair

RIDGES = pytest.mark.parametrize("ridge", [0.0, 1e-8, 0.3, 100.0])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def folded(features: Tensor, targets: Tensor, size: int = 1000) -> Tensor:
    factor = torch.zeros(0, features.shape[1] + targets.shape[1], dtype=torch.float64)
    for rows in torch.split(torch.cat([features, targets], 1), size):
        factor = fold(factor, rows)
    return factor


def closed_form(features: Tensor, targets: Tensor, ridge: float) -> np.ndarray:
    """The ridge regression (F^T F + ridge)^-1 F^T y, as (C, F)."""
    x, y = features.numpy(), targets.numpy()
    return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y).T


def loaded(task: str, *assignments: str) -> tuple[ReadoutModule, Batch]:
    """A module before any learning, and the whole training split, in float64."""
    module = ReadoutModule(experiment(configured(task, "toy-readout", "precision=float64", *assignments)), [1])
    return module, whole_split(module.experiment)


def whole_split(experiment: Experiment) -> Batch:
    found = experiment.task.load(None, experiment.config.options, "paper", None)
    batch = found.splits["train"].fetch(torch.arange(10), 1, 0)
    return Batch(batch.steps, *(x.double() if x is not None and x.is_floating_point() else x for x in batch[1:]))


def experiment(config: RunConfig) -> Experiment:
    return Experiment.of(resolved(config))


def network(module: ReadoutModule) -> Readout:
    assert isinstance(module.model, Readout)
    return module.model


# The regression ------------------------------------------------------------------------------------------------------


@RIDGES
@pytest.mark.parametrize("size", [1, 7, 40])
def test_it_is_ridge_regression_however_the_rows_come(ridge: float, size: int) -> None:
    features, targets = draw(40, 6), draw(40, 2, seed=1)
    weight = solve(folded(features, targets, size), 6, ridge)
    np.testing.assert_allclose(weight, closed_form(features, targets, ridge), rtol=0, atol=1e-10)


@RIDGES
def test_fewer_rows_than_features_are_enough(ridge: float) -> None:
    features, targets = draw(3, 6), draw(3, 2, seed=1)
    expected = np.linalg.pinv(features.numpy()) @ targets.numpy()
    if ridge > 1e-6:
        expected = closed_form(features, targets, ridge).T
    np.testing.assert_allclose(solve(folded(features, targets), 6, ridge), expected.T, rtol=0, atol=1e-6)


def test_the_smallest_of_several_solutions_is_taken() -> None:
    one, targets = draw(20, 1), draw(20, 1, seed=1)
    twins = torch.cat([one, one], 1)
    weight = solve(folded(twins, targets), 2, 0.0)
    np.testing.assert_allclose(weight[0, 0], weight[0, 1], rtol=1e-9)
    np.testing.assert_allclose(weight.sum(), closed_form(one, targets, 0.0).sum(), rtol=1e-9)


def test_digits_that_normal_equations_lose_are_kept() -> None:
    """For powers of x on [0, 1], the normal equations are singular in double precision; their factor is not."""
    powers = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None] ** torch.arange(13)
    assert torch.linalg.cond(powers.T @ powers) > 1e15
    weight = torch.arange(1.0, 14.0, dtype=torch.float64)[None]
    error = solve(folded(powers, powers @ weight.T), 13, 0.0) - weight
    assert error.abs().max() < 1e-4


def test_there_may_be_nothing_to_learn() -> None:
    assert solve(folded(torch.zeros(5, 0, dtype=torch.float64), draw(5, 2)), 0, 1.0).shape == (2, 0)


# A module ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [False, True])
def test_steps_are_the_whole_sequence(residual: bool) -> None:
    model, inputs = toys.ToyTrace().build(Shape(7, 2, 2), 1).double(), draw(3, 7, 2)
    model.residual = residual
    nn.init.normal_(model.readout.weight)
    memory, found = model.start(3), []
    for x in inputs.unbind(1):
        y, memory = model.step(x, memory)
        found.append(y)
    torch.testing.assert_close(torch.stack(found, 1), model(inputs), rtol=0, atol=1e-12)
    without = torch.stack(found, 1) - (inputs if residual else 0)
    torch.testing.assert_close(without, model.features(inputs) @ model.readout.weight.T, rtol=0, atol=1e-12)


def test_the_mean_is_read_for_classes() -> None:
    model, inputs = toys.ToyTrace(reads="mean").build(Shape(7, 2, 3), 1).double(), draw(4, 7, 2)
    nn.init.normal_(model.readout.weight)
    torch.testing.assert_close(model(inputs), model.features(inputs).mean(1) @ model.readout.weight.T)


# Training ------------------------------------------------------------------------------------------------------------


def test_signals_are_regressed_on_the_features_where_the_mask_leaves_them() -> None:
    module, batch = loaded("toy-signal", "ridge=0.1")
    garbage = batch.targets.clone()
    garbage[:, :, : toys.UNSEEN] = 1e6
    for part in (slice(0, 4), slice(4, 10)):
        module.learn(Batch(batch.steps, batch.inputs[:, part], garbage[:, part], batch.mask[:, part]))
    module.begin_evaluation()
    seen = network(module).features(batch.inputs[0])[:, toys.UNSEEN :].flatten(0, 1)
    expected = closed_form(seen, batch.targets[0, :, toys.UNSEEN :].flatten(0, 1), 0.1)
    np.testing.assert_allclose(network(module).readout.weight.detach(), expected, rtol=0, atol=1e-10)


def test_residuals_are_what_is_left_of_the_targets() -> None:
    module, batch = loaded("toy-loop")
    network(module).residual = True
    module.learn(batch)
    module.begin_evaluation()
    features = network(module).features(batch.inputs[0]).flatten(0, 1)
    change = (batch.targets - batch.inputs)[0].flatten(0, 1)
    np.testing.assert_allclose(
        network(module).readout.weight.detach(), closed_form(features, change, 0.0), rtol=0, atol=1e-9
    )


def test_classes_are_regressed_on_the_mean_features() -> None:
    module, batch = loaded("toy-classes", "ridge=0.2")
    module.learn(batch)
    module.begin_evaluation()
    targets = nn.functional.one_hot(batch.targets[0], 3).double()
    expected = closed_form(network(module).features(batch.inputs[0]).mean(1), targets, 0.2)
    np.testing.assert_allclose(network(module).readout.weight.detach(), expected, rtol=0, atol=1e-10)
    assert module.evaluate(batch).shape == (1, 10, 1, 3)


def test_a_member_goes_on_where_it_was_left() -> None:
    (module, batch), (other, _) = loaded("toy-signal"), loaded("toy-signal")
    first, second = (Batch(batch.steps, *(x[:, part] for x in batch[1:])) for part in (slice(0, 4), slice(4, 10)))
    module.learn(first)
    module.begin_evaluation()
    other.restore({1: module.member(1)})
    assert torch.equal(network(other).readout.weight, network(module).readout.weight)
    for one in (module, other):
        one.learn(second)
        one.begin_evaluation()
    assert torch.equal(network(other).readout.weight, network(module).readout.weight)
    module.begin_evaluation()  # nothing new was seen
    assert torch.equal(network(other).readout.weight, network(module).readout.weight)


@pytest.mark.parametrize("task", ["toy-classes", "toy-loop", "toy-signal"])
def test_runs_end_with_what_the_whole_split_gives(tmp_path: Path, task: str) -> None:
    (record,) = run(configured(task, "toy-readout", "epochs=1", "precision=float64"), [1], tmp_path)
    module, batch = loaded(task)
    module.learn(batch)
    module.begin_evaluation()
    found = checkpoint(tmp_path, 1)["member"]["model"]["readout.weight"]
    torch.testing.assert_close(found, network(module).readout.weight.detach(), rtol=0, atol=1e-9)
    assert record.status == "done"
    assert record.parameters == found.numel()
    assert (record.footing["online"], record.footing["streamed"]) == (False, True)
    rows = seed_folder(tmp_path, 1).read_history()
    assert [row["update"] for row in rows] == [0, 3]
    assert rows[1]["loss"] < rows[0]["loss"]  # of a readout that is zero


@pytest.mark.parametrize("protocol", ["paper", "clean"])
def test_runs_go_on_bit_by_bit(tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("toy-signal", "toy-readout", "epochs=3", protocol=protocol)
    run(config, [1, 2], tmp_path / "unbroken")
    count = 0
    learn = ReadoutModule.learn

    def cut_off(module: ReadoutModule, batch: Batch) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise RuntimeError("cut off")
        learn(module, batch)

    with monkeypatch.context() as patched:
        patched.setattr(ReadoutModule, "learn", cut_off)
        assert [record.status for record in run(config, [1, 2], tmp_path / "broken")] == ["failed", "done"]
    run(config, [1, 2], tmp_path / "broken", rerun="failed")
    for seed in (1, 2):
        assert_alike(tmp_path / "unbroken", tmp_path / "broken", seed)


def test_a_closed_loop_reads_no_true_value_past_the_switch() -> None:
    module, batch = loaded("toy-loop")
    module.learn(batch)
    module.begin_evaluation()
    poisoned = batch.inputs.clone()
    poisoned[:, :, toys.UNSEEN :] = torch.nan
    outputs = module.evaluate(batch._replace(inputs=poisoned))
    assert outputs.isfinite().all()
    assert torch.equal(outputs, module.evaluate(batch))
    seen = torch.cat([batch.inputs[:, :, : toys.UNSEEN], outputs[:, :, toys.UNSEEN - 1 : -1]], 2)
    torch.testing.assert_close(outputs, module.answers(batch._replace(inputs=seen)), rtol=0, atol=1e-12)


def test_features_that_are_not_finite_end_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = toys.ToyTrace.build

    def broken(self: ReadoutModel, shape: Shape, seed: int) -> Readout:
        model = build(self, shape, seed)
        if seed == 2:
            model.fade.weight.fill_(1e30)
        return model

    monkeypatch.setattr(toys.ToyTrace, "build", broken)
    records = run(configured("toy-signal", "toy-readout"), [1, 2], tmp_path)
    assert [record.status for record in records] == ["done", "diverged"]
    assert "loss nan" in records[1].error


def test_a_batch_that_is_not_finite_is_not_taken_in() -> None:
    module, batch = loaded("toy-signal")
    module.learn(batch._replace(inputs=batch.inputs * torch.nan))
    assert "features or targets not finite" in module.diverged[1]
    module.begin_evaluation()
    assert module.finite() == [True]


def test_gradients_find_the_same_readout() -> None:
    """Backprop learns the readout, an ordinary parameter, but not the features."""
    module, batch = loaded("toy-signal", "ridge=0.0")
    module.learn(batch)
    module.begin_evaluation()
    config = configured("toy-signal", "toy-readout", "precision=float64", "rate=0.03", rule="backprop")
    other = OfflineModule(experiment(config), [1])
    for _ in range(600):
        other.learn(batch)
    solved, descended = module.model.state_dict(), other.model.state_dict()
    assert torch.equal(solved["fade.weight"], descended["fade.weight"])
    torch.testing.assert_close(solved["readout.weight"], descended["readout.weight"], rtol=0, atol=1e-3)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "model", "rule", "change", "sentence"),
    [
        ("toy-classes", "toy-mlp", "readout", "epochs=1", "solves for a linear readout; toy-mlp has more to learn"),
        ("toy-classes", "toy-gle", "readout", "epochs=1", "solves for a linear readout; toy-gle learns online"),
        (
            "toy-classes",
            "toy-gle",
            "gle",
            "weight_decay=0.1",
            "weight_decay = 0.1 needs a rule that learns",
        ),
        (
            "toy-classes",
            "toy-readout",
            "readout",
            "weight_decay=0.1",
            "weight_decay = 0.1 needs a rule that learns",
        ),
    ],
)
def test_what_does_not_fit_is_refused(task: str, model: str, rule: str, change: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        check_pair(resolved(configured(task, model, change, rule=rule)))


def test_a_negative_ridge_is_refused() -> None:
    with pytest.raises(UsageError, match="ridge"):
        configured("toy-signal", "toy-readout", "ridge=-1")


# On Mackey-Glass -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["esn", "gru", "linear", "lstm", "mean", "mlp", "mlp-window", "nvar", "persistence", "tcn"]
)
def test_predictions_hang_on_nothing_past_the_switch(tmp_path: Path, model: str) -> None:
    config = registry.pair("mackey-glass", model).configure("paper")
    task, options = registry.task(config.task), config.options
    splits = task.load(tmp_path, options, "paper", 3).splits
    found = experiment(config)
    module = module_class(found)(found, [3])
    assert isinstance(module, WholeModule)
    train, test = (side_by_side([splits[name].fetch(torch.arange(1), 3, 0)], found.dtype) for name in ("train", "test"))
    module.learn(train)
    module.begin_evaluation()
    steps = options.forced_steps + 60  # some of the ten Lyapunov times
    inputs = test.inputs[:, :, :steps]
    assert inputs[:, :, options.forced_steps + 1 :].isnan().any()
    with torch.no_grad():
        first, other = (
            module.evaluate(test._replace(steps=steps, inputs=x)) for x in (inputs, inputs.nan_to_num(nan=1e3))
        )
    assert first.isfinite().all()
    assert torch.equal(first, other)
    assert model in ("mean", "persistence") or first[0, 0, -50:, 0].std() > 0
