"""Tests of the W&B mirror, which never disturbs a run. Each test has a process of its own, which W&B changes."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from record_examples import example
from shared import SUPPORT

from gle_bench.errors import UsageError
from gle_bench.tracking.provenance import Git
from gle_bench.tracking.record import OTHER_DATA, Mark, Part
from gle_bench.tracking.wandb_content import (
    UNLABELLED,
    Labels,
    arguments,
    config,
    labels,
    logged,
    summary,
    swept,
    sync_command,
    tags,
    wandb_id,
)

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from record_examples import example
from gle_bench.tracking.wandb_mirror import Mirror
def start(seed, mode, folder="runs"):
    record = example(seed, run_id=f"run-s{{seed}}")
    return record, Mirror.open(record, mode, Path(folder), print)
"""
TWO = """
pairs = [start(seed, MODE) for seed in range(2)]
for update in range(3):
    for record, mirror in pairs:
        row = {"round": update, "update": update, "epoch": 1, "split": "test", "accuracy": 90.0 + record.seed}
        row |= {"note": None, "rate": 0.1, "online_loss": 2.0, "wall_s": 3.0}
        mirror.log(row, update)
for record, mirror in pairs:
    mirror.finish(record)
"""
KEY = "a" * 40


def run(folder: Path, script: str, silent: bool = True, **variables: str) -> list[str]:
    """The lines that a script reports; it must succeed without a warning and, if `silent`, print nothing else."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "NETRC"))}
    environment = {**clean, "HOME": os.fspath(folder), "WANDB_ERROR_REPORTING": "false", **variables}
    source = SCRIPT.format(tests=os.fspath(SUPPORT)) + script
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=folder,
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not (silent and done.stderr), done.stderr
    return done.stdout.splitlines()


def offline_runs(folder: Path) -> list[str]:
    """The ids of the runs that wait for `wandb sync`."""
    return sorted(path.name.split("-", 3)[3] for path in (folder / "runs/wandb").glob("offline-run-*"))


class Server(BaseHTTPRequestHandler):
    """A server with the parts of W&B's that a run needs."""

    streams: dict[str, str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        if "file_stream" in self.path:
            run = self.path.split("/")[-2]
            self.streams[run] = self.streams.get(run, "") + body
        reply = {"data": {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": []}}}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(reply if "createRunFiles" in body else {"data": {}}).encode())

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Server,), {"streams": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize(("mode", "variables"), [("off", {}), ("auto", {"WANDB_MODE": "disabled"})])
def test_off_touches_nothing(tmp_path: Path, mode: str, variables: dict[str, str]) -> None:
    script = TWO.replace("MODE", repr(mode)) + "assert 'wandb' not in sys.modules\n"
    assert run(tmp_path, script, **variables) == []
    assert not (tmp_path / "runs").exists()


def test_two_seeds_are_two_runs_offline(tmp_path: Path) -> None:
    assert run(tmp_path, TWO.replace("MODE", "'auto'")) == []
    assert offline_runs(tmp_path) == sorted(wandb_id(example(run_id=f"run-s{seed}")) for seed in range(2))


READ = '''
import json
import struct
from wandb.proto.wandb_internal_pb2 import Record
from gle_bench.tracking.provenance import Git
from gle_bench.tracking.wandb_content import Labels

def contents(file):
    """The records in W&B's file, in LevelDB's format of logs: blocks of 32 KiB, after a header of 7 bytes."""
    place, parts = 7, b""
    while place + 7 <= len(file):
        room = 2**15 - place % 2**15
        if room < 7:
            place += room
            continue
        length, kind = struct.unpack("<HB", file[place + 4 : place + 7])
        parts += file[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""

record = example(marks=("budget smoke", "other data than the official"))
at = record.environment.model_copy(update={"git": Git(commit="c" * 40, dirty=False)})
record = record.model_copy(update={"environment": at})
mirror = Mirror.open(record, "offline", Path("runs"), print, Labels("mine", "ours", ("budget smoke", "new")))
mirror.log({"round": 1, "split": "test", "accuracy": 1.0, "rate": 0.1, "online_loss": 2.0, "wall_s": 3.0}, 1)
mirror.finish(record)
(path,) = mirror.offline.glob("*.wandb")
history = []
for content in contents(path.read_bytes()):
    read = Record()
    read.ParseFromString(content)
    if read.HasField("run"):
        described = read.run
    history += [item.key or ".".join(item.nested_key) for item in read.history.item]
config = {item.key: item.value_json for item in described.config.update}
print(json.dumps([
    described.project, described.run_group, described.job_type, [*described.tags], described.git.commit,
    config["git"], config["environment"], history,
]))
'''


def test_what_lies_offline_names_what_the_user_chose_and_the_commit(tmp_path: Path) -> None:
    (line,) = run(tmp_path, READ)
    project, group, job_type, tagged, commit, git, environment, history = json.loads(line)
    assert (project, group, job_type, commit) == ("mine", "ours", "train", "c" * 40)
    assert tagged == ["protocol paper", "budget smoke", "other data than the official", "new"]
    assert json.loads(git) == {"commit": "c" * 40, "dirty": False}
    assert "git" not in json.loads(environment)
    assert {name for name in history if name[0] != "_"} == {
        *("round", "rate", "wall_s", "test/accuracy", "train/online_loss")
    }


def test_only_what_an_evaluation_measured_belongs_to_its_split() -> None:
    row = {"round": 2, "update": 8, "epoch": 0.5, "split": "validation", "accuracy": 1.0, "accuracy_averaged": 2.0}
    row |= {"loss": 3.0, "rate": 0.1, "online_accuracy": 4.0, "wall_s": 5.0}
    named = logged(row)
    assert {name for name in named if name.startswith("validation/")} == {
        *("validation/accuracy", "validation/accuracy_averaged", "validation/loss")
    }
    assert {name for name in named if name.startswith("train/")} == {"train/online_accuracy"}
    assert {name: named[name] for name in ("round", "update", "epoch", "rate", "wall_s")} == {
        name: row[name] for name in ("round", "update", "epoch", "rate", "wall_s")
    }


def test_no_tag_stands_twice_or_is_refused() -> None:
    marked = example(protocol="paper", budget="paper", marks=(OTHER_DATA, Mark("setting", "x" * 99 + "=1")))
    tagged = tags(marked, Labels(tags=("new", "budget paper", "x" * 64)))
    assert tagged == ["protocol paper", "budget paper", str(OTHER_DATA), "x" * 64, "new"]
    assert tags(example(budget="smoke", marks=(Mark("budget", "smoke"),)), UNLABELLED) == [
        *("protocol paper", "budget smoke")
    ]


def test_a_chosen_name_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_JOB_TYPE", "study")
    given = arguments(example(), UNLABELLED)
    assert (given["project"], given["job_type"]) == ("theirs", "study")
    assert given["group"] == "mnist1d-gle-gle-0123456789ab"
    assert arguments(example(), labels("mine", "g", None))["project"] == "mine"
    assert config(example())["git"] == Git().model_dump()


def test_labels_are_refused_where_wandb_would_refuse_them() -> None:
    assert labels("p", None, " a, b ,a,") == Labels("p", None, ("a", "b"))
    assert labels(None, None, None) == UNLABELLED
    for wrong in (("a/b", None, None), ("", None, None), (None, "g" * 129, None), (None, None, "t" * 65)):
        with pytest.raises(UsageError, match=r"^--wandb-(project|group|tags) '"):
            labels(*wrong)


def test_the_user_is_told_how_to_upload_and_who_owns_a_sweep_s_run(tmp_path: Path) -> None:
    folder = tmp_path / "my runs/wandb/offline-run-1"
    assert sync_command([folder]).endswith(f" sync '{folder}'")
    assert swept({"WANDB_PROJECT": "p"}) is None
    assert swept({"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}) == (
        "The agent of W&B's sweep s owns its own run r, which stays empty: each seed is a W&B run beside it."
    )


def test_online_without_credentials_asks_nobody(tmp_path: Path) -> None:
    reports = run(tmp_path, TWO.replace("MODE", "'online'"))
    assert reports == [f"W&B is offline for run-s{seed}: not logged in; run `wandb login`" for seed in range(2)]
    assert len(offline_runs(tmp_path)) == 2


def test_an_unreachable_server_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1:9 login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    start = time.monotonic()
    reports = run(tmp_path, TWO.replace("MODE", "'auto'"), WANDB_BASE_URL="http://127.0.0.1:9")
    assert time.monotonic() - start < 20
    assert len(reports) == 2
    assert all(
        line.startswith("W&B is offline for run-s") and "127.0.0.1:9 does not answer" in line for line in reports
    )
    assert len(offline_runs(tmp_path)) == 2


def test_online_every_seed_is_a_run_of_its_own(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    variables = {"WANDB_BASE_URL": address(server), "WANDB_API_KEY": KEY}
    assert run(tmp_path, TWO.replace("MODE", "'auto'"), **variables) == []
    streams = server.RequestHandlerClass.streams  # type: ignore[attr-defined]
    for seed in range(2):
        stream = streams[wandb_id(example(run_id=f"run-s{seed}"))].replace("\\", "")
        assert stream.count(f'"test/accuracy":{90 + seed}') >= 3
        assert '"last/test/accuracy":93.5' in stream
        assert '"status":"done"' in stream
        assert "test/note" not in stream


REFUSED = """
from gle_bench.tracking import wandb_mirror
wandb_mirror.INIT_S = 1.0
import urllib.request
urllib.request.urlopen = lambda *_, **__: open("/dev/null")  # the server answered once, and then no more
"""


def test_a_start_that_fails_goes_offline_under_another_id(tmp_path: Path) -> None:
    variables = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY}
    reports = run(tmp_path, REFUSED + TWO.replace("MODE", "'online'"), **variables)
    assert len(reports) == 2
    assert all(line.startswith("W&B is offline for run-s") for line in reports)
    first, second = (wandb_id(example(run_id=f"run-s{seed}")) for seed in range(2))
    assert offline_runs(tmp_path) == sorted([f"{first}-offline", second])


DYING = """
import os, signal
record, mirror = start(0, "offline")
for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
    os.kill(int(child), signal.SIGKILL)
for update in range(3):
    mirror.log({"update": update, "split": "test", "accuracy": 1.0}, update)
mirror.finish(record)
"""


def test_when_wandb_dies_the_run_goes_on(tmp_path: Path) -> None:
    reports = run(tmp_path, DYING, silent=False)  # W&B itself complains at the end
    assert len(reports) == 1
    assert "W&B" in reports[0]


def test_where_nothing_can_be_written_it_is_silent_after_a_line(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    reports = run(tmp_path, TWO.replace("MODE", "'offline'"))
    assert [line.split(":")[0] for line in reports] == [f"W&B is off for run-s{seed}" for seed in range(2)]


def test_ids_last_through_a_resumption_and_no_longer() -> None:
    def part(day: int) -> Part:
        return Part(started=datetime(2026, 1, day, tzinfo=UTC), host="here", pid=day)

    begun = example(lineage=(part(1),), status="running")
    assert wandb_id(begun) == wandb_id(example(lineage=(part(1), part(2))))
    assert wandb_id(begun) != wandb_id(example(lineage=(part(2),)))
    assert wandb_id(begun) != wandb_id(example(1))
    assert wandb_id(example(lineage=()))


def test_the_summary_names_selection_and_split() -> None:
    values = summary(example())
    assert values["last/test/accuracy"] == 93.5
    assert values["status"] == "done"
    assert values["cost/steps"] == 100
    assert None not in values.values()


SWEPT = {
    **{"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "swept", "WANDB_RESUME": "must", "WANDB_RUN_GROUP": "g"},
    **{"WANDB_NAME": "n", "WANDB_TAGS": "t,u", "WANDB_DIR": "elsewhere", "WANDB_RESUME_FROM": "a?_step=1"},
    **{"WANDB_FORK_FROM": "a?_step=1", "WANDB_LAUNCH": "true", "WANDB_CONFIG": "{", "WANDB_INIT_TIMEOUT": "soon"},
    **{"WANDB_SERVICE": "2-1-tcp-localhost-1", "WANDB_DISABLED": "true", "WANDB_START_METHOD": "thread"},
    **{"TRAINING_JOB_NAME": "sage", "SM_TRAINING_ENV": "{}"},
}


@pytest.mark.parametrize("names", [["WANDB_SWEEP_ID"], ["WANDB_LAUNCH"], ["WANDB_SERVICE"], SWEPT])
def test_seeds_are_runs_of_their_own_whatever_the_environment_names(tmp_path: Path, names: Iterable[str]) -> None:
    assert run(tmp_path, TWO.replace("MODE", "'auto'"), **{name: SWEPT[name] for name in names}) == []
    assert offline_runs(tmp_path) == sorted(wandb_id(example(run_id=f"run-s{seed}")) for seed in range(2))
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["runs"]


def test_a_sweep_s_agent_gets_a_run_a_seed_online(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    variables = {"WANDB_BASE_URL": address(server), "WANDB_API_KEY": KEY, **SWEPT}
    assert run(tmp_path, TWO.replace("MODE", "'auto'"), **variables) == []
    streams = server.RequestHandlerClass.streams  # type: ignore[attr-defined]
    assert set(streams) == {wandb_id(example(run_id=f"run-s{seed}")) for seed in range(2)}


def test_a_home_that_cannot_be_written_to_is_not_complained_about(tmp_path: Path) -> None:
    (tmp_path / ".cache").touch()  # as good as closed, also for root
    assert run(tmp_path, TWO.replace("MODE", "'auto'")) == []
