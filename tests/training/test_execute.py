"""Tests of `execute`: its files, and that weights depend on seed and configuration alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from sparing import first
from torch import Tensor
from toy_runs import assert_alike, checkpoint, close, column, configured, parameters, run, seed_folder, tensors

from gle_bench import registry
from gle_bench.chosen import resolved
from gle_bench.config import RunConfig, TrainingConfig
from gle_bench.contracts import Batch, Data, Footing, Shape
from gle_bench.dynamics.engines.choice import OFFLINE
from gle_bench.dynamics.engines.graph import GraphEngine
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import from_plain, to_plain
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import NO_SEAMS
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError
from gle_bench.models.gle import GLENetwork
from gle_bench.surroundings.processes import Interrupted
from gle_bench.training import execute as execution
from gle_bench.training.data import order
from gle_bench.training.experiment import Experiment
from gle_bench.training.lightning import Trainer
from gle_bench.training.plan import choose_engine

KINDS = pytest.mark.parametrize("model", ["toy-gle", "toy-mlp"])
TOLERANCE = 1e-10


def spy_on_fetches(monkeypatch: pytest.MonkeyPatch, change: Callable[[Batch, int, int], Batch]) -> None:
    """Replaces every fetched batch by `change(batch, seed, epoch)`."""
    original = toys.ToySplit.fetch

    def fetch(self: Any, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        return change(original(self, indices, seed, epoch, place), seed, epoch)

    monkeypatch.setattr(toys.ToySplit, "fetch", fetch)


def loaded(config: RunConfig) -> Data:
    return registry.task(config.task).load(Path(), config.options, config.protocol, None)


def shape_of(config: RunConfig) -> Shape:
    return registry.task(config.task).shape(config.options)


# What a run leaves behind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["paper", "clean"])
@KINDS
def test_record_history_and_predictions_agree(tmp_path: Path, model: str, protocol: str) -> None:
    config = configured("toy-classes", model, protocol=protocol)
    (record,) = run(config, [3], tmp_path)
    folder = seed_folder(tmp_path, 3)
    assert folder.read() == record
    history, watched = folder.read_history(), "test" if protocol == "paper" else "validation"
    assert [row["round"] for row in history] == [0, 1, 2, 3]
    updates = 3 * 10 if model == "toy-gle" else 3
    assert [row["update"] for row in history] == [0, updates, 2 * updates, 3 * updates]
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert {row["split"] for row in history} == {watched}
    assert record.status == "done"
    assert record.config == json.loads(json.dumps(config.model_dump(mode="json")))
    assert record.cost.steps == 3 * updates
    assert record.parameters == sum(x.numel() for x in parameters(tmp_path, 3)) - (2 * 15 if model == "toy-gle" else 0)
    weights = [x.numel() for x in parameters(tmp_path, 3) if x.dim() > 1 and min(x.shape[-2:]) > 1]
    assert record.cost.macs == 10 * sum(weights)  # both look at each of ten steps
    last, best = record.metrics["last"], record.metrics["best"]
    assert last[watched]["accuracy"].value == history[-1]["accuracy"]
    assert best[watched]["accuracy"].value == max(row["accuracy"] for row in history)
    assert history[record.best_round]["accuracy"] == best[watched]["accuracy"].value
    assert checkpoint(tmp_path, 3, "best")["round"] == record.best_round
    assert set(last) == set(best) == {watched, "test"}
    arrays = folder.read_predictions()
    for split in {watched, "test"}:
        decisions, targets = arrays[f"{split}_decisions"], arrays[f"{split}_targets"]
        assert np.array_equal(targets, loaded(config).splits[split].targets)
        assert 100 * np.mean(decisions.argmax(-1) == targets) == last[split]["accuracy"].value
        assert last[split]["accuracy"].n == len(targets)


def test_what_an_online_model_scores_while_it_learns_is_called_so(tmp_path: Path) -> None:
    run(configured("toy-classes", "toy-gle"), [1], tmp_path / "online")
    run(configured("toy-classes", "toy-mlp"), [1], tmp_path / "offline")
    before, after = seed_folder(tmp_path / "online", 1).read_history()[:2]
    assert set(after) == {
        *("round", "update", "epoch", "split", "loss", "accuracy", "rate", "wall_s"),
        *("online_loss", "online_accuracy"),
    }
    assert before["online_loss"] is before["online_accuracy"] is None
    assert not any("train" in name for name in after)
    assert not any("online" in name for name in seed_folder(tmp_path / "offline", 1).read_history()[1])


@KINDS
def test_lightning_counts_every_batch_and_does_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    trainers, evaluations = [], []

    class Spy(Trainer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            trainers.append(self)

    def evaluated(module: Any) -> None:
        evaluations.append((module.trainer.sanity_checking, module.batches))
        original(module)

    original = execution.BenchModule.on_validation_epoch_start
    monkeypatch.setattr(execution.BenchModule, "on_validation_epoch_start", evaluated)
    monkeypatch.setattr("gle_bench.training.trainer.Trainer", Spy)
    monkeypatch.chdir(tmp_path)
    run(configured("toy-classes", model), [1], tmp_path / "runs")
    assert [trainer.global_step for trainer in trainers] == [9]
    assert evaluations == [(False, 0), (False, 3), (False, 6), (False, 9)]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_failure_is_a_record_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(batch: Batch, seed: int, epoch: int) -> Batch:
        if epoch == 1:
            raise RuntimeError("the disk has melted")
        return batch

    config, said = configured("toy-classes", "toy-gle"), []
    with monkeypatch.context() as patched:
        spy_on_fetches(patched, fail)
        records = run(config, [1, 2], tmp_path, report=said.append)
    for record in records:
        assert record.status == "failed"
        assert record.error.startswith("RuntimeError: the disk has melted (test_execute.py, line ")
        assert record.metrics == {}
        assert record.lineage[0].ended is not None
        log = (seed_folder(tmp_path, record.seed).path / "log.txt").read_text()
        assert "Traceback" in log
        assert "the disk has melted" in log
    assert said == [f"seed 1, seed 2 failed: {records[0].error} (see log.txt)"]
    assert run(config, [1, 2], tmp_path) == records  # a failure stands until someone asks again
    again = run(config, [1, 2], tmp_path, rerun="failed")
    assert [[part.from_round for part in record.lineage] for record in again] == [[0, 1], [0, 1]]
    run(config, [1, 2], tmp_path / "unbroken")
    for seed in (1, 2):
        assert_alike(tmp_path, tmp_path / "unbroken", seed)


@KINDS
def test_only_what_was_asked_for_is_made_anew(tmp_path: Path, model: str) -> None:
    config = configured("toy-classes", model, "epochs=1")
    first = run(config, [1], tmp_path)
    assert run(config, [1], tmp_path) == run(config, [1], tmp_path, rerun="failed") == first
    (again,) = run(config, [1], tmp_path, rerun="always")
    assert again.lineage[0].started > first[0].lineage[0].started
    assert len(again.lineage) == 1
    assert again.metrics == first[0].metrics
    more = run(config, [1, 2], tmp_path)
    assert more[0] == again
    assert more[1].seed == 2


def test_an_end_before_the_first_round_leaves_nothing_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a repeated command would resume the earlier run's last checkpoint."""

    def interrupt(*_: Any) -> None:
        raise Interrupted

    config = configured("toy-classes", "toy-gle", "epochs=2")
    (first,) = run(config, [1], tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(execution.Mirror, "open", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(config, [1], tmp_path, rerun="always")
    folder = seed_folder(tmp_path, 1)
    assert folder.read().status == "interrupted"
    assert {path.name for path in folder.path.iterdir()} - {".lock"} == {"record.json"}
    (again,) = run(config, [1], tmp_path)
    assert again.metrics == first.metrics
    assert again.lineage[-1].from_round == 0


# Seeds and their company --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "rule", "protocol"),
    first(
        [
            ("toy-classes", "gle", "paper"),
            ("toy-classes", "gle", "clean"),
            ("toy-own-signal", "gle", "paper"),
            ("toy-signal", "toy-bptt", "paper"),
            ("toy-stream", "gle", "paper"),
            ("toy-loop", "gle", "clean"),
        ],
        3,
    ),
)
def test_a_member_of_an_ensemble_equals_its_lone_run(tmp_path: Path, task: str, rule: str, protocol: str) -> None:
    overrides = ("epochs=8", "precision=float64", "rate=0.1", 'schedule={"kind": "plateau", "patience": 0}')
    config = configured(task, "toy-gle", *overrides, rule=rule, protocol=protocol)
    run(config, [1, 2, 3], tmp_path / "together")
    rates = []
    for seed in (1, 2, 3):
        run(config, [seed], tmp_path / "alone")
        assert_alike(tmp_path / "together", tmp_path / "alone", seed, TOLERANCE)
        rates.append(column(tmp_path / "alone", seed, "rate"))
    assert rates[0] != rates[1] or rates[1] != rates[2], "each seed has a schedule of its own, so let them differ"


def test_seeds_see_orders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[tuple[int, int], list[Tensor]] = {}

    def note(batch: Batch, seed: int, epoch: int) -> Batch:
        if len(batch.targets[0]) in (4, 2):  # evaluations come in threes and ones
            seen.setdefault((seed, epoch), []).append(batch.inputs[0])
        return batch

    spy_on_fetches(monkeypatch, note)
    config = configured("toy-classes", "toy-gle", "epochs=2")
    run(config, [1, 2], tmp_path)
    everything = loaded(config).splits["train"].inputs
    assert set(seen) == {(1, 0), (1, 1), (2, 0), (2, 1)}
    for (seed, epoch), parts in seen.items():
        assert torch.equal(torch.cat(parts), everything[order(10, seed, epoch)])


@pytest.mark.parametrize(
    ("task", "bad", "when"),
    [
        ("toy-classes", 1, "before training"),
        ("toy-classes", 2, "before training"),
        ("toy-classes", 1, "in epoch 1"),
        ("toy-own-signal", 1, "in epoch 1"),
        ("toy-own-signal", 3, "in epoch 1"),
    ],
)
def test_divergence_ends_a_seed_and_not_its_company(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, bad: int, when: str
) -> None:
    config, rounds = configured(task, "toy-gle", "epochs=4", "precision=float64"), [0, 1, 2]

    def explode(batch: Batch, seed: int, epoch: int) -> Batch:
        return batch._replace(inputs=batch.inputs * float("inf")) if (seed, epoch) == (bad, 1) else batch

    def initialise(self: Any, network: Any, seed: int) -> Any:
        first = original(self, network, seed)
        return tuple(p._replace(weight=p.weight * float("nan")) for p in first) if seed == bad else first

    original = GLENetwork.initialise
    with monkeypatch.context() as patched:
        if when == "in epoch 1":
            spy_on_fetches(patched, explode)
        else:
            patched.setattr(GLENetwork, "initialise", initialise)
            rounds = [0]
        records = run(config, [1, 2, 3], tmp_path / "with")
    good = [seed for seed in (1, 2, 3) if seed != bad]
    run(config, good, tmp_path / "without")
    for record in records:
        folder = seed_folder(tmp_path / "with", record.seed)
        if record.seed == bad:
            assert record.status == "diverged"
            assert "loss" in record.error
            assert record.metrics == {}
            assert column(tmp_path / "with", bad, "round") == rounds
            assert not folder.read_predictions()
        else:
            assert record.status == "done"
            assert_alike(tmp_path / "with", tmp_path / "without", record.seed, TOLERANCE)
    last = seed_folder(tmp_path / "with", bad).checkpoint("last")
    if when == "in epoch 1":
        assert checkpoint(tmp_path / "with", bad)["round"] == 1
        assert all(tensor.isfinite().all() for tensor in parameters(tmp_path / "with", bad))
    else:
        assert not last.exists()
    assert run(config, [bad], tmp_path / "with") == [records[bad - 1]]  # it stands until someone asks again
    (again,) = run(config, [bad], tmp_path / "with", rerun="failed")
    assert again.status == "done"
    assert again.lineage[-1].from_round == 0


@KINDS
def test_when_all_diverge_training_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    spy_on_fetches(
        monkeypatch, lambda batch, seed, epoch: batch._replace(inputs=batch.inputs * (float("nan") if epoch else 1))
    )
    records = run(configured("toy-classes", model, "epochs=4"), [1, 2], tmp_path)
    for record in records:
        assert record.status == "diverged"
        assert column(tmp_path, record.seed, "round") == [0, 1, 2]


# Engines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task", ["toy-classes", "toy-constant", "toy-loop", "toy-own-signal", "toy-signal", "toy-stream"]
)
@pytest.mark.parametrize("protocol", first(["clean", "paper"]))
@pytest.mark.parametrize("engine", ["graph", "native"], indirect=True)
def test_every_engine_trains_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any, task: str, protocol: str
) -> None:
    """On the CPU, `graph` refuses all requests, but computes all that it would compute on a GPU."""
    config = configured(task, "toy-gle", "precision=float64", protocol=protocol)
    refuses = GraphEngine.refusal
    monkeypatch.setattr(GraphEngine, "refusal", lambda graph, job: refuses(graph, job._replace(device="cuda")))
    reason = refused(engine.name, Experiment.of(resolved(config)))
    if reason is not None:
        pytest.skip(reason)
    records = {name: run(config, [1, 2], tmp_path / name, engine=name, device="cpu") for name in ("torch", engine.name)}
    assert [record.environment.engine for record in records[engine.name]] == [engine.name] * 2
    assert {record.environment.engine_reason for record in records[engine.name]} == {"chosen by --engine"}
    for seed in (1, 2):
        assert_alike(tmp_path / "torch", tmp_path / engine.name, seed, TOLERANCE)


def refused(name: str, experiment: Experiment) -> str | None:
    """The message of a run that is refused."""
    try:
        choose_engine(name, experiment.chosen, experiment.network, "cpu", NO_SEAMS)
    except UsageError as error:
        return str(error)
    return None


def test_the_record_says_which_engine_ran_and_why_not_another(tmp_path: Path) -> None:
    (record,) = run(configured("toy-classes", "toy-gle"), [1], tmp_path, engine="auto", device="cpu")
    ran, reason = record.environment.engine, record.environment.engine_reason
    assert reason.startswith(f"auto: {ran} is the fastest that can run this; graph: ")
    (record,) = run(configured("toy-classes", "toy-mlp"), [1], tmp_path, engine="auto")
    assert (record.environment.engine, record.environment.engine_reason) == ("torch", OFFLINE)


# Protocols ----------------------------------------------------------------------------------------------------------


def test_clean_evaluation_leaves_no_trace_in_training(tmp_path: Path) -> None:
    """Weights, moments and state equal those of an engine that sees the training batches alone."""
    config = configured("toy-classes", "toy-gle", protocol="clean")
    run(config, [1], tmp_path)
    train, network = loaded(config).splits["train"], config.network.network(shape_of(config), "ce")
    carry = start(network, config.network.initialise(network, 1), Optimizer(), 4)
    rates = torch.tensor([config.training.rate], dtype=torch.float64)
    for epoch in range(3):
        for part in order(10, 1, epoch).split(4):
            batch = train.fetch(part, 1, epoch)
            window = Window(batch.steps, batch.inputs, toys.ToyClasses().targets(batch, 3), None)
            carry, _ = TorchEngine().learn(network, registry.rule("gle"), Optimizer(), carry, window, rates)
    assert close(tensors(checkpoint(tmp_path, 1)["member"]), tensors(to_plain(carry)))


def test_clean_evaluation_starts_from_zero_state(tmp_path: Path) -> None:
    config = configured("toy-classes", "toy-gle", protocol="clean")
    run(config, [1], tmp_path)
    split, network = loaded(config).splits["test"], config.network.network(shape_of(config), "ce")
    carry = from_plain(checkpoint(tmp_path, 1)["member"])
    batch = split.fetch(torch.arange(4), 1, 0)
    window = Window(batch.steps, batch.inputs, None, None)
    _, outputs = TorchEngine().infer(network, carry.parameters, zero_state(network, carry.parameters, 4), window)
    found = seed_folder(tmp_path, 1).read_predictions()["test_decisions"]
    np.testing.assert_allclose(found, outputs.sum(2)[0], rtol=0, atol=1e-6)


def test_under_paper_the_state_runs_on_into_evaluation_and_back(tmp_path: Path) -> None:
    """By this flaw, which the protocol keeps, scores and weights depend on the batches of evaluations."""
    weights = []
    for size in (1, 4):
        run(configured("toy-classes", "toy-gle", f"evaluation_batch_size={size}"), [1], tmp_path / str(size))
        weights.append(parameters(tmp_path / str(size), 1))
    assert not close(*weights)
    losses = [column(tmp_path / str(size), 1, "loss")[0] for size in (1, 4)]
    assert losses[0] != losses[1]
    assert weights[0][0].isfinite().all()


@KINDS
def test_clean_looks_at_the_test_split_once_it_has_done_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    config, looked = configured("toy-classes", model, protocol="clean"), []
    splits = loaded(config).splits
    sizes = {"train": {4, 2}, "validation": {3, 1}, "test": {3, 1}}
    assert all(len(split) for split in splits.values())
    held_out = splits["test"].inputs

    def note(batch: Batch, seed: int, epoch: int) -> Batch:
        first = batch.inputs[0, 0]
        name = "test" if any(torch.equal(first, x) for x in held_out) else "other"
        assert len(batch.targets[0]) in sizes["train"] | sizes["test"]
        looked.append(name)
        return batch

    spy_on_fetches(monkeypatch, note)
    run(config, [1], tmp_path)
    start = looked.index("test")
    assert looked[start:] == ["test"] * 4  # two batches, by the last weights and by the best
    assert start == 3 * 3 + 4 * 2


# Offline ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ['{"kind": "plateau", "patience": 0}', '{"kind": "exponential", "final": 1e-4}'])
def test_a_baseline_is_trained_as_a_bare_loop_would(tmp_path: Path, schedule: str) -> None:
    overrides = ("epochs=8", "dropout=0.0", "rate=3.0", "precision=float64", f"schedule={schedule}")
    config = configured("toy-classes", "toy-mlp", *overrides)
    run(config, [1], tmp_path)
    train, test = (loaded(config).splits[name] for name in ("train", "test"))
    model = config.network.build(shape_of(config), 1).double()
    optimizer = torch.optim.Adam(model.parameters(), 3.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, (1e-4 / 3) ** (1 / 24))

    def loss(split: Any, part: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(model(split.inputs[part].double()), split.targets[part])

    losses = [loss(test, torch.arange(4)).item()]
    for epoch in range(8):
        for part in order(10, 1, epoch).split(4):
            optimizer.zero_grad()
            loss(train, part).backward()
            optimizer.step()
            if "exponential" in schedule:
                decay.step()
        losses.append(loss(test, torch.arange(4)).item())
        if "plateau" in schedule:
            plateau.step(losses[-1])
    assert column(tmp_path, 1, "loss") == pytest.approx(losses, abs=TOLERANCE)
    assert close(parameters(tmp_path, 1), list(model.state_dict().values()), TOLERANCE)
    assert column(tmp_path, 1, "rate")[-2] < 3


# What later tasks need ----------------------------------------------------------------------------------------------


def test_a_stream_in_chunks_is_one_unbroken_signal(tmp_path: Path) -> None:
    """Chunks follow each other in order through all epochs, and so do those of an evaluation under `clean`."""
    config = configured("toy-stream", "toy-gle", "batch_size=1", "evaluation_batch_size=1", protocol="clean")
    run(config, [1], tmp_path)
    splits, steps, epochs = loaded(config).splits, config.options.steps, config.training.epochs
    network = config.network.network(shape_of(config), "mse")
    carry = start(network, config.network.initialise(network, 1), Optimizer(), 1)
    long = [x.reshape(1, 1, -1, 1).repeat(1, 1, epochs, 1) for x in (splits["train"].inputs, splits["train"].targets)]
    window = Window(10 * steps * epochs, *long, None)
    rates = torch.tensor([config.training.rate], dtype=torch.float64)
    carry, _ = TorchEngine().learn(network, registry.rule("gle"), Optimizer(), carry, window, rates)
    assert close(parameters(tmp_path, 1), tensors([list(block) for block in carry.parameters]), 1e-6)
    rest = Window(4 * steps, splits["test"].inputs.reshape(1, 1, -1, 1), None, None)
    _, outputs = TorchEngine().infer(network, carry.parameters, zero_state(network, carry.parameters, 1), rest)
    found = seed_folder(tmp_path, 1).read_predictions()["test_decisions"]
    np.testing.assert_allclose(found.reshape(-1), outputs.reshape(-1), rtol=0, atol=1e-5)


def test_what_the_mask_hides_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupt(batch: Batch, seed: int, epoch: int) -> Batch:
        return batch._replace(targets=torch.where(batch.mask[..., None] == 1, batch.targets, 1e3))

    for rule in ("gle", "toy-bptt"):
        config = configured("toy-signal", "toy-gle", rule=rule)
        run(config, [1], tmp_path / rule / "as it is")
        with monkeypatch.context() as patched:
            spy_on_fetches(patched, corrupt)
            run(config, [1], tmp_path / rule / "corrupt")
        assert close(*(parameters(tmp_path / rule / name, 1) for name in ("as it is", "corrupt")))
        losses = [column(tmp_path / rule / name, 1, "loss") for name in ("as it is", "corrupt")]
        assert losses[0] == losses[1]


def test_constant_inputs_are_the_same_as_repeated_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("toy-constant", "toy-gle")
    run(config, [1], tmp_path / "one")
    with monkeypatch.context() as patched:
        spy_on_fetches(patched, lambda batch, *_: batch._replace(inputs=batch.inputs.repeat(1, 1, batch.steps, 1)))
        run(config, [1], tmp_path / "many")
    assert close(*(parameters(tmp_path / name, 1) for name in ("one", "many")))


def test_seeds_may_have_data_of_their_own(tmp_path: Path) -> None:
    records = run(configured("toy-own-signal", "toy-gle"), [1, 2], tmp_path)
    for record in records:
        own = toys.ToyOwnSignal().load(None, toys.ToyOptions(), "paper", record.seed)
        targets = seed_folder(tmp_path, record.seed).read_predictions()["test_targets"]
        assert np.array_equal(targets, own.splits["test"].targets)
        assert record.data.fingerprint == own.fingerprint
    assert records[0].data.fingerprint != records[1].data.fingerprint


def test_a_closed_loop_evaluates_on_its_own_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(batch: Batch, seed: int, epoch: int) -> Batch:
        evaluation = batch.inputs.shape[1] in (3, 1)
        return (
            batch._replace(
                inputs=torch.cat([batch.inputs[:, :, : toys.UNSEEN], 0 * batch.inputs[:, :, toys.UNSEEN :]], 2)
            )
            if evaluation
            else batch
        )

    config = configured("toy-loop", "toy-gle")
    run(config, [1], tmp_path / "seeing")
    with monkeypatch.context() as patched:
        spy_on_fetches(patched, blind)
        run(config, [1], tmp_path / "blind")
    one, other = (seed_folder(tmp_path / name, 1).read_predictions()["test_decisions"] for name in ("seeing", "blind"))
    assert np.array_equal(one, other)
    assert np.abs(one[:, 4:]).max() > 0


def test_a_strangers_rule_learns_in_windows(tmp_path: Path) -> None:
    config = configured("toy-signal", "toy-gle", "epochs=30", rule="toy-bptt")
    (record,) = run(config, [1], tmp_path)
    assert record.run_id.startswith("toy-signal-toy-gle+toy-bptt-")
    assert record.footing == vars(Footing(streamed=True))
    history = seed_folder(tmp_path, 1).read_history()
    assert [row["update"] for row in history][:3] == [0, 9, 18]  # three batches of windows of 4, 4 and 2 steps
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    (windows,) = checkpoint(tmp_path, 1)["member"]["memory"]
    assert windows.item() == 0  # begun anew, since the batch to come has another size


def test_training_counts_batches_where_a_recipe_does(tmp_path: Path) -> None:
    training = TrainingConfig(batches=8, evaluate_every=3, batch_size=4, evaluation_batch_size=3)
    config = configured("toy-classes", "toy-gle").model_copy(update={"training": training})
    run(config, [1], tmp_path)
    assert column(tmp_path, 1, "update") == [0, 10, 40, 70, 80]
    assert column(tmp_path, 1, "epoch") == pytest.approx([0, 1 / 3, 4 / 3, 7 / 3, 8 / 3])
