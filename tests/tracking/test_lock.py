"""Tests of locks: a run has one process at a time, and a killed process frees it at once."""

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gle_bench.errors import GleBenchError
from gle_bench.tracking import lock
from gle_bench.tracking.lock import Heartbeat, RunLocked, heartbeat, hold, is_live

HOLDER = """
import sys, time
from pathlib import Path
from gle_bench.tracking.lock import hold
with hold(map(Path, sys.argv[1:])):
    print("held", flush=True)
    time.sleep(60)
"""
FORKER = HOLDER.replace('print("held", flush=True)', "import os; os.write(1, b'%d\\n' % os.fork())")


def start(script: str, *folders: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", script, *folders], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds seed-1."""
    with start(HOLDER, tmp_path / "seed-1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


def leave_heartbeat(folder: Path, host: str, age: float) -> None:
    """Writes the heartbeat that a killed process leaves, or a living one on another host."""
    folder.mkdir(exist_ok=True)
    (folder / ".lock").touch()
    beat = Heartbeat(host=host, pid=1, since="2026-01-01T00:00:00Z", token="other")  # type: ignore[arg-type]
    (folder / "heartbeat.json").write_text(beat.model_dump_json())
    os.utime(folder / "heartbeat.json", (time.time() - age,) * 2)


def test_a_held_run_is_refused_in_one_sentence(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    expected = (
        rf"\ARun {re.escape(str(tmp_path))}/seed-1 is in use by process {holder.pid} "
        rf"on {re.escape(socket.gethostname())}, "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d; wait for it or stop it\.\Z"
    )
    with pytest.raises(RunLocked, match=expected), hold([tmp_path / "seed-1"]):
        pass
    assert is_live(tmp_path / "seed-1")


def test_an_ensemble_is_locked_whole_or_not_at_all(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    folders = [tmp_path / f"seed-{n}" for n in range(3)]
    with pytest.raises(RunLocked), hold(folders):
        pass
    assert [is_live(folder) for folder in folders] == [False, True, False]
    assert heartbeat(folders[0]) is None
    with hold([folders[0], folders[2], folders[0]]):
        assert all(map(is_live, folders))


def test_a_killed_process_frees_its_run_at_once(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    folder = tmp_path / "seed-1"
    (folder / ".last.ckpt.abc.part").touch()
    (folder / "last.ckpt").touch()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not is_live(folder)
    with hold([folder]):
        assert is_live(folder)
        assert not (folder / ".last.ckpt.abc.part").exists()
    assert not is_live(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "last.ckpt"]


def test_a_forked_worker_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    with start(FORKER, tmp_path) as process:
        assert process.stdout is not None
        printed = {int(process.stdout.readline()), int(process.stdout.readline())}
        process.kill()
        process.wait()
        try:
            with hold([tmp_path]):
                pass
        finally:
            os.kill(max(printed), signal.SIGKILL)


def test_a_failure_inside_releases(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold([tmp_path]):
        raise KeyError
    assert not is_live(tmp_path)
    assert "glebench-heartbeat" not in {thread.name for thread in threading.enumerate()}
    with hold([tmp_path]):
        pass


def test_asking_does_not_disturb(tmp_path: Path) -> None:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            is_live(tmp_path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(20):
            with hold([tmp_path]):
                pass
    finally:
        stop.set()
        asking.join()


def test_nothing_is_live_where_nothing_ran(tmp_path: Path) -> None:
    assert not is_live(tmp_path)
    assert not is_live(tmp_path / "absent")
    assert heartbeat(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_another_host_is_believed_while_its_heart_beats(tmp_path: Path) -> None:
    leave_heartbeat(tmp_path, "elsewhere", age=0)
    assert is_live(tmp_path)
    with (
        pytest.raises(RunLocked, match=r"process 1 on elsewhere, since .*; wait for it, or 60 s if it was killed"),
        hold([tmp_path]),
    ):
        pass
    leave_heartbeat(tmp_path, "elsewhere", age=61)
    assert not is_live(tmp_path)
    with hold([tmp_path]):
        assert is_live(tmp_path)


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.02)
    folders = [tmp_path / "a", tmp_path / "b"]
    with hold(folders):
        for folder in folders:
            os.utime(folder / "heartbeat.json", (0, 0))
        deadline = time.monotonic() + 10
        while not all(lock._is_young(folder) for folder in folders):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_the_heartbeat_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    without_locks(monkeypatch, number)
    monkeypatch.setattr(lock, "PATIENCE_S", 0.05)
    with hold([tmp_path]):
        assert is_live(tmp_path)
        with pytest.raises(RunLocked), hold([tmp_path]):
            pass
        assert is_live(tmp_path)
    assert not is_live(tmp_path)
    leave_heartbeat(tmp_path, socket.gethostname(), age=5)
    with pytest.raises(RunLocked), hold([tmp_path]):
        pass
    leave_heartbeat(tmp_path, socket.gethostname(), age=61)
    assert not is_live(tmp_path)
    with hold([tmp_path]):
        assert is_live(tmp_path)


def test_without_locks_the_later_of_two_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(lock.time, "sleep", lambda _: leave_heartbeat(tmp_path, "elsewhere", age=0))
    with pytest.raises(RunLocked, match="process 1 on elsewhere"), hold([tmp_path]):
        pass
    beat = heartbeat(tmp_path)
    assert beat is not None
    assert beat.host == "elsewhere"


def test_a_folder_that_cannot_be_written_to_is_told() -> None:
    with pytest.raises(GleBenchError, match=r"\ACannot lock /proc/runs: [^\n]+\.\Z"), hold([Path("/proc/runs")]):
        pass


COUNTER = """
import sys, time
from pathlib import Path
from gle_bench.tracking.lock import RunLocked, hold
own, shared, counter = map(Path, sys.argv[1:])
for n in range(15):
    while True:
        try:
            with hold([own, shared]):
                count = int(counter.read_text())
                time.sleep(0.002)
                counter.write_text(str(count + 1))
            break
        except RunLocked:
            pass
"""


def test_two_never_hold_it_at_once(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    workers = [start(COUNTER, tmp_path / f"own-{n}", tmp_path / "shared", counter) for n in range(3)]
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    assert counter.read_text() == "45"
