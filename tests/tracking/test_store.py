"""Tests of the store, which loses nothing, never shows half a file, and reports each error in one sentence."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_examples import example
from shared import SUPPORT

from gle_bench.errors import GleBenchError, UsageError
from gle_bench.tracking.history import FLOAT, INTEGER, Row, from_csv, to_csv
from gle_bench.tracking.store import RunFolder, Store

words = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not (INTEGER.fullmatch(text) or FLOAT.fullmatch(text))
)
cells = st.none() | st.integers(-(10**20), 10**20) | st.floats() | words
rows = st.lists(st.dictionaries(st.sampled_from(["update", "epoch", "split", "loss", 'ä, "b"\n']), cells), max_size=6)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,5}", fullmatch=True)
runs = st.tuples(names, names, st.none() | names, names, st.integers(0, 99))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def place(store: Store, seed: int = 0) -> RunFolder:
    return store.folder("mnist1d", "gle", None, "0123456789ab", seed)


@settings(deadline=None)
@given(rows)
def test_history_survives_csv_bit_for_bit(history: list[Row]) -> None:
    text = to_csv(history)
    names = next(csv.reader(io.StringIO(text, newline="")))
    back = from_csv(text)
    assert repr(back) == repr([{name: row.get(name) for name in names} for row in history])
    assert to_csv(back) == text


def test_history_has_its_columns_in_order_and_pandas_reads_it(store: Store) -> None:
    folder = place(store)
    folder.write_history(
        [{"split": "test", "loss": np.float64(0.1), "update": np.int64(0)}, {"epoch": 1, "accuracy": 1 / 3}]
    )
    frame = pd.read_csv(folder.path / "history.csv")
    assert list(frame) == ["update", "epoch", "split", "loss", "accuracy"]
    assert frame["accuracy"][1] == 1 / 3
    assert folder.read_history()[0] == {"update": 0, "epoch": None, "split": "test", "loss": 0.1, "accuracy": None}


def test_what_is_not_there_is_nothing(store: Store) -> None:
    folder = place(store)
    assert folder.read() is None
    assert folder.read_history() == []
    assert folder.read_predictions() == {}
    assert store.records() == ([], [])
    store.root.touch()  # a file where a folder was expected
    assert folder.read() is None
    assert store.records() == ([], [])


def test_what_is_written_is_read(store: Store) -> None:
    folder = place(store, 7)
    folder.write(example(7, status="running"))
    folder.write(example(7))
    assert folder.read() == example(7)
    assert store.records() == ([(folder, example(7))], [])
    assert folder.path == store.root / "mnist1d/gle/0123456789ab/seed-7"
    assert folder.checkpoint("best") == folder.path / "best.ckpt"
    outputs = np.arange(6, dtype=np.float32).reshape(2, 3)
    folder.write_predictions(outputs=outputs, targets=[1, 2])
    first = (folder.path / "predictions.npz").read_bytes()
    folder.write_predictions(outputs=outputs, targets=[1, 2])
    assert (folder.path / "predictions.npz").read_bytes() == first
    folder.add_traces(u=outputs)
    assert folder.read_predictions().keys() == {"outputs", "targets"}
    assert folder.read_traces()["u"].tobytes() == outputs.tobytes()
    folder.log("started")
    folder.log("a stray byte: \udcff")
    assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 .+\n){2}", (folder.path / "log.txt").read_text())
    assert not list(folder.path.glob(".*"))


@given(runs, runs)
def test_runs_have_a_folder_each_below_the_root(one: tuple, other: tuple) -> None:
    store = Store(Path("runs"))
    assert (store.folder(*one) == store.folder(*other)) == (one == other)
    assert len(store.folder(*one).path.parts) == 5


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a+b", "a\n"])
def test_names_that_would_leave_their_place_are_refused(store: Store, name: str) -> None:
    for arguments in [(name, "m", "r", "h"), ("t", name, "r", "h"), ("t", "m", name, "h"), ("t", "m", "r", name)]:
        with pytest.raises(UsageError, match="cannot name a folder"):
            store.folder(*arguments, seed=0)


def test_what_cannot_be_read_is_named_and_passed_over(store: Store) -> None:
    whole = example().model_dump_json().encode()
    contents = {
        1: (whole[:200], "Invalid JSON: EOF"),
        2: (b"", "Invalid JSON: EOF"),
        3: (b"\xff\x00", "Invalid JSON"),
        4: (b'{"epoch": 3}', "run_id: Field required"),
        5: (b"[1, 2]", "Input should be an object"),
        6: (whole.replace(b'"schema_version":1', b'"schema_version":0'), "an older glebench"),
        7: (whole, "a copy of .*seed-0/record.json"),
        8: (b"[" * 100_000, "Invalid JSON"),
    }
    place(store).write(example())
    for seed, (content, _) in contents.items():
        place(store, seed).path.mkdir()
        (place(store, seed).path / "record.json").write_bytes(content)
    (place(store, 9).path / "record.json").mkdir(parents=True)  # a folder of that name is no record
    place(store, 10).path.mkdir()
    (place(store, 10).path / ".record.json.x1.part").write_bytes(whole[:200])
    (place(store, 11).path.parent / "seed-11").symlink_to(store.root)
    (store.root / "wandb" / "run-1").mkdir(parents=True)
    (store.root / "wandb" / "run-1" / "record.json").write_text("foreign")
    found, skipped = store.records()
    assert found == [(place(store), example())]
    reasons = {path.parent.name: reason for path, reason in skipped}
    assert reasons.keys() == {f"seed-{seed}" for seed in contents}
    for seed, (_, reason) in contents.items():
        assert re.search(reason, reasons[f"seed-{seed}"])
        if seed != 7:
            with pytest.raises(
                GleBenchError, match=rf"\ACannot read .*seed-{seed}/record.json: .*; move it away .*\.\Z"
            ):
                place(store, seed).read()


def runs_read(root: Path) -> list[str]:
    return sorted(record.run_id for _, record in Store(root).records()[0])


def test_what_lies_behind_links_is_read_once(tmp_path: Path) -> None:
    """Links to folders outside and inside, to themselves, to nothing and in circles, and a root that is a link."""
    outside, root = Store(tmp_path / "outside"), Store(tmp_path / "runs")
    for seed, store in enumerate((outside, outside, root)):
        place(store, seed).write(example(seed))
    (tmp_path / "runs/linked").symlink_to(tmp_path / "outside")
    assert runs_read(root.root) == sorted(example(seed).run_id for seed in range(3))
    for name, target in {"again": "mnist1d", "above": "..", "around": ".", "itself": "itself", "none": "gone"}.items():
        (tmp_path / "runs" / name).symlink_to(target)
    (tmp_path / "outside/back").symlink_to(tmp_path / "runs")
    (tmp_path / "root").symlink_to("runs")
    for folder in (tmp_path / "runs", tmp_path / "root"):
        assert runs_read(folder) == sorted(example(seed).run_id for seed in range(3))
        assert Store(folder).records()[1] == []


def test_a_record_may_lie_deeper_than_functions_may_call_each_other(tmp_path: Path) -> None:
    deep = tmp_path / "/".join("d" * 1200)
    subprocess.run(["mkdir", "-p", deep], check=True)
    try:
        (deep / "record.json").write_text(example().model_dump_json())
        assert runs_read(tmp_path) == [example().run_id]
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # as deep as Python's own cannot


def test_damaged_files_are_named(store: Store) -> None:
    folder = place(store)
    folder.add_traces(u=np.zeros(1000))
    whole = (folder.path / "traces.npz").read_bytes()
    for content in (b"", whole[:100], whole[:-30], b"\x80" * 50, whole[:60] + b"xxxx" + whole[64:]):
        (folder.path / "traces.npz").write_bytes(content)
        with pytest.raises(GleBenchError, match=r"Cannot read .*traces\.npz: .*\.\Z"):
            folder.read_traces()
    for content in (b"", b"a,b\n1\n", b'a\n"x', b"\xff\n", b"a\n" + b"1" * 5000):
        (folder.path / "history.csv").write_bytes(content)
        with pytest.raises(GleBenchError, match=r"Cannot read .*history\.csv: .*\.\Z"):
            folder.read_history()


def test_a_folder_that_cannot_be_written_to_is_told() -> None:
    folder = Store(Path("/proc/runs")).folder("mnist1d", "gle", "bptt", "h", 0)
    writes = [
        lambda: folder.write(example()),
        lambda: folder.write_history([]),
        lambda: folder.write_predictions(a=1),
        lambda: folder.log("x"),
    ]
    for write in writes:
        with pytest.raises(GleBenchError, match=r"\ACannot write /proc/runs/mnist1d/gle\+bptt/h/seed-0/[^\n]+\.\Z"):
            write()


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from gle_bench.errors import GleBenchError
from gle_bench.tracking.store import RunFolder
folder = RunFolder(Path(sys.argv[1]))
record = folder.read()
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
for write in (
    lambda: folder.write(record),
    lambda: folder.write_history([{"update": n} for n in range(1000)]),
    lambda: folder.write_predictions(a=np.random.default_rng(0).random(1000)),
    lambda: folder.log("x" * 600) or folder.log("x"),
):
    try:
        write()
    except GleBenchError as error:
        print(error)
"""


def test_a_full_disk_is_told_and_leaves_the_old_file_whole(store: Store) -> None:
    folder = place(store)
    folder.write(example())
    done = run_script(LIMITED, folder.path)
    assert done.stderr == ""
    assert len(re.findall(r"^Cannot write .*: File too large\. .*\.$", done.stdout, re.MULTILINE)) == 4
    assert folder.read() == example()
    assert sorted(path.name for path in folder.path.iterdir()) == ["log.txt", "record.json"]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from record_examples import example
from gle_bench.tracking.store import Store
store, worker = Store(Path(sys.argv[1])), int(sys.argv[2])
shared = store.folder("mnist1d", "gle", None, "shared", 0)
for n in range(8):
    seed = 100 * worker + n
    store.folder("mnist1d", "gle", None, "own", seed).write(example(seed))
    shared.write(example(10_000, marks=[f"{worker}" * 5000]))
    assert str(shared.read().marks[0]) in {f"{other}" * 5000 for other in range(8)}
    shared.log(f"worker {worker} line {n}")
    found, skipped = store.records()
    assert not skipped, skipped
    assert sum(record.seed // 100 == worker for _, record in found) == n + 1
"""


def test_eight_processes_that_write_at_once_lose_nothing(store: Store) -> None:
    arguments = [[sys.executable, "-c", WRITER, store.root, str(worker), SUPPORT] for worker in range(8)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in arguments]
    assert [worker.communicate(timeout=60)[1] for worker in workers] == [""] * 8
    found, skipped = store.records()
    assert skipped == []
    assert {record.seed for _, record in found} == {
        10_000,
        *(100 * worker + n for worker in range(8) for n in range(8)),
    }
    lines = (store.folder("mnist1d", "gle", None, "shared", 0).path / "log.txt").read_text().splitlines()
    assert {line.split(" ", 1)[1] for line in lines} == {f"worker {w} line {n}" for w in range(8) for n in range(8)}
    assert len(lines) == 64


def run_script(script: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script, *map(os.fspath, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@settings(deadline=None, max_examples=10)
@given(st.binary(max_size=200), st.integers(0, 2**32))
def test_arrays_survive(content: bytes, seed: int) -> None:
    with TemporaryDirectory() as root:
        folder = RunFolder(Path(root))
        arrays = {"bytes": np.frombuffer(content, np.uint8), "noise": np.random.default_rng(seed).normal(size=(2, 3))}
        folder.write_predictions(**arrays)
        back = folder.read_predictions()
        assert {name: array.tobytes() for name, array in back.items()} == {
            name: array.tobytes() for name, array in arrays.items()
        }
