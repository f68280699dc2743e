"""Tests that the environment does not change what Lightning's Trainer does, and that a request ends a run."""

import inspect
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from command import glebench, real
from sparing import first
from toy_runs import assert_alike, configured, run, seed_folder

from gle_bench.surroundings.processes import Interrupted, Requests
from gle_bench.tracking.lock import heartbeat, is_live
from gle_bench.training.lightning import Trainer
from gle_bench.training.trainer import OneProcess, make_trainer, stated

pytestmark = pytest.mark.usefixtures("one_thread")
CLUSTERS = {
    "slurm": {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_ID": "7"},
    "slurm, four tasks": {"SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_JOB_ID": "7"},
    "slurm, odd": {"SLURM_NTASKS": "many", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "first"},
    "torchelastic": {"TORCHELASTIC_RUN_ID": "r", "GROUP_RANK": "1", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"},
    "lsf": {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "2"},
    "mpi": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMI_RANK": "1", "PMI_SIZE": "2"},
    "kubeflow": {"KUBERNETES_PORT": "tcp://x", "MASTER_ADDR": "x", "MASTER_PORT": "1", "WORLD_SIZE": "2", "RANK": "1"},
    "odd": {"LOCAL_RANK": "none", "RANK": "none", "MASTER_PORT": "none", "STANDALONE_PORT": "none"},
}
ARGUMENTS = {
    "FAST_DEV_RUN": "1",
    "MAX_EPOCHS": "1",
    "MAX_STEPS": "2",
    "MAX_TIME": "00:00:00:00",
    "LIMIT_TRAIN_BATCHES": "1",
    "LIMIT_VAL_BATCHES": "1",
    "LIMIT_TEST_BATCHES": "1",
    "OVERFIT_BATCHES": "1",
    "ACCUMULATE_GRAD_BATCHES": "2",
    "GRADIENT_CLIP_VAL": "1e-9",
    "PRECISION": "bf16-true",
    "CHECK_VAL_EVERY_N_EPOCH": "2",
    "VAL_CHECK_INTERVAL": "1",
    "DEFAULT_ROOT_DIR": "somewhere",
    "ENABLE_CHECKPOINTING": "True",
    "LOGGER": "True",
    "DEVICES": "3",
    "NUM_NODES": "2",
    "STRATEGY": "ddp",
    "DETERMINISTIC": "True",
    "BAREBONES": "True",
    "PROFILER": "simple",
    "SYNC_BATCHNORM": "True",
}
MODELS = pytest.mark.parametrize("model", ["toy-gle", "toy-mlp", "toy-readout"])


def test_every_argument_of_the_trainer_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that a newer Lightning adds have its own defaults, whatever environment variables are set."""
    given: dict[str, Any] = {}

    def keep(self: Trainer, **arguments: Any) -> None:
        given.update(arguments)

    every = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert stated().keys() == every
    keep.__signature__ = inspect.signature(Trainer.__init__)  # type: ignore[attr-defined]
    monkeypatch.setattr(Trainer, "__init__", keep)
    make_trainer("cpu", [], 1)
    assert given.keys() == every


@MODELS
def test_no_variable_that_fills_trainer_arguments_changes_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    config = configured("toy-classes", model, protocol="clean")
    run(config, [1], tmp_path / "plain")
    for name, value in ARGUMENTS.items():
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    monkeypatch.chdir(tmp_path)
    (record,) = run(config, [1], tmp_path / "surrounded")
    assert record.status == "done"
    assert_alike(tmp_path / "plain", tmp_path / "surrounded", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "surrounded"]


@pytest.mark.parametrize("cluster", CLUSTERS)
@MODELS
def test_no_cluster_is_guessed_and_nothing_read_from_or_written_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str, model: str
) -> None:
    config = configured("toy-classes", model, "epochs=2")
    run(config, [1], tmp_path / "plain")
    for name, value in CLUSTERS[cluster].items():
        monkeypatch.setenv(name, value)
    here = tmp_path / "here"
    here.mkdir()
    (here / "hpc_ckpt_1.ckpt").write_text("x")
    monkeypatch.chdir(here)
    (record,) = run(config, [1], tmp_path / "surrounded")
    assert record.status == "done"
    assert_alike(tmp_path / "plain", tmp_path / "surrounded", 1)
    assert [path.name for path in here.iterdir()] == ["hpc_ckpt_1.ckpt"]


def test_the_installed_command_belongs_to_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes its rank from environment variables when it is imported."""
    everything = {name: value for variables in CLUSTERS.values() for name, value in variables.items()}
    (tmp_path / "hpc_ckpt_1.ckpt").write_text("x")
    monkeypatch.chdir(tmp_path)
    words = ("run", "toy-classes", "--model", "toy-mlp", "--seeds", "1", "--wandb", "off", "--runs", "runs")
    with real(*words, **everything) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "test accuracy" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hpc_ckpt_1.ckpt", "runs"]


def test_one_process_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.setenv(name, "3")
    trainer = make_trainer("cpu", [], 1)
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank, trainer.node_rank) == (1, 0, 0, 0)
    assert isinstance(trainer._accelerator_connector.cluster_environment, OneProcess)


@pytest.mark.parametrize(
    ("name", "when", "model"),
    first(
        [
            *(("SIGTERM", when, "toy-gle") for when in ("0 1", "1 1", "2 3")),
            ("SIGTERM", "1 2", "toy-mlp"),
            ("SIGINT", "2 1", "toy-mlp"),
            *(("SIGTERM", when, "toy-gle") for when in ("0 2", "0 4")),
            ("SIGTERM", "0 1", "toy-mlp"),
            ("SIGINT", "0 1", "toy-gle"),
        ],
        5,
    ),
)
def test_one_request_ends_a_run_at_any_moment(tmp_path: Path, name: str, when: str, model: str) -> None:
    """A request in any batch from the first evaluation on ends the run, and the same command resumes it."""
    words = ["run", "toy-classes", "--model", model, "--seeds", "1,2", "--budget", "paper", "--wandb", "off"]
    stopped = glebench(*words, "--runs", tmp_path / "broken", TOYS_SIGNAL=f"{name} {when}")
    assert stopped.code == 130, stopped.err
    assert stopped.err.splitlines()[-2].startswith("Interrupted.")
    records = [seed_folder(tmp_path / "broken", seed).read() for seed in (1, 2) if _begun(tmp_path / "broken", seed)]
    assert "interrupted" in {record.status for record in records if record is not None}
    assert glebench(*words, "--runs", tmp_path / "broken").code == 0
    assert glebench(*words, "--runs", tmp_path / "whole").code == 0
    for seed in (1, 2):
        assert_alike(tmp_path / "broken", tmp_path / "whole", seed)


def _begun(runs: Path, seed: int) -> bool:
    return any(runs.glob(f"*/*/*/seed-{seed}/record.json"))


def test_a_request_is_heard_before_the_run_begins_too(tmp_path: Path) -> None:
    """A request during imports, preparation of data or locking ends the command, and leaves no files."""
    for delay in (0.3, 1.0, 2.0, 3.5):
        words = ("run", "mnist1d", "--model", "mlp-0", "--wandb", "off", "--runs", tmp_path / "runs")
        with real(*words, GLEBENCH_DATA=str(tmp_path / "data")) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert process.returncode in (130, -signal.SIGTERM), (delay, err)
        assert "Traceback" not in err


def test_a_request_that_is_lost_on_its_way_is_raised_again() -> None:
    class Swallowing:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # the handler runs here, where exceptions are ignored

    requests = Requests()
    with requests.heard():
        Swallowing()
        with pytest.raises(Interrupted):
            requests.check()
    assert signal.getsignal(signal.SIGTERM) != requests.ask


def test_what_ignores_a_signal_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Requests().heard():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "variable", ["ONEDNN_DEFAULT_FPMATH_MODE=BF16", "DNNL_DEFAULT_FPMATH_MODE=any", "OMP_DYNAMIC=true"]
)
def test_variables_that_change_the_arithmetic_are_refused(tmp_path: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    words = ("run", "toy-classes", "--model", "toy-mlp", "--wandb", "off", "--runs", tmp_path)
    refused = glebench(*words, **{name: value})
    assert refused.code == 2
    assert re.fullmatch(rf"Error: {name} = {value} changes what PyTorch computes; unset it, .*", refused.told)
    assert not list(tmp_path.iterdir())


def test_variables_that_may_move_last_bits_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    (record,) = run(configured("toy-classes", "toy-mlp", "epochs=1"), [1], tmp_path)
    assert record.environment.determinism["MKL_CBWR"] == "AVX2"
    assert record.environment.determinism["cpu_capability"]


def test_a_run_leaves_no_lock_or_heartbeat(tmp_path: Path) -> None:
    run(configured("toy-classes", "toy-gle", "epochs=1"), [1, 2], tmp_path)
    for seed in (1, 2):
        folder = seed_folder(tmp_path, seed).path
        assert not is_live(folder)
        assert heartbeat(folder) is None
