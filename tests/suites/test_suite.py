"""Tests of suites: seeds that are done count, missing ones are run, and a failure does not stop the others."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import Finished, glebench, real
from hypothesis import given, settings
from hypothesis import strategies as st
from record_examples import example
from toy_runs import seed_folder

from gle_bench import registry
from gle_bench.chosen import run_hash
from gle_bench.errors import GleBenchError, UnknownName, UsageError
from gle_bench.paper import SUITES
from gle_bench.suites import catalogue, command
from gle_bench.suites.file import from_file
from gle_bench.suites.launch import Ended, Job, LocalProcesses
from gle_bench.suites.matrix import Entry, Planned, Suite, resolve
from gle_bench.suites.states import Standing, standing
from gle_bench.tracking.record import DataUsed, Record

TOYS = """
[[run]]
task = "toy-classes"
model = ["toy-gle", "toy-mlp"]
seeds = "1,2"
"""


def described(folder: Path, text: str = TOYS) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


# What a suite is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_is_of_runs_that_there_are(name: str) -> None:
    planned = resolve(catalogue.suite(name))
    assert len({each.label for each in planned}) == len(planned) > 3
    for each in planned:
        assert each.chosen.config.budget == "paper"
        assert each.seeds == tuple(registry.pair(each.chosen.config.task, each.chosen.config.model).seeds)


def test_table_2_has_every_published_model_under_both_protocols() -> None:
    found = {(entry.model, entry.protocol) for entry in catalogue.suite("table2").entries}
    models = {cell.model for cell in registry.task("mnist1d").published}
    assert found == {(model, protocol) for model in models for protocol in ("paper", "clean")}


def test_a_file_names_models_and_settings(tmp_path: Path) -> None:
    text = '[[run]]\ntask = "mnist1d"\nmodel = ["gle-15k", "gle-42k"]\nprotocol = "clean"\nset = ["epochs=3"]\n'
    suite = from_file(described(tmp_path, text + '[[run]]\ntask = "gsc"\nmodel = "mlp"\nseeds = "1"\n'))
    assert suite.entries == (
        Entry(task="mnist1d", model="gle-15k", protocol="clean", set=("epochs=3",)),
        Entry(task="mnist1d", model="gle-42k", protocol="clean", set=("epochs=3",)),
        Entry(task="gsc", model="mlp", seeds="1"),
    )
    first, _, last = resolve(suite)
    assert first.chosen.config.training.epochs == 3
    assert first.label == "mnist1d gle-15k, epochs=3, clean"
    assert last.command([1]).words == [
        *("run", "gsc", "--model", "mlp"),
        *("--seeds", "1", "--budget", "paper"),
    ]
    assert str(first.command([3, 4])).endswith("--seeds 3,4 --budget paper --protocol clean --set epochs=3")


def test_a_file_from_an_editor_that_marks_its_encoding_is_read(tmp_path: Path) -> None:
    marked = tmp_path / "marked.toml"
    marked.write_text(TOYS, encoding="utf-8-sig")
    assert from_file(marked).entries == from_file(described(tmp_path)).entries


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[run]", "Cannot read the suite"),
        ("", "run: Field required"),
        ("run = 3", "run: Input should be"),
        ('[[run]]\nmodel = "gru"', "run.0.task: Field required"),
        ('[[run]]\ntask = "mnist1d"\nmodel = []', "run.0.model: "),
        ('[[run]]\ntask = "mnist1d"\nmodel = "gru"\nseed = 1', "run.0.seed: Extra inputs are not permitted"),
        ('[[run]]\ntask = "mnist1d"\nmodel = "gru"\nbudget = "long"', "run.0.budget: Input should be 'smoke'"),
    ],
)
def test_a_file_that_says_what_there_is_not_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        from_file(described(tmp_path, text))
    assert reason in str(refused.value)
    assert str(tmp_path / "mine.toml") in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "mnist"}, "Unknown task 'mnist'. Did you mean 'mnist1d'?"),
        ({"model": "gel-15k"}, "Unknown model 'gel-15k'. Did you mean 'gle-15k'?"),
        ({"seeds": "few"}, "'few' is not a seed"),
        ({"set": ("epochs=-1",)}, "epochs"),
    ],
)
def test_entries_are_checked_before_anything_runs(change: dict[str, object], reason: str) -> None:
    entry = Entry(**{"task": "mnist1d", "model": "gle-15k", **change})
    with pytest.raises(UsageError, match=".*" + reason.replace("?", r"\?")):
        resolve(Suite("mine", "", (entry,)))


def test_an_unknown_suite_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'table2'"):
        catalogue.suite("tabel2")


# What there is already -----------------------------------------------------------------------------------------------


def planned(protocol: str = "paper") -> Planned:
    (found,) = resolve(Suite("", "", (Entry(task="mnist1d", model="gle-15k", seeds="1-6", protocol=protocol),)))
    return found


def record(of: Planned, seed: int, **changes: object) -> Record:
    official = bool(changes.pop("official", True))
    used = DataUsed(fingerprint="f" * 64, official=official, digests={})
    named = {name: getattr(of.chosen.config, name) for name in ("task", "model", "rule", "protocol", "budget")}
    same = {
        "config": of.chosen.config.model_dump(mode="json"),
        "config_hash": run_hash(of.chosen.config, "f" * 64),
    }
    return example(seed, **{**named, **same, "data": used, **changes})


def test_each_seed_has_the_state_of_its_record() -> None:
    of = planned()
    statuses = {1: "done", 2: "interrupted", 3: "failed", 4: "diverged", 5: "running"}
    found = standing(of, [record(of, seed, status=status) for seed, status in statuses.items()], [])
    assert found.states == {1: "done", 2: "interrupted", 3: "failed", 4: "failed", 5: "interrupted", 6: "missing"}
    assert found.to_run() == (2, 5, 6)
    assert found.to_run("failed") == (2, 3, 4, 5, 6)
    assert found.to_run("always") == (1, 2, 3, 4, 5, 6)
    assert [record.seed for record in found.records] == [1]


def test_published_records_count_as_done_if_they_are_whole_and_of_official_data() -> None:
    of = planned()
    own = [record(of, 1), record(of, 2, status="failed")]
    theirs = [record(of, 1), record(of, 2), record(of, 3, status="interrupted"), record(of, 4, official=False)]
    states = standing(of, own, theirs).states
    assert [states[seed] for seed in range(1, 5)] == ["done", "published", "missing", "missing"]


def test_records_of_another_meaning_do_not_count() -> None:
    of, other = planned(), planned("clean")
    found = standing(of, [record(other, 1), record(of, 2, config_hash="0" * 12)], [])
    assert set(found.states.values()) == {"missing"}


def test_a_record_from_before_a_setting_was_there_counts_where_that_has_its_default() -> None:
    of = planned()
    config = of.chosen.config.model_dump(mode="json")
    del config["network"]["loss"], config["training"]["weight_decay"], config["training"]["sampling"]
    known = record(of, 1, config=config)
    assert standing(of, [], [known]).states[1] == "published"
    assert standing(of, [], [known]).seconds == known.cost.wall_s


def test_the_time_is_that_of_seeds_that_did_the_same_work() -> None:
    of, other = planned(), planned("clean")
    known = record(other, 1)
    cost = known.cost.model_copy(update={"wall_s": 600.0, "networks": 10})
    found = standing(of, [known.model_copy(update={"cost": cost})], [])
    assert found.estimate() == 6 * 60.0
    assert standing(of, [], []).estimate() is None
    assert Standing(of, dict.fromkeys(of.seeds, "done"), None).estimate() == 0


def test_the_time_of_a_full_run_is_told_from_the_rate_of_shorter_ones() -> None:
    of = planned()
    known = record(of, 1, config_hash="0" * 12, budget="short", marks=("budget short",))
    cost = known.cost.model_copy(update={"wall_s": 600.0, "networks": 1, "steps": 10_000})
    found = standing(of, [], [known.model_copy(update={"cost": cost})])
    assert found.estimate() == pytest.approx(6 * 0.06 * 150 * 40 * 360)  # seeds, s a step, epochs, batches
    (changed,) = resolve(Suite("", "", (Entry(task="mnist1d", model="gle-15k", set=("epochs=3",)),)))
    assert standing(changed, [], [known.model_copy(update={"cost": cost})]).estimate() is None


# How jobs are run ----------------------------------------------------------------------------------------------------


class Watched:
    """A watcher that counts the jobs that run at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[str] = []

    def began(self, job: Job) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.order.append(job.label)

    def running(self, jobs: Sequence[Job]) -> None:
        assert len(jobs) == self.now

    def ended(self, end: Ended) -> None:
        self.now -= 1


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 3))
def test_every_job_runs_whatever_becomes_of_the_others(
    tmp_path_factory: pytest.TempPathFactory, codes: list[int], at_once: int
) -> None:
    folder, watcher = tmp_path_factory.mktemp("logs"), Watched()
    jobs = [Job(str(place), (str(code),), folder / str(place)) for place, code in enumerate(codes)]
    launcher = LocalProcesses(at_once, ("/bin/sh", "-c", 'echo "exit $0"; exit $0'))
    ended = launcher.run(jobs, watcher)
    assert {end.job.label: end.code for end in ended} == {str(place): code for place, code in enumerate(codes)}
    assert watcher.order == [job.label for job in jobs]
    assert watcher.most <= at_once
    assert [job.log.read_text() for job in jobs] == [f"exit {code}\n" for code in codes]


def test_a_log_that_cannot_be_written_is_told() -> None:
    with pytest.raises(GleBenchError, match="Cannot write /proc/none/log"):
        LocalProcesses().run([Job("x", (), Path("/proc/none/log"))], Watched())


def test_the_same_run_twice_is_refused() -> None:
    of = planned()
    twice = [Standing(of, {1: "missing"}, None)] * 2
    with pytest.raises(UsageError, match="names mnist1d gle-15k twice"):
        command.jobs("mine", twice, command.Options(Path("runs")))


# The command ---------------------------------------------------------------------------------------------------------


def suite(path: Path, runs: Path, *more: str) -> Finished:
    return glebench("suite", path, "--runs", runs, "--data", runs / "data", "--wandb", "off", *more)


def test_a_suite_runs_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    path, runs = described(tmp_path), tmp_path / "runs"
    before = suite(path, runs, "--dry-run", "--json")
    assert [entry["states"] for entry in json.loads(before.out)] == [{"1": "missing", "2": "missing"}] * 2
    assert not runs.exists()
    first = suite(path, runs, "--jobs", "2")
    assert first.code == 0, first
    assert first.err.count("done    toy-classes toy-") == 2
    written = {file: file.stat().st_mtime_ns for file in runs.rglob("record.json")}
    assert len(written) == 4
    second = suite(path, runs)
    assert (second.code, second.err) == (0, "")
    assert "toy-classes toy-gle     2" in second.out
    assert second.out.endswith("Nothing is left to run.\n")
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("record.json")} == written


def test_what_fails_does_not_stop_the_others_and_is_told(tmp_path: Path) -> None:
    bad = '[[run]]\ntask = "toy-classes"\nmodel = "toy-gle"\nseeds = "1"\nset = ["rate=1e38", "optimizer=sgd"]\n'
    path, runs = described(tmp_path, bad + TOYS), tmp_path / "runs"
    finished = suite(path, runs)
    assert finished.code == 1
    assert "FAILED  toy-classes toy-gle, rate=1e38, optimizer=sgd" in finished.err
    states = [entry["states"] for entry in json.loads(suite(path, runs, "--dry-run", "--json").out)]
    assert states == [{"1": "failed"}, {"1": "done", "2": "done"}, {"1": "done", "2": "done"}]
    again = json.loads(suite(path, runs, "--dry-run", "--json", "--rerun", "failed").out)
    chosen = "--model toy-gle --seeds 1 --budget paper --set rate=1e38 --set optimizer=sgd"
    assert again[0]["command"] == f"glebench run toy-classes {chosen}"
    assert suite(path, runs).err == ""  # a failure stands until it is asked for


@pytest.mark.systems
def test_a_suite_that_is_asked_to_end_ends_its_runs_and_goes_on(tmp_path: Path) -> None:
    text = '[[run]]\ntask = "toy-classes"\nmodel = "toy-gle"\nseeds = "1"\nset = ["epochs=400"]\n'
    path, runs = described(tmp_path, text), tmp_path / "runs"
    words = ("suite", path, "--runs", runs, "--data", runs / "data", "--wandb", "off")
    with real(*words) as process:
        deadline = time.monotonic() + 60
        while not any(",1," in file.read_text() for file in runs.rglob("history.csv")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on" in err
    assert seed_folder(runs, 1).read().status == "interrupted"
    assert glebench(*words).code == 0
    assert len(seed_folder(runs, 1).read().lineage) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["tabel2"], "Unknown suite 'tabel2'. Did you mean 'table2'?"),
        (["none.toml"], "Cannot read the suite none.toml"),
        (["table2", "--jobs", "0"], "--jobs 0: must be at least 1."),
    ],
)
def test_what_cannot_be_run_is_told_in_a_sentence(words: list[str], reason: str) -> None:
    refused = glebench("suite", *words, "--dry-run")
    assert refused.code == 2
    assert reason in refused.told
