"""Tests of killed, interrupted and locked runs, which lose nothing and resume to the same results."""

import os
import re
import shlex
import signal
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Finished, glebench, real, together
from hypothesis import given
from hypothesis import strategies as st
from sparing import first
from toy_runs import assert_alike, checkpoint, configured, run, seed_folder

from gle_bench.chosen import resolved
from gle_bench.config import RunConfig
from gle_bench.errors import GleBenchError
from gle_bench.surroundings.processes import Interrupted
from gle_bench.testing.engines import Tried
from gle_bench.tracking.lock import Heartbeat, heartbeat, hold, is_live
from gle_bench.tracking.store import Store
from gle_bench.training import checkpoints
from gle_bench.training.outcome import Outcomes
from gle_bench.training.plan import Settings, plan

pytestmark = pytest.mark.usefixtures("one_thread")
# A schedule that moves, so that it has to be brought back as well.
KEPT = ("record.json", "history.csv", "predictions.npz", "last.ckpt", "best.ckpt")
TINY_IMAGES = ("channels=[2, 3]", "hidden=4", "batch_size=8", "evaluation_batch_size=8", "images=12")
OVERRIDES = ("rate=0.1", 'schedule={"kind": "plateau", "patience": 0}')


def command(
    config: RunConfig,
    seeds: str,
    runs: Path,
    *more: str,
    overrides: Sequence[str] = OVERRIDES,
    engine: str = "torch",
) -> list[str]:
    settings = [word for override in overrides for word in ("--set", override)]
    chosen = ["--seeds", seeds, "--protocol", config.protocol, "--budget", config.budget, "--rule", config.rule]
    return [
        "run",
        config.task,
        "--model",
        config.model,
        *chosen,
        *settings,
        "--runs",
        str(runs),
        "--engine",
        engine,
        "--wandb",
        "off",
        *more,
    ]


def cut_off(config: RunConfig, seeds: str, runs: Path, how: str, engine: str = "torch") -> Finished:
    """A run that ends its own process, for example by 'SIGKILL 1 3' at the third fetch of epoch 1."""
    return glebench(*command(config, seeds, runs, engine=engine), TOYS_SIGNAL=how)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name in KEPT}


@pytest.mark.parametrize(
    ("task", "model", "rule", "engine", "protocol", "seeds", "when"),
    first(
        [
            ("toy-classes", "toy-gle", "gle", "torch", "paper", [1], "1 2"),
            ("toy-classes", "toy-gle", "gle", "torch", "clean", [1, 2], "2 5"),
            ("toy-classes", "toy-gle", "gle", "native", "paper", [1, 2], "1 2"),
            ("toy-own-signal", "toy-gle", "gle", "torch", "paper", [2, 1], "1 1"),
            ("toy-own-signal", "toy-gle", "gle", "native", "clean", [2, 1], "1 1"),
            ("toy-stream", "toy-gle", "toy-bptt", "torch", "paper", [1, 2], "1 4"),
            ("toy-classes", "toy-mlp", "backprop", "torch", "paper", [1], "1 2"),
            ("toy-signal", "toy-mlp", "backprop", "torch", "clean", [1, 2], "2 3"),
            ("toy-classes", "toy-gle", "gle", "torch", "clean", [1], "0 12"),  # while it looks at the test split
        ],
        5,
    ),
)
def test_a_killed_run_ends_bit_identical_to_an_unbroken_one(
    tmp_path: Path, task: str, model: str, rule: str, engine: str, protocol: str, seeds: list[int], when: str
) -> None:
    Tried(engine)
    config = configured(task, model, *OVERRIDES, rule=rule, protocol=protocol)
    named = ",".join(map(str, seeds))
    killed = cut_off(config, named, tmp_path / "broken", f"SIGKILL {when}", engine)
    assert killed.code == -signal.SIGKILL
    folder = seed_folder(tmp_path / "broken", seeds[0])
    assert folder.read().status == "running"
    assert not is_live(folder.path)
    resumed = glebench(*command(config, named, tmp_path / "broken", engine=engine))
    assert resumed.code == 0, resumed.err
    unbroken = run(config, seeds, tmp_path / "unbroken", engine=engine)
    for record in unbroken:
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", record.seed)
    parts = folder.read().lineage
    assert [part.from_round for part in parts] == [0, 3 if when == "0 12" else int(when[0])]
    assert parts[0].ended is None
    assert parts[1].ended is not None


@pytest.mark.parametrize(
    ("task", "model", "seeds", "overrides"),
    first(
        [
            ("mnist1d", "gle-15k", [12, 34], ("steps=40", "epochs=2", "hidden_layers=1", "batch_size=200")),
            ("cifar10", "le", [1, 2], (*TINY_IMAGES, "steps=8", "epochs=12")),
            ("cifar10", "bp-matched", [1, 2], (*TINY_IMAGES, "epochs=30")),
        ],
        1,
    ),
)
def test_a_real_task_survives_a_kill_from_outside(
    tmp_path: Path, data: Path, task: str, model: str, seeds: list[int], overrides: Sequence[str]
) -> None:
    """The installed script is killed at a random moment after its first epoch."""
    config, named = configured(task, model, *overrides), ",".join(map(str, seeds))
    more = ("--data", str(data), "--accept-data")
    words = command(config, named, tmp_path / "broken", *more, overrides=overrides)
    with real(*words) as process:
        deadline = time.monotonic() + 60
        while not any(",1," in text for text in histories(tmp_path / "broken")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    first = seed_folder(tmp_path / "broken", seeds[0])
    assert first.read().status == "running"
    assert glebench(*words).code == 0
    assert len(first.read().lineage) == 2
    assert glebench(*command(config, named, tmp_path / "unbroken", *more, overrides=overrides)).code == 0
    for seed in seeds:
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", seed)


def histories(runs: Path) -> list[str]:
    """The rounds in all histories, each as ',0,1,'."""
    found = []
    for path in runs.glob("*/*/*/*/history.csv"):
        header, *rows = path.read_text().splitlines()
        column = header.split(",").index("round")
        found.append("," + "".join(row.split(",")[column] + "," for row in rows))
    return found


@pytest.mark.parametrize(
    ("model", "protocol", "when"),
    [
        ("toy-gle", "paper", "0 1"),
        ("toy-gle", "paper", "1 4"),
        ("toy-mlp", "clean", "2 2"),
        ("toy-gle", "clean", "0 16"),
    ],
)
def test_ctrl_c_is_told_and_undone_by_the_command_that_it_prints(
    tmp_path: Path, model: str, protocol: str, when: str
) -> None:
    rule = "gle" if model == "toy-gle" else "backprop"
    config = configured("toy-classes", model, *OVERRIDES, rule=rule, protocol=protocol)
    stopped = cut_off(config, "1,2", tmp_path / "broken", f"SIGINT {when}")
    assert stopped.code == 130, stopped
    assert stopped.out == ""
    *_, said, printed = stopped.err.splitlines()
    assert said == "Interrupted. The same command goes on from the last checkpoint:"
    words = shlex.split(printed)
    assert words == ["glebench", *command(config, "1,2", tmp_path / "broken")]
    records = [path.parent for path in (tmp_path / "broken").glob("*/*/*/*/record.json")]
    assert len(records) == (2 if model == "toy-gle" else 1)  # a baseline's seeds run one by one
    for path in records:
        record = seed_folder(tmp_path / "broken", int(path.name.removeprefix("seed-"))).read()
        assert record.status == "interrupted"
        assert record.lineage[-1].ended is not None
    assert glebench(*words[1:]).code == 0
    for record in run(config, [1, 2], tmp_path / "unbroken"):
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", record.seed)


def test_a_second_identical_command_says_that_the_record_exists(tmp_path: Path) -> None:
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    (record,) = run(config, [1], tmp_path)
    before = files(seed_folder(tmp_path, 1).path)
    again = glebench(*command(config, "1", tmp_path))
    assert again.code == 0
    assert again.told == f"Seed 1 is done: its record exists ({record.run_id}; --rerun always runs it anew)."
    assert f"{record.metrics['last']['test']['accuracy'].value:.2f}" in again.out
    assert files(seed_folder(tmp_path, 1).path) == before


def test_a_second_process_on_a_running_one_is_refused_in_one_sentence(tmp_path: Path) -> None:
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    folder = plan(resolved(config), [2], Settings(tmp_path, tmp_path)).folders[2]
    with hold([folder.path]):
        second = glebench(*command(config, "1,2", tmp_path))
    assert second.code == 1
    assert second.out == ""
    assert f"Run {folder.path} is in use by process {os.getpid()} on " in second.told
    assert not list(tmp_path.rglob("record.json"))


def test_a_damaged_checkpoint_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    assert cut_off(config, "1,2", tmp_path, "SIGKILL 1 3").code == -signal.SIGKILL
    folder = seed_folder(tmp_path, 2)
    whole = folder.checkpoint("last").read_bytes()
    folder.checkpoint("last").write_bytes(whole[:-100])
    before = files(folder.path) | files(seed_folder(tmp_path, 1).path)
    refused = glebench(*command(config, "1,2", tmp_path))
    assert refused.code == 1
    assert f"Checkpoint {folder.checkpoint('last')} is damaged" in refused.told
    assert "--rerun always" in refused.told
    assert files(folder.path) | files(seed_folder(tmp_path, 1).path) == before
    folder.checkpoint("last").write_bytes(whole)
    records = run(config, [1, 2], tmp_path)
    assert [record.lineage[-1].from_round for record in records] == [1, 1]


@given(st.binary(max_size=200) | st.integers(0, 10_000), st.booleans())
def test_no_checkpoint_but_a_whole_one_is_read(
    tmp_path_factory: pytest.TempPathFactory, damage: bytes | int, cut: bool
) -> None:
    """Random bytes, a truncated file, and a file with one flipped bit are refused."""
    path = tmp_path_factory.getbasetemp() / "some.ckpt"
    checkpoints.save({path: {"weights": torch.arange(50.0)}})
    whole = bytearray(path.read_bytes())
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    elif cut:
        path.write_bytes(whole[: damage % len(whole)])
    else:
        whole[damage % len(whole)] ^= 1
        path.write_bytes(whole)
    try:
        content = checkpoints.load(path)
    except GleBenchError as error:
        assert re.fullmatch(r"Checkpoint [^\n]+ (is damaged|has format) [^\n]+--rerun always\.", str(error))  # noqa: PT017
    else:
        assert torch.equal(content["weights"], torch.arange(50.0))
        assert isinstance(damage, int)
        assert not cut


@pytest.mark.parametrize("number", [1, 2])
def test_an_ensemble_is_saved_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Wherever writing ends, all seeds have checkpoints of the same round, so that they resume side by side."""
    config, saved = configured("toy-classes", "toy-gle"), []

    def save(*arguments: Any) -> None:
        saved.append(arguments)
        if len(saved) == 4 + number:  # round 0 wrote four: for two seeds the last checkpoint and the best
            raise Interrupted
        original(*arguments)

    original = torch.save
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", save)
        with pytest.raises(KeyboardInterrupt):
            run(config, [1, 2], tmp_path)
    assert [checkpoint(tmp_path, seed)["round"] for seed in (1, 2)] == [0, 0]
    assert not list(tmp_path.rglob("*.part"))


def test_a_checkpoint_goes_on_under_the_threads_that_made_it(tmp_path: Path) -> None:
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    cut_off(config, "1", tmp_path, "SIGKILL 1 2")
    before = files(seed_folder(tmp_path, 1).path)
    torch.set_num_threads(2)
    with pytest.raises(
        GleBenchError, match=r"'threads': 1[^\n]+'threads': 2[^\n]+ resume it under the same [^\n]+ --rerun always\.$"
    ):
        run(config, [1], tmp_path)
    assert files(seed_folder(tmp_path, 1).path) == before
    torch.set_num_threads(1)
    assert run(config, [1], tmp_path)[0].status == "done"


def test_threads_bind_no_checkpoint_of_an_engine_that_they_do_not_change(tmp_path: Path) -> None:
    Tried("native")
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    assert cut_off(config, "1,2", tmp_path / "broken", "SIGKILL 1 2", "native").code == -signal.SIGKILL
    torch.set_num_threads(2)
    records = run(config, [1, 2], tmp_path / "broken", engine="native")
    torch.set_num_threads(1)
    assert [record.environment.engine for record in records] == ["native", "native"]
    run(config, [1, 2], tmp_path / "unbroken", engine="native")
    for record in records:
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", record.seed)


def test_a_checkpoint_goes_on_by_the_engine_that_made_it(tmp_path: Path) -> None:
    Tried("native")
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    cut_off(config, "1", tmp_path, "SIGKILL 1 2")
    with pytest.raises(
        GleBenchError, match=r"'engine': 'torch'[^\n]+'engine': 'native'[^\n]+ resume it under the same"
    ):
        run(config, [1], tmp_path, engine="native")
    assert run(config, [1], tmp_path)[0].status == "done"


def test_seeds_that_stopped_at_different_places_are_each_brought_to_their_end(tmp_path: Path) -> None:
    """Seed 1 stopped after round 0, seed 2 after round 1, and seed 3 has not started."""
    config = configured("toy-classes", "toy-gle", *OVERRIDES, "precision=float64", rule="gle")
    words = [*OVERRIDES, "precision=float64"]
    for seed, when in (("1", "0 3"), ("2", "1 2")):
        done = glebench(*command(config, seed, tmp_path / "broken", overrides=words), TOYS_SIGNAL=f"SIGKILL {when}")
        assert done.code == -signal.SIGKILL
    records = run(config, [3, 2, 1], tmp_path / "broken")
    assert [record.seed for record in records] == [3, 2, 1]
    assert [[part.from_round for part in record.lineage] for record in records] == [[0], [0, 1], [0, 0]]
    run(config, [1, 2, 3], tmp_path / "unbroken")
    for seed in (1, 2, 3):
        assert_alike(tmp_path / "broken", tmp_path / "unbroken", seed, 1e-10)


@pytest.mark.parametrize("model", ["toy-gle", "toy-mlp"])
@pytest.mark.parametrize("protocol", ["paper", "clean"])
def test_a_run_cut_off_after_its_last_checkpoint_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, protocol: str
) -> None:
    def interrupt(*_: Any) -> None:
        raise Interrupted

    config = configured("toy-classes", model, protocol=protocol)
    with monkeypatch.context() as patched:
        patched.setattr(Outcomes, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(config, [1], tmp_path / "broken")
    assert run(config, [1], tmp_path / "broken")[0].lineage[-1].from_round == 3
    run(config, [1], tmp_path / "unbroken")
    assert_alike(tmp_path / "broken", tmp_path / "unbroken", 1)


def test_asking_for_what_failed_goes_on_with_what_was_cut_off(tmp_path: Path) -> None:
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    cut_off(config, "1", tmp_path, "SIGINT 1 2")
    (record,) = run(config, [1], tmp_path, rerun="failed")
    assert [part.from_round for part in record.lineage] == [0, 1]


def test_eight_commands_at_once_on_the_same_and_different_runs_lose_nothing(tmp_path: Path) -> None:
    def words(seeds: str) -> list[object]:
        chosen = ("--model", "toy-mlp", "--seeds", seeds, "--budget", "smoke", "--wandb", "off", "--runs", tmp_path)
        return ["run", "toy-classes", *chosen]

    ended = together([words(seeds) for seeds in ("1,2", "1,2", "1", "2", "3", "4", "3,4", "5")])
    for one in ended:  # it ran them, or found them done; or somebody else was at one of them, which is one sentence
        assert one.code == 0 or (one.code == 1 and "is in use by" in one.told), one
    assert glebench(*words("1-5")).code == 0
    found, skipped = Store(tmp_path).records()
    assert (sorted(record.seed for _, record in found), skipped) == ([1, 2, 3, 4, 5], [])
    for folder, record in found:
        assert record.status == "done"
        (alone,) = run(configured("toy-classes", "toy-mlp", budget="smoke"), [record.seed], tmp_path / "alone")
        assert record.metrics == alone.metrics
        assert {"history.csv", "predictions.npz"} <= {path.name for path in folder.path.iterdir()}


def test_a_seed_that_was_done_when_its_command_was_killed_keeps_no_heartbeat(tmp_path: Path) -> None:
    """Baselines train one seed after another: the first three batches of epoch 2 are the first seed's."""
    config = configured("toy-classes", "toy-mlp", *OVERRIDES)
    assert cut_off(config, "1,2", tmp_path, "SIGKILL 2 5").code == -signal.SIGKILL
    first, second = (seed_folder(tmp_path, seed) for seed in (1, 2))
    assert [first.read().status, second.read().status] == ["done", "running"]
    assert heartbeat(first.path) is None
    assert heartbeat(second.path) is not None
    assert glebench(*command(config, "1,2", tmp_path)).code == 0
    assert heartbeat(second.path) is None


def test_what_a_kill_left_beside_a_finished_record_is_cleared(tmp_path: Path) -> None:
    """For example after a kill between record and removal of the heartbeat; a living process keeps its files."""
    config = configured("toy-classes", "toy-mlp", "epochs=1")
    run(config, [1, 2], tmp_path)
    left, held = seed_folder(tmp_path, 1).path, seed_folder(tmp_path, 2).path
    beat = Heartbeat(host=socket.gethostname(), pid=1, since=datetime.now(UTC), token="dead")
    (left / "heartbeat.json").write_text(beat.model_dump_json())
    (left / ".history.csv.x.part").write_text("half")
    with hold([held]):
        mine = heartbeat(held)
        run(config, [1, 2], tmp_path)
        assert heartbeat(held) == mine
    assert heartbeat(left) is None
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("together", ["1,2", "1,2,3"])
def test_seconds_of_a_seed_are_those_of_its_sittings_each_shared_by_its_company(tmp_path: Path, together: str) -> None:
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    assert cut_off(config, together, tmp_path, "SIGKILL 2 2").code == -signal.SIGKILL
    before, size = checkpoint(tmp_path, 1), together.count(",") + 1
    assert before["seed_s"] == pytest.approx(before["wall_s"] / size, rel=0.01)
    (record,) = run(config, [1], tmp_path)
    assert (record.cost.networks, [part.networks for part in record.lineage]) == (1, [size, 1])
    last_sitting = record.cost.wall_s - before["wall_s"]
    assert record.cost.seconds_of_a_seed == pytest.approx(before["seed_s"] + last_sitting, rel=0.01)
    assert record.cost.seconds_of_a_seed < record.cost.wall_s


def test_a_checkpoint_of_an_earlier_glebench_goes_on(tmp_path: Path) -> None:
    """It has no seconds of one seed, so that all of its time counts."""
    config = configured("toy-classes", "toy-gle", *OVERRIDES, rule="gle")
    assert cut_off(config, "1", tmp_path, "SIGKILL 2 2").code == -signal.SIGKILL
    path, content = seed_folder(tmp_path, 1).checkpoint("last"), checkpoint(tmp_path, 1)
    del content["seed_s"]
    checkpoints.save({path: content})
    (record,) = run(config, [1], tmp_path)
    assert record.status == "done"
    assert record.cost.seconds_of_a_seed == pytest.approx(record.cost.wall_s, rel=0.01)
