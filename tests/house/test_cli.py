"""Tests of the command line: its output, its exit codes, and one clear sentence for each error."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import glebench, real
from parameters import PARAMETERS
from shared import SUPPORT
from toy_runs import configured, run, seed_folder

import gle_bench
from gle_bench import registry
from gle_bench.paper import FIGURES
from gle_bench.recipes.mnist1d import MNIST1DOptions

COMMANDS = (
    *("run", "list", "show", "table", "figure", "plot", "suite", "sweep", "prepare", "bench", "doctor", "completion"),
)
TOY = ("run", "toy-classes", "--model", "toy-gle", "--seeds", "1", "--budget", "smoke", "--wandb", "off")
MLP = ("run", "mnist1d", "--model", "mlp-0", "--budget", "smoke", "--wandb", "off")
NO_NETWORK = """
import socket

def refuse(self, address, *_):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise SystemExit(f"NETWORK TOUCHED: {address}")
    return original(self, address)

def refuse_names(host, *arguments, **options):
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise SystemExit(f"NETWORK TOUCHED: {host}")
    return names(host, *arguments, **options)

original, names = socket.socket.connect, socket.getaddrinfo
socket.socket.connect, socket.getaddrinfo = refuse, refuse_names
"""


@pytest.fixture
def short_mnist1d(data: Path) -> bytes:
    """The file of MNIST-1D with 40 steps."""
    registry.task("mnist1d").prepare(data / "mnist1d", MNIST1DOptions(steps=40), lambda line: None)
    return (data / "mnist1d/mnist1d-40.npz").read_bytes()


def put(folder: Path, content: bytes) -> Path:
    path = folder / "mnist1d/mnist1d-40.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


# What works ----------------------------------------------------------------------------------------------------------


def test_the_installed_script_runs_a_strangers_task_and_touches_no_network(tmp_path: Path) -> None:
    """The task is found by entry points, and W&B has its default mode, with nobody logged in."""
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    path = f"{tmp_path}:{SUPPORT}"
    words = ["run", "toy-signal", "--model", "toy-gle", "--rule", "toy-bptt", "--runs", tmp_path / "runs"]
    with real(*words, PYTHONPATH=path, HOME=str(tmp_path), WANDB_API_KEY=None, WANDB_MODE=None) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "seed 3    test mse" in out
    assert "glebench show toy-signal-toy-gle+toy-bptt-" in out
    assert "full run" not in out  # nobody has published a result of this task
    assert "2/2" in err
    assert list((tmp_path / "runs/wandb").glob("offline-run-*")) != []
    (line,) = [line for line in err.splitlines() if "W&B" in line]
    assert re.fullmatch(
        r"W&B's files are on this machine alone; to upload them: .*wandb sync \S+/offline-run-\S+", line
    )
    (record,) = (tmp_path / "runs/toy-signal/toy-gle+toy-bptt").rglob("record.json")
    assert json.loads(record.read_text())["environment"]["packages"]["glebench-toys"] == "1.0"


def test_every_command_helps() -> None:
    listed = glebench("--help")
    assert listed.code == 0
    for command in COMMANDS:
        assert command in listed.out
        helped = glebench(command, "--help")
        assert helped.code == 0
        assert f"glebench {command}" in helped.out
        assert helped.err == ""
    shown = glebench("figure", "--help").out
    assert set(re.findall(r"\b\d+[a-g]?\b", shown[shown.index("Figure 3") :].partition(".")[0])) == set(FIGURES)


def test_the_module_is_the_program(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('not this one')\n")
    command = [sys.executable, "-m", "gle_bench"]
    done = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"glebench {gle_bench.__version__}\n"


def test_lists_name_what_is_registered_and_what_was_run(tmp_path: Path) -> None:
    run(configured("toy-classes", "toy-mlp", "epochs=1"), [1], tmp_path)
    for kind, expected in {
        "tasks": {"mnist1d", "toy-signal"},
        "models": {"gle-15k", "toy-gle"},
        "rules": {"gle", "backprop", "toy-bptt"},
        "runs": {seed_folder(tmp_path, 1).read().run_id},
    }.items():
        text, rows = (glebench("list", kind, "--runs", tmp_path, *more) for more in ((), ("--json",)))
        key = {"models": "model", "runs": "run"}.get(kind, "name")
        assert expected <= {row[key] for row in json.loads(rows.out)}
        assert all(name in text.out for name in expected)
        assert text.err == rows.err == ""


def test_show_counts_parameters_exactly() -> None:
    shown = json.loads(glebench("show", "mnist1d", "--json").out)
    assert {model["name"]: model["parameters"] for model in shown["models"]} == {**PARAMETERS, "esn": 5_020}
    text = glebench("show", "mnist1d")
    assert text.code == 0
    assert all(f"{count:,}" in text.out for count in PARAMETERS.values())


def test_tables_stand_without_a_single_run(tmp_path: Path) -> None:
    for more in ((), ("--format", "csv"), ("--json",)):
        table = glebench("table", "2", "--runs", tmp_path / "none", *more)
        assert table.code == 0, table
        assert table.err == ""
        assert "93.5" in table.out
        assert "mlp-published" in table.out
    json.loads(table.out)
    assert not (tmp_path / "none").exists()


def test_the_doctor_tells_a_healthy_installation(tmp_path: Path) -> None:
    found = glebench("doctor", "--runs", tmp_path / "runs", "--data", tmp_path / "data", "--json")
    assert found.code == 0, found
    checks = json.loads(found.out)
    assert {"torch", "lightning"} <= {check["name"] for check in checks}
    assert {check["status"] for check in checks} <= {"ok", "warn"}
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("model", ["toy-gle", "toy-mlp"])
def test_a_dry_run_writes_nothing_and_says_what_would_run(tmp_path: Path, model: str) -> None:
    words = ["run", "toy-classes", "--model", model, "--seeds", "1-3"]
    words += ["--runs", str(tmp_path / "runs"), "--dry-run", "--json"]
    first = glebench(*words)
    assert first.code == 0, first
    assert first.err == ""
    assert not (tmp_path / "runs").exists()
    preview = json.loads(first.out)
    assert (list(preview["to_run"]), preview["cached"]) == (["1", "2", "3"], {})
    assert preview["budget"] == "short"
    assert preview["seconds"] >= 0
    (record,) = run(configured("toy-classes", model, budget="short"), [2], tmp_path / "runs")
    before = sorted((tmp_path / "runs").rglob("*"))
    second = json.loads(glebench(*words).out)
    assert second["config_hash"] == record.config_hash == preview["config_hash"]
    assert list(second["to_run"]) == ["1", "3"]
    assert second["cached"] == {"2": "done"}
    assert sorted((tmp_path / "runs").rglob("*")) == before
    text = glebench(*words[:-1], GLEBENCH_BUDGET="paper")
    assert "budget paper" in text.out
    assert "seed 1    would run" in text.out


def test_a_runs_result_is_json_where_asked_for(tmp_path: Path) -> None:
    done = glebench(*TOY, "--runs", tmp_path, "--protocol", "clean", "--json")
    assert done.code == 0
    (record,) = json.loads(done.out)
    assert record == json.loads((seed_folder(tmp_path, 1).path / "record.json").read_text())
    assert set(record["metrics"]["last"]) == {"validation", "test"}
    shown = json.loads(glebench("show", record["run_id"], "--runs", tmp_path, "--json").out)
    assert shown["kind"] == "run"


# What does not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "run mnist1",
            "Unknown task 'mnist1'. Did you mean 'mnist1d'? Tasks: chain, cifar10, gsc, mackey-glass, mnist1d, ",
        ),
        ("run mnist1d --model gel-15k", "Unknown model 'gel-15k'. Did you mean 'gle-15k'? Models: esn, gle, gle-15k, "),
        ("run mnist1d --model les", "Unknown model 'les'."),
        (
            "run mnist1d --model toy-mlp",
            "Model 'toy-mlp' has no configuration for task 'mnist1d', only for toy-classes",
        ),
        ("--rule gel", "Unknown rule 'gel'. Did you mean 'gle'?"),
        ("--rule backprop", "Rule 'backprop' leaves gradients to autograd; toy-gle learns online"),
        ("--set epoch=3", "Unknown setting 'epoch'. Did you mean 'epochs'?"),
        ("--set epochs", "--set epochs: write it as key=value"),
        (
            "--set epochs=0",
            "epochs: Input should be greater than or equal to 1 (got 0).",
        ),
        ("--set rate=fast", "rate: Input should be a valid number"),
        ("--set rate=Infinity", "rate: Input should be a finite number"),
        ("--set batches=7", "give one of epochs = 1 and batches = 7"),
        ("--set protocol=clean", "Unknown setting 'protocol'"),
        ("--set dt=5", "dt = 5.0 must not exceed tau_m = 1.0 of layer 1; lower dt or raise tau_m."),
        ("--seeds 1-", "--seeds 1-: '1-' is not a seed; write 0-9, or 3,5, or paper."),
        ("--seeds one", "'one' is not a seed"),
        ("--seeds 5-3", "'5-3' must rise"),
        ("--seeds 1,0-2", "--seeds 1,0-2 names a seed twice"),
        ("--seeds 0-99999", "'0-99999' must rise, over at most 1000 seeds"),
        ("--seeds 99999999999999999999", "'99999999999999999999' is too large"),
        ("--engine warp", "Unknown engine 'warp'."),
        ("--engine nativ", "Unknown engine 'nativ'. Did you mean 'native'? Engines: auto, graph, native, torch."),
        ("--engine graph --device cpu", "--engine graph: "),
        ("--engine native --rule toy-bptt", "--engine native: rule 'toy-bptt' does not support it; use --engine auto."),
        (
            "run toy-classes --model toy-mlp --engine native",
            "--engine native: the model learns offline, by PyTorch itself; use --engine auto.",
        ),
        ("--device tpu", "Unknown device 'tpu'."),
        ("show toy-signl", "Did you mean 'toy-signal'?"),
        ("table 4", "'4'"),
        ("prepare mnist", "Unknown task 'mnist'. Did you mean 'mnist1d'?"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(tmp_path: Path, words: str, sentence: str) -> None:
    refused = glebench(*(TOY if words.startswith("--") else ()), *words.split(), GLEBENCH_RUNS=str(tmp_path))
    assert refused.code == 2
    assert refused.out == ""
    assert refused.told.startswith("Error: ")
    assert sentence in refused.told
    assert not list(tmp_path.rglob("record.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run", "Missing argument"),
        ("run mnist1d --budget huge", "huge"),
        ("run mnist1d --rerun sometimes", "sometimes"),
        ("run mnist1d --sedes 3", "--sedes"),
        ("list things", "things"),
        ("trian mnist1d", "trian"),
    ],
)
def test_what_is_no_command_or_option_is_told(words: str, said: str) -> None:
    refused = glebench(*words.split())
    assert refused.code == 2
    assert said in refused.err


@pytest.mark.parametrize("place", ["/proc/runs", "/dev/null/runs", "file"])
def test_a_runs_folder_that_cannot_be_written_to_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    refused = glebench(*TOY, "--runs", tmp_path / place)
    assert refused.code == 1
    assert refused.told.startswith("Error: Cannot ")
    assert place in refused.told
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("size", [0, 1_000, 4_000, 8_000])
def test_a_full_disk_is_told_and_earlier_results_stay(tmp_path: Path, size: int) -> None:
    """With limits on the size of a file under which the first file, later files or checkpoints cannot be written."""
    config = configured("toy-classes", "toy-gle", budget="smoke")
    (earlier,) = run(config, [1], tmp_path)
    before = {path: path.read_bytes() for path in seed_folder(tmp_path, 1).path.iterdir()}
    refused = glebench(*TOY, "--seeds", "1,2", "--runs", tmp_path, largest_file=size)
    assert refused.code == 1
    lines = [line for line in refused.err.splitlines() if "ms/step" not in line and "record exists" not in line]
    assert 1 <= len(set(lines)) <= 2, lines
    assert any("Cannot write" in line and "File too large" in line for line in lines), lines
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.rglob("*.part"))
    again = glebench(*TOY, "--seeds", "1,2", "--runs", tmp_path, "--rerun", "failed")
    assert again.code == 0, again
    assert [seed_folder(tmp_path, seed).read().status for seed in (1, 2)] == ["done", "done"]
    assert seed_folder(tmp_path, 1).read() == earlier


def test_a_truncated_record_is_told_and_kept(tmp_path: Path) -> None:
    run(configured("toy-classes", "toy-gle", budget="smoke"), [1], tmp_path)
    path = seed_folder(tmp_path, 1).path / "record.json"
    path.write_bytes(path.read_bytes()[:-50])
    before = path.read_bytes()
    refused = glebench(*TOY, "--runs", tmp_path)
    assert refused.code == 1
    assert f"Cannot read {path}: " in refused.told
    assert "move it away to run this seed anew" in refused.told
    assert path.read_bytes() == before
    listed = glebench("list", "runs", "--runs", tmp_path, "--json")
    assert (listed.code, json.loads(listed.out)) == (0, [])
    assert listed.told.startswith(f"Passed over {path}: ")


def truncated(content: bytes) -> bytes:
    return content[:-1000]


def flipped(content: bytes) -> bytes:
    return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [truncated, flipped, emptied])
def test_damaged_data_are_told_and_kept(tmp_path: Path, short_mnist1d: bytes, damage: Callable[[bytes], bytes]) -> None:
    path = put(tmp_path / "data", damage(short_mnist1d))
    refused = glebench(*MLP, "--data", tmp_path / "data", "--runs", tmp_path / "runs")
    assert refused.code == 1
    assert f"{path} is damaged" in refused.told
    assert "delete it and run `glebench prepare mnist1d`" in refused.told
    assert path.read_bytes() == damage(short_mnist1d)
    assert not (tmp_path / "runs").exists()


def test_missing_data_are_not_fetched_when_offline(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    refused = glebench(*MLP, "--data", folder, "--runs", tmp_path / "runs", "--offline")
    assert refused.code == 1
    assert str(folder / "mnist1d") in refused.told
    assert "glebench prepare mnist1d" in refused.told
    assert list(tmp_path.iterdir()) == []


def test_other_data_are_used_only_when_accepted_and_marked(tmp_path: Path, short_mnist1d: bytes, data: Path) -> None:
    path = put(tmp_path / "data", short_mnist1d)
    with np.load(path) as file:
        arrays: dict[str, Any] = dict(file)
    arrays["inputs"][0] += 1
    np.savez(path, **arrays)
    words = (
        *MLP,
        "--set",
        "batches=3",
        "--set",
        "evaluate_every=2",
        "--data",
        tmp_path / "data",
        "--runs",
        tmp_path / "runs",
    )
    refused = glebench(*words)
    assert refused.code == 1
    assert "--accept-data" in refused.told
    accepted = glebench(*words, "--accept-data", "--json")
    assert accepted.code == 0, accepted
    (record,) = json.loads(accepted.out)
    assert "other data than the official" in record["marks"]
    assert record["data"]["official"] is False


def test_a_wandb_out_of_reach_is_told_and_fails_no_run(tmp_path: Path) -> None:
    done = glebench(
        *TOY, "--wandb", "online", "--runs", tmp_path, WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9"
    )
    assert done.code == 0, done
    offline, upload = [line for line in done.err.splitlines() if "W&B" in line]
    assert offline.startswith("W&B is offline for toy-classes-toy-gle-")
    assert "http://127.0.0.1:9 does not answer" in offline
    assert "to upload them: " in upload
    assert seed_folder(tmp_path, 1).read().status == "done"


def test_a_run_that_did_not_end_well_exits_with_one(tmp_path: Path) -> None:
    diverged = glebench(*TOY, "--runs", tmp_path, "--set", "rate=1e38", "--set", "optimizer=sgd")
    assert diverged.code == 1
    assert "diverged: " in diverged.out
    assert seed_folder(tmp_path, 1).read().status == "diverged"


@pytest.mark.parametrize("order", [1, -1])
def test_a_setting_and_a_part_of_it_cannot_both_be_set(tmp_path: Path, order: int) -> None:
    whole, part = 'training={"epochs": 2}', "training.epochs=3"
    settings = [word for one in [whole, part][::order] for word in ("--set", one)]
    refused = glebench("run", "mnist1d", "--model", "gle-15k", *settings, "--dry-run", "--runs", tmp_path)
    assert refused.code == 2
    assert refused.told.endswith("set one of the two.")


@pytest.mark.parametrize("option", ["--runs", "--data"])
def test_a_path_of_too_many_folders_is_a_sentence(tmp_path: Path, option: str) -> None:
    refused = glebench("run", "toy-classes", "--model", "toy-mlp", "--runs", tmp_path, option, "a/" * 2000)
    assert refused.code == 2
    assert "2,000 folders inside each other are too many; write a shorter path." in refused.err
    assert not list(tmp_path.iterdir())
