"""Tests of observed and disturbed runs: refused, recorded and hashed disturbances, and resumed runs."""

import signal
from pathlib import Path

import pytest
import torch
from command import glebench
from sparing import first
from torch import Tensor
from toy_runs import assert_alike, checkpoint, configured, parameters, run, seed_folder, tensors

from gle_bench.config import config_hash, meaning
from gle_bench.dynamics.seams import Moment, Observer, Signal
from gle_bench.errors import UsageError
from gle_bench.testing.engines import Tried
from gle_bench.tracking.record import Mark, read_mark
from gle_bench.training.marks import changes

pytestmark = pytest.mark.usefixtures("one_thread")
NOISE = 'disturbances=[{"kind": "rate-noise", "std": 0.1}]'
TAUS = '{"kind": "tau-noise", "std": 0.3}'
OWN_TAUS = '{"kind": "tau-noise", "std": 0.3, "errors": "independent"}'
FEEDBACK = '{"kind": "feedback-noise", "std": 0.1}'
NOISY_EVALUATIONS = 'disturbances=[{"kind": "rate-noise", "std": 0.1, "in_evaluation": true}]'


class Watching(Observer):
    """An observer that notes the signals it sees, and overwrites its copies."""

    def __init__(self) -> None:
        self.moments: set[Moment] = set()
        self.layers: set[tuple[str, int]] = set()

    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        self.moments.add(moment)
        self.layers.add((signal, layer))
        tensor.fill_(torch.nan)


@pytest.mark.parametrize("protocol", ["paper", "clean"])
def test_an_observed_run_ends_bit_identical_to_an_unobserved_one(tmp_path: Path, protocol: str) -> None:
    config, watching = configured("toy-classes", "toy-gle", protocol=protocol, budget="short"), Watching()
    run(config, [1, 2], tmp_path / "watched", observers=(watching,))
    run(config, [1, 2], tmp_path / "plain")
    for seed in (1, 2):
        assert_alike(tmp_path / "watched", tmp_path / "plain", seed)
    assert {"rate", "error"} <= {signal for signal, _ in watching.layers}
    learned = {moment.batch for moment in watching.moments if moment.evaluation is None}
    assert learned == set(range(6))  # two epochs of three batches
    assert {moment.step for moment in watching.moments} == set(range(10))
    assert {0, 1} <= {moment.evaluation for moment in watching.moments if moment.evaluation is not None}


@pytest.mark.parametrize(
    ("rule", "noise", "protocol"),
    first(
        [
            ("gle", f"disturbances=[{OWN_TAUS}, {FEEDBACK}]", "paper"),
            ("gle-e", f"disturbances=[{TAUS}, {FEEDBACK}]", "clean"),
            ("gle", NOISE, "paper"),
            ("toy-bptt", NOISE, "clean"),
            ("gle", NOISY_EVALUATIONS, "clean"),
        ],
        2,
    ),
)
def test_a_killed_run_with_noise_ends_bit_identical_to_an_unbroken_one(
    tmp_path: Path, rule: str, noise: str, protocol: str
) -> None:
    config = configured("toy-classes", "toy-gle", noise, rule=rule, protocol=protocol)
    words = ["run", "toy-classes", "--model", "toy-gle", "--seeds", "1,2", "--budget", "paper", "--rule", rule]
    words += ["--protocol", protocol, "--set", noise, "--runs", str(tmp_path / "broken"), "--wandb", "off"]
    assert glebench(*words, TOYS_SIGNAL="SIGKILL 1 2").code == -signal.SIGKILL
    resumed = glebench(*words)
    assert resumed.code == 0, resumed.err
    run(config, [1, 2], tmp_path / "unbroken")
    for seed in (1, 2):
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", seed)
    record = seed_folder(tmp_path / "broken", 1).read()
    assert len(record.lineage) == 2
    assert record.environment.engine == "torch"  # which 'auto' picked
    assert record.config["disturbances"] == config.model_dump(mode="json")["disturbances"]


def test_noise_changes_what_is_learned_and_a_seeds_noise_is_the_same_in_any_company(tmp_path: Path) -> None:
    """In float64, members of an ensemble differ from runs of one seed by rounding alone."""
    noisy = configured("toy-classes", "toy-gle", NOISE, "precision=float64")
    run(noisy, [1, 2], tmp_path / "together")
    run(noisy, [2], tmp_path / "alone")
    run(configured("toy-classes", "toy-gle", "precision=float64"), [2], tmp_path / "plain")
    assert_alike(tmp_path / "together", tmp_path / "alone", 2, 1e-10)
    noises = zip(parameters(tmp_path / "alone", 2), parameters(tmp_path / "plain", 2), strict=True)
    assert any(not torch.equal(a, b) for a, b in noises)


def test_noise_in_evaluations_leaves_learning_alone_where_the_state_is_not_carried(tmp_path: Path) -> None:
    """Protocol clean evaluates from a state of its own, so that weights are the same, and evaluations differ."""
    run(configured("toy-classes", "toy-gle", NOISE, protocol="clean"), [1], tmp_path / "spared")
    run(configured("toy-classes", "toy-gle", NOISY_EVALUATIONS, protocol="clean"), [1], tmp_path / "noisy")
    spared, noisy = (tensors(checkpoint(tmp_path / name, 1)["member"]) for name in ("spared", "noisy"))
    assert all(torch.equal(a, b) for a, b in zip(spared, noisy, strict=True))
    losses = [seed_folder(tmp_path / name, 1).read_history()[-1]["loss"] for name in ("spared", "noisy")]
    assert losses[0] != losses[1]


def test_disturbances_are_hashed_where_there_are_some() -> None:
    plain = configured("toy-classes", "toy-gle")
    assert "disturbances" not in meaning(plain)
    noisy = [
        configured("toy-classes", "toy-gle", f'disturbances=[{{"kind": "rate-noise", "std": {std}{more}}}]')
        for std, more in ((0.1, ""), (0.2, ""), (0.1, ', "layers": [0]'), (0.1, ', "in_evaluation": true'))
    ]
    assert meaning(noisy[0])["disturbances"] == [{"kind": "rate-noise", "std": 0.1}]
    assert len({config_hash(config, {}, "data") for config in (plain, *noisy)}) == 5
    assert plain == configured("toy-classes", "toy-gle", "disturbances=[]")


def test_a_mark_says_a_disturbance_in_words() -> None:
    noise = 'disturbances=[{"kind": "rate-noise", "std": 0.1, "layers": [0]}, {"kind": "rate-noise", "std": 0.2}]'
    plain, noisy = configured("toy-classes", "toy-gle"), configured("toy-classes", "toy-gle", noise)
    words = "disturbances=rate-noise (std 0.1, layers [0], correlation 1) and rate-noise (std 0.2, correlation 1)"
    assert [str(mark) for mark in changes(noisy, plain)] == [words]
    assert read_mark(words) == Mark("setting", words)


@pytest.mark.parametrize(
    ("model", "value", "complaint"),
    [
        ("toy-mlp", '[{"kind": "rate-noise", "std": 0.1}]', "toy-mlp learns offline, .* set disturbances to \\[\\]"),
        (
            "toy-gle",
            '[{"kind": "rate-noise", "std": 0.1, "layers": [1, 4]}]',
            r"layers = \[1, 4\] .* 0, its input, to 3",
        ),
        (
            "toy-gle",
            '[{"kind": "rate-noise", "std": 0}]',
            r"disturbances\.0\.rate-noise\.std: Input should be greater than 0",
        ),
        (
            "toy-gle",
            '[{"kind": "noise", "std": 1}]',
            r"disturbances\.0: kind should be one of 'rate-noise', 'feed.* \(got 'noise'\)",
        ),
        ("toy-gle", "{}", r"disturbances: Input should be a list, in JSON: \[\.\.\.\] \(got \{\}\)"),
        ("toy-gle", '"rate-noise"', r"disturbances: Input should be a list, .* \(got 'rate-noise'\)"),
        ("toy-gle", '["rate-noise"]', r"disturbances\.0: Input should be an object, in JSON: .* \(got 'rate-noise'\)"),
        ("toy-gle", '[{"kind": "tau-noise", "std": true}]', r"std should be a number, not true or false \(got True\)"),
        ("toy-gle", '[{"kind": "rate-noise", "std": 1, "layers": [true]}]', r"layers should be a number, not true or"),
        ("toy-gle", '[{"std": 1}]', r"disturbances\.0: 'kind' is required"),
        ("toy-gle", '[{"kind": "feedback-noise", "std": 1, "layers": [0]}]', "has layers 1, 2, 3, which have feedback"),
        (
            "toy-gle",
            '[{"kind": "tau-noise", "std": 1, "layers": [4]}]',
            "has layers 1, 2, 3, which have time constants",
        ),
        ("toy-gle", f"[{TAUS}, {TAUS}]", "name 2 of kind tau-noise, but a time constant is drawn once"),
    ],
)
def test_what_cannot_be_is_refused_in_words(tmp_path: Path, model: str, value: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        run(configured("toy-classes", model, f"disturbances={value}"), [1], tmp_path)
    assert not list(tmp_path.rglob("record.json"))


def test_an_offline_model_is_not_watched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"without steps of its own that could be watched; leave the observers out"):
        run(configured("toy-classes", "toy-mlp"), [1], tmp_path, observers=(Watching(),))


@pytest.mark.parametrize("rule", ["gle", "bptt"])
@pytest.mark.parametrize("noise", [FEEDBACK, TAUS], ids=["feedback", "tau"])
def test_noise_on_feedback_or_time_constants_changes_what_is_learned(tmp_path: Path, rule: str, noise: str) -> None:
    run(configured("toy-classes", "toy-gle", f"disturbances=[{noise}]", rule=rule), [1], tmp_path / "noisy")
    run(configured("toy-classes", "toy-gle", rule=rule), [1], tmp_path / "plain")
    pairs = list(zip(parameters(tmp_path / "noisy", 1), parameters(tmp_path / "plain", 1), strict=True))
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("rule", ["bptt", "rtrl", "instantaneous"])
def test_rules_without_error_neurons_refuse_noise_on_their_time_constants(tmp_path: Path, rule: str) -> None:
    config = configured("toy-classes", "toy-gle", f"disturbances=[{OWN_TAUS}]", rule=rule)
    with pytest.raises(
        UsageError, match=r"tau-noise changes error_tau_m and error_tau_r, .*; set errors = shared of tau-noise"
    ):
        run(config, [1], tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_shared_noise_on_time_constants_runs_in_the_native_engine_and_is_a_mark_in_words(tmp_path: Path) -> None:
    native = Tried("native")
    config = configured("toy-classes", "toy-gle", f"disturbances=[{TAUS}]", "precision=float64")
    run(config, [1], tmp_path / "tried", engine=native.name)
    run(config, [1], tmp_path / "torch", engine="torch")
    assert_alike(tmp_path / "tried", tmp_path / "torch", 1, 1e-10)
    marks = [str(mark) for mark in seed_folder(tmp_path / "tried", 1).read().marks]
    assert "disturbances=tau-noise (std 0.3, errors shared)" in marks
