"""Averaged weights: what they are the mean of, that they change nothing else, and that a killed run keeps them."""

import signal
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from command import glebench
from sparing import first
from torch import Tensor
from torch.nn import BatchNorm1d, BatchNorm2d
from toy_runs import assert_alike, checkpoint, column, configured, run, seed_folder, tensors

from gle_bench import registry
from gle_bench.chosen import resolve, resolved
from gle_bench.config import RunConfig, meaning
from gle_bench.contracts import Batch
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.seams import Moment, Observer, Signal
from gle_bench.dynamics.state import BlockParameters, Parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.testing.engines import Tried
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.gradient import OfflineModule

pytestmark = pytest.mark.usefixtures("one_thread")
AVERAGE = "average=epoch"
NOISY_EVALUATIONS = 'disturbances=[{"kind": "rate-noise", "std": 0.1, "in_evaluation": true}]'
FALLING = 'schedule={"kind": "plateau", "patience": 0}'
MODELS = pytest.mark.parametrize("model", ["toy-gle", "toy-mlp"])
PROTOCOLS = pytest.mark.parametrize("protocol", ["paper", "clean"])


def plain(content: Any) -> Any:
    """What a run left behind, without what averaging adds to it and without times."""
    if isinstance(content, dict):
        own = {str(name): plain(part) for name, part in content.items() if name not in ("average", "wall_s", "seed_s")}
        return {name: part for name, part in own.items() if not name.endswith("_averaged")}
    if isinstance(content, list | tuple):
        return [plain(part) for part in content]
    return content.tolist() if isinstance(content, Tensor) else content


@pytest.mark.parametrize(
    ("task", "model", "engine", "protocol", "more"),
    [
        ("toy-classes", "toy-gle", "torch", "paper", FALLING),
        ("toy-classes", "toy-gle", "native", "paper", FALLING),
        ("toy-classes", "toy-gle", "native", "clean", "batch_size=3"),
        ("toy-classes", "toy-gle", "torch", "paper", NOISY_EVALUATIONS),
        ("toy-stream", "toy-gle", "torch", "paper", "rate=0.1"),
        ("toy-loop", "toy-gle", "torch", "clean", "rate=0.1"),
        ("toy-classes", "toy-mlp", "torch", "paper", FALLING),
        ("toy-signal", "toy-mlp", "torch", "clean", "weight_decay=0.1"),
    ],
)
def test_averaging_changes_no_bit_of_the_raw_run(
    tmp_path: Path, task: str, model: str, engine: str, protocol: str, more: str
) -> None:
    Tried(engine)
    run(configured(task, model, more, protocol=protocol), [1, 2], tmp_path / "without", engine=engine)
    run(configured(task, model, more, AVERAGE, protocol=protocol), [1, 2], tmp_path / "with", engine=engine)
    for seed in (1, 2):
        folders = [seed_folder(tmp_path / name, seed) for name in ("without", "with")]
        contents = [
            [checkpoint(tmp_path / name, seed, which) for which in ("last", "best")] for name in ("without", "with")
        ]
        assert plain(contents[0]) == plain(contents[1])
        assert plain(folders[0].read_history()) == plain(folders[1].read_history())
        records = [folder.read() for folder in folders]
        assert plain(records[0].model_dump()["metrics"]) == plain(records[1].model_dump()["metrics"])
        predictions = [dict(folder.read_predictions()) for folder in folders]
        assert predictions[0].keys() == predictions[1].keys()
        assert all((predictions[0][name] == predictions[1][name]).all() for name in predictions[0])
        assert "average" in contents[1][0]["member"]
        assert "average" not in contents[0][0]["member"]


def test_observers_watch_the_network_that_learns_alone(tmp_path: Path) -> None:
    class Counting(Observer):
        seen = 0

        def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
            self.seen += 1

    counts = []
    for more in ("average=none", AVERAGE):
        counting = Counting()
        run(configured("toy-classes", "toy-gle", more), [1], tmp_path / more, observers=(counting,))
        counts.append(counting.seen)
    assert counts[0] == counts[1] > 0


def mean_of(contents: Sequence[Any]) -> Any:
    """The mean of nests of lists, dictionaries and tensors of the same form, in float64."""
    first = contents[0]
    if isinstance(first, dict):
        return {name: mean_of([content[name] for content in contents]) for name in first}
    if isinstance(first, list):
        return [mean_of(parts) for parts in zip(*contents, strict=True)]
    return None if first is None else torch.stack([tensor.double() for tensor in contents]).mean(0)


def outputs(config: RunConfig, weights: Any, batch: Batch) -> Tensor:
    """What a network with these weights answers, from a zero state where it has one."""
    experiment = Experiment.of(resolved(config))
    if experiment.network is None:
        model = config.network.build(experiment.shape, 1).double().eval()  # type: ignore[attr-defined]
        model.load_state_dict(weights)
        answers: Tensor = model(batch.inputs[0].double())[None, :, None].detach()
        return answers
    parameters: Parameters = tuple(BlockParameters(*block) for block in weights)
    state = zero_state(experiment.network, parameters, batch.inputs.shape[1])
    window = Window(batch.steps, batch.inputs.double(), None, None)
    return TorchEngine().infer(experiment.network, parameters, state, window)[1]


@MODELS
def test_the_average_is_the_mean_of_the_weights_at_the_ends_of_an_epochs_batches(tmp_path: Path, model: str) -> None:
    """An epoch has three batches. Within the first, the mean is over those so far; later, over the last that ended."""
    # Dropout depends on where rounds begin, and is not what this is about.
    own = ("epochs=null", "rate=0.05", *(["dropout=0"] if model == "toy-mlp" else []))
    raw = []
    for batches in range(1, 8):
        config = configured("toy-classes", model, *own, f"batches={batches}", protocol="clean")
        run(config, [1], tmp_path / str(batches))
        member = checkpoint(tmp_path / str(batches), 1)["member"]
        raw.append(member["model"] if "model" in member else member["parameters"])
    config = configured("toy-classes", model, *own, "batches=7", "evaluate_every=1", AVERAGE, protocol="clean")
    (record,) = run(config, [1], tmp_path / "averaged")
    data = registry.task("toy-classes").load(Path(), config.options, "clean", None)
    expected = [raw[:1], raw[:2], raw[:3], raw[:3], raw[:3], raw[3:6], raw[3:6]]

    def loss(weights: Any, split: str) -> float:
        batch = data.splits[split].fetch(torch.arange(len(data.splits[split])), 1, 0)
        task = registry.task("toy-classes")
        return float(task.losses(outputs(config, weights, batch), batch).mean())

    measured = column(tmp_path / "averaged", 1, "loss_averaged")
    assert measured[0] == column(tmp_path / "averaged", 1, "loss")[0]
    assert measured[1:] == pytest.approx([loss(mean_of(weights), "validation") for weights in expected], rel=1e-5)
    tested = record.metrics["last"]["test"]["loss_averaged"].value
    assert tested == pytest.approx(loss(mean_of(raw[3:6]), "test"), rel=1e-5)
    assert abs(tested - record.metrics["last"]["test"]["loss"].value) > 1e-4  # the two are told apart
    assert record.metrics["last"]["validation"]["loss_averaged"].value == measured[-1]


@pytest.mark.parametrize(
    ("task", "model", "more"),
    [
        ("toy-classes", "toy-gle", ()),
        ("toy-classes", "toy-gle", (NOISY_EVALUATIONS,)),
        ("toy-constant", "toy-gle", ()),
        ("toy-loop", "toy-gle", ()),
        ("toy-classes", "toy-mlp", ()),
    ],
)
@PROTOCOLS
def test_the_average_of_one_batch_is_evaluated_like_the_raw_weights(
    tmp_path: Path, task: str, model: str, more: Sequence[str], protocol: str
) -> None:
    """An epoch is one batch: the weights are the same, so that state, noise and loop must be the same as well."""
    config = configured(task, model, "batch_size=10", AVERAGE, *more, protocol=protocol)
    (record,) = run(config, [1], tmp_path)
    names = [name for name in seed_folder(tmp_path, 1).read_history()[0] if name.endswith("_averaged")]
    assert names == ["loss_averaged", f"{registry.task(task).metric.name}_averaged"]
    for name in names:
        assert column(tmp_path, 1, name) == column(tmp_path, 1, name.removesuffix("_averaged"))
    for splits in record.metrics.values():
        for metrics in splits.values():
            assert all(metrics[name] == metrics[name.removesuffix("_averaged")] for name in names)


@pytest.mark.parametrize(("engine", "tolerance"), [("native", 0.0), ("torch", 1e-10)])
def test_an_average_does_not_depend_on_the_company(tmp_path: Path, engine: str, tolerance: float) -> None:
    Tried(engine)
    config = configured("toy-classes", "toy-gle", AVERAGE, "precision=float64", "rate=0.05")
    run(config, [3, 1, 2], tmp_path / "together", engine=engine)
    for seed in (1, 2, 3):
        run(config, [seed], tmp_path / "alone", engine=engine)
        assert_alike(tmp_path / "together", tmp_path / "alone", seed, tolerance)
        assert tensors(checkpoint(tmp_path / "alone", seed)["member"]["average"])


@pytest.mark.parametrize(
    ("model", "engine", "protocol", "when", "more"),
    first(
        [
            ("toy-gle", "torch", "clean", "1 3", ()),
            ("toy-gle", "native", "paper", "2 2", ()),
            ("toy-gle", "native", "clean", "1 1", ("epochs=null", "batches=9", "evaluate_every=4")),  # within an epoch
            ("toy-mlp", "torch", "paper", "1 2", ()),
            ("toy-mlp", "torch", "clean", "2 1", ("epochs=null", "batches=9", "evaluate_every=4")),
        ],
        2,
    ),
)
def test_a_killed_run_keeps_its_average(
    tmp_path: Path, model: str, engine: str, protocol: str, when: str, more: Sequence[str]
) -> None:
    Tried(engine)
    config = configured("toy-classes", model, AVERAGE, FALLING, *more, protocol=protocol)
    words = ["run", "toy-classes", "--model", model, "--seeds", "1,2", "--budget", "paper", "--protocol", protocol]
    words += [word for setting in (AVERAGE, FALLING, *more) for word in ("--set", setting)]
    words += ["--engine", engine, "--runs", str(tmp_path / "broken"), "--wandb", "off"]
    assert glebench(*words, TOYS_SIGNAL=f"SIGKILL {when}").code == -signal.SIGKILL
    resumed = glebench(*words)
    assert resumed.code == 0, resumed.err
    assert [part.from_round for part in seed_folder(tmp_path / "broken", 1).read().lineage][-1] > 0
    run(config, [1, 2], tmp_path / "unbroken", engine=engine)
    for seed in (1, 2):
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", seed)


def test_a_seed_that_diverges_leaves_the_averages_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, fetch = configured("toy-classes", "toy-gle", AVERAGE, "precision=float64"), toys.ToySplit.fetch

    def explode(self: Any, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        batch = fetch(self, indices, seed, epoch, place)
        return batch._replace(inputs=batch.inputs * float("inf")) if (seed, epoch) == (1, 1) else batch

    monkeypatch.setattr(toys.ToySplit, "fetch", explode)
    records = run(config, [1, 2], tmp_path / "with")
    assert [record.status for record in records] == ["diverged", "done"]
    assert all(tensor.isfinite().all() for tensor in tensors(checkpoint(tmp_path / "with", 1)["member"]))
    run(config, [2], tmp_path / "without")
    assert_alike(tmp_path / "with", tmp_path / "without", 2, 1e-10)


def test_batch_norms_keep_their_running_averages_under_averaged_weights() -> None:
    config = resolve("gsc", "tcn", None, "paper", "short", [AVERAGE]).config
    module = OfflineModule(Experiment.of(resolved(config)), [1]).eval()
    assert module.average is not None
    batch = Batch(49, torch.randn(1, 8, 49, 10), torch.zeros(1, 8, dtype=torch.int64))
    with torch.no_grad():
        first = [tensor.uniform_(0, 0.1).clone() for tensor in module.weights()]  # its own make outputs of almost 0
        module.average.add(first, 2)
        for norm in filter(lambda part: isinstance(part, BatchNorm1d | BatchNorm2d), module.model.modules()):
            norm.running_mean.add_(torch.rand_like(norm.running_mean))
        for tensor in module.weights():
            tensor.mul_(2.0)
        module.average.add(module.weights(), 2)
        before = {name: value.clone() for name, value in module.model.state_dict().items()}
        other = deepcopy(module)
        for tensor, old in zip(other.weights(), first, strict=True):
            tensor.copy_(1.5 * old)
        torch.testing.assert_close(module.evaluate_averaged(batch), other.evaluate(batch))
        assert not torch.allclose(module.evaluate_averaged(batch), module.evaluate(batch))
    assert all(torch.equal(value, before[name]) for name, value in module.model.state_dict().items())


def test_the_command_says_both_metrics(tmp_path: Path) -> None:
    words = ["run", "toy-classes", "--model", "toy-gle", "--seeds", "1,2", "--wandb", "off", "--runs", str(tmp_path)]
    done = glebench(*words, "--set", AVERAGE)
    assert done.code == 0, done.err
    last = [seed_folder(tmp_path, seed).read().metrics["last"]["test"] for seed in (1, 2)]
    raw, averages = ([metrics[name].value for metrics in last] for name in ("accuracy", "accuracy_averaged"))
    assert f"seed 1    test accuracy {raw[0]:.2f} %, averaged {averages[0]:.2f} %  (" in done.out
    assert f"  test mean, averaged weights, {sum(averages) / 2:.2f} ± " in done.out
    assert f" · {sum(raw) / 2:.2f} % · averaged {sum(averages) / 2:.2f} %" in done.err.splitlines()[-1]
    plain = glebench(*words)
    assert "averaged" not in plain.out + plain.err


def test_what_learns_in_closed_form_has_no_average(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^average = epoch: rule 'readout' solves [^\n]+; set it to none\.$"):
        run(configured("toy-classes", "toy-readout", AVERAGE), [1], tmp_path)
    with pytest.raises(UsageError, match="average: Input should be 'none' or 'epoch' \\(got 'week'\\)"):
        configured("toy-classes", "toy-gle", "average=week")
    assert not list(tmp_path.rglob("record.json"))


def test_averages_mark_no_result(tmp_path: Path) -> None:
    (record,) = run(configured("toy-classes", "toy-gle", AVERAGE), [1], tmp_path)
    assert record.marks == ()


def test_averages_are_hashed_where_there_are_some() -> None:
    assert "average" not in meaning(configured("toy-classes", "toy-gle"))["training"]
    assert meaning(configured("toy-classes", "toy-gle", AVERAGE))["training"]["average"] == "epoch"
