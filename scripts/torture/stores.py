"""Trials of stores with changed, replaced or removed files, which reading commands must report in one sentence."""

import json
import os
import shutil
from pathlib import Path
from typing import Final

from torture.mutations import TEXTS, beginning, csv_mutated, json_mutated, mutated, npz_mutated, replaced
from torture.runs import KINDS
from torture.trials import Trial

RECORDS: Final = Path(__file__).parents[2] / "leaderboards" / "records"
PICKED: Final = (
    "mnist1d/mlp-0",
    "mackey-glass/gle",
    "cifar10/le",
    "mackey-glass/esn",
)  # published runs
SHIFT: Final = 5000  # added to their seeds, so that they do not count as copies
HEARTBEAT: Final = '{"host": "%s", "pid": %d, "since": "2026-01-01T00:00:00Z", "token": "t"}\n'


def store(trial: Trial) -> None:
    """A trial with one to three changes to a store, and commands that read it."""
    shutil.copytree(_base(trial), trial.runs)
    changed = {path for _ in range(trial.random.choice((1, 1, 2, 3))) if (path := _change(trial)) is not None}
    before = _listing(trial.runs)
    _listed(trial, changed)
    spared = sorted(path for path in trial.runs.glob("*/*/*/seed-*"))
    target = trial.random.choice(sorted(changed) or spared)
    for words in _commands(trial, target):
        done = trial.glebench(*words, "--runs", str(trial.runs))
        _judge(trial, words, done.code, done.out)
    if different := set(_listing(trial.runs)) ^ set(before):
        trial.fault("reading writes", "a command that reads changed the store", str(sorted(different)))


def _base(trial: Trial) -> Path:
    """The folder of a store with finished runs of several tasks, which is made once."""
    return trial.once("store", lambda made: _make_store(trial, made))


def _make_store(trial: Trial, made: Path) -> None:
    for name in PICKED:
        for folder in sorted((RECORDS / name).glob("*/seed-*"))[:2]:
            _copy(folder, made / name / folder.parent.name)
    for folder in (RECORDS / "mackey-glass/gle").glob("*/seed-11"):
        if (folder / "traces.npz").exists():
            _copy(folder, made / "mackey-glass/gle" / folder.parent.name)
    done = trial.glebench(*KINDS["ensemble"].command(made, trial.shared / "data"), code=0)
    assert done.code == 0, done.err


def _copy(folder: Path, into: Path) -> None:
    record = json.loads((folder / "record.json").read_bytes())
    record["seed"] += SHIFT
    record["run_id"] = record["run_id"].rpartition("-s")[0] + f"-s{record['seed']}"
    target = into / f"seed-{record['seed']}"
    if not target.exists():
        shutil.copytree(folder, target)
        (target / "record.json").write_text(json.dumps(record, indent=2))


def _change(trial: Trial) -> Path | None:
    """Makes a random change; returns the folder of runs that may have become unreadable, or None."""
    random = trial.random
    folder = random.choice(sorted(path for path in trial.runs.glob("*/*/*/seed-*") if path.is_dir()) or [trial.runs])
    files = sorted(
        path for path in folder.iterdir() if path.is_file() and not path.is_symlink() and path.suffix != ".ckpt"
    )
    kind = random.randrange(10)
    if kind == 0:
        above = random.choice((folder, folder.parent, folder.parent.parent))
        replaced(random, above)
        return above
    if kind == 1:
        _garbage(trial, folder)
        return None
    if kind == 2:
        beat = HEARTBEAT % (random.choice(("here", *TEXTS)).encode("unicode_escape").decode().replace("\\", "\\\\"), 1)
        (folder / "heartbeat.json").write_bytes(json_mutated(random, beat.encode()) if random.random() < 0.8 else b"")
        (folder / ".lock").touch()
        return None
    if not files:
        return None
    path = random.choice([path for path in files if path.name == "record.json"] * 3 + files)
    if kind == 3:
        replaced(random, path)
        return folder
    content = beginning(path)
    if kind == 4:
        path.write_bytes(mutated(random, content))
    elif path.suffix == ".json":
        path.write_bytes(json_mutated(random, content))
    elif path.suffix == ".csv":
        path.write_bytes(csv_mutated(random, content))
    elif path.suffix == ".npz":
        path.write_bytes(npz_mutated(random, content, trial.canary))
    return folder


def _garbage(trial: Trial, folder: Path) -> None:
    """Adds a folder, link or pipe that belongs to no run beside or above a run."""
    place = trial.random.choice((folder, folder.parent, folder.parents[2], trial.runs))
    name = trial.random.choice(
        (b"\xff\xfe", b"seed-x", b"seed--1", b"a b", b"\xc3\xa9", b"-rf", b"wandb", b"x" * 255, b".hidden")
    )
    path = place / os.fsdecode(name)
    kind = trial.random.randrange(4)
    if os.path.lexists(path):
        return
    if kind == 0:
        path.mkdir()
        if (folder / "record.json").is_file():
            shutil.copy(folder / "record.json", path / "record.json")
    elif kind == 1:
        path.symlink_to(trial.random.choice((".", "..", "/", "nowhere", path.name)))
    elif kind == 2:
        os.mkfifo(path)
    else:
        path.joinpath(*("d" * 40)).mkdir(parents=True)


def _run(folder: Path) -> str | None:
    """The run id in a folder's record; None if the record is a copy of a changed one, which cannot be read."""
    try:
        return str(json.loads(beginning(folder / "record.json"))["run_id"])
    except (ValueError, LookupError, TypeError):
        return None


def _listed(trial: Trial, changed: set[Path]) -> None:
    """Checks that all unchanged runs are listed."""
    unchanged = [
        folder
        for folder in trial.runs.glob("*/*/*/seed-*")
        if (folder / "record.json").is_file() and not folder.is_symlink()
        if not any(folder == path or path in folder.parents for path in changed)
    ]
    whole = {run for folder in unchanged if (run := _run(folder)) is not None}
    done = trial.glebench("list", "runs", "--json", "--runs", str(trial.runs))
    if done.code == 0 and done.out:
        lost = whole - {row["run"] for row in json.loads(done.out)}
        if lost and not trial.faults:
            trial.fault("lost", "runs that are whole are not listed", f"{sorted(lost)}\n{done.err}")
    elif done.code is not None and not trial.faults:
        trial.fault("lost", "one run keeps all others from being listed", done.err)


def _commands(trial: Trial, target: Path) -> list[list[str]]:
    """Two commands to try: one that shows the changed run, and one that reads all runs of its task."""
    task = next((part for part in target.parts if part in ("mnist1d", "mackey-glass", "cifar10")), "toy-classes")
    about: dict[str, list[list[str]]] = {
        "mnist1d": [["table", "2"], ["compare", "mnist1d"], ["suite", "table2", "--dry-run"], ["figure", "8d"]],
        "mackey-glass": [
            ["table", "mackey-glass"],
            ["compare", "mackey-glass"],
            ["figure", "10"],
            ["figure", "10", "--seed", str(SHIFT + 11)],
            ["figure", "10", "--model", "esn"],
        ],
        "cifar10": [["table", "cifar10"], ["figure", "8g"], ["suite", "figure8", "--dry-run"]],
        "toy-classes": [["table", "toy-classes"], ["compare", "toy-classes"], ["list", "runs"]],
    }
    words = list(trial.random.choice(about[task]))
    if words[0] == "table":
        formats = (["--format", name] for name in ("html", "csv", "tex", "md"))
        words += trial.random.choice(([], ["--all"], ["--json"], *formats))
    elif words[0] == "figure":
        words += trial.random.choice((*([["--json"]] * 7), ["--out", str(trial.folder / "figure.svg")]))
    else:
        words += trial.random.choice(([], ["--json"]))
    return [["show", str(target), *trial.random.choice(([], ["--json"]))], words]


def _judge(trial: Trial, words: list[str], code: int | None, out: str) -> None:
    """Reports a fault if text from a record became code in a table's format."""
    if code != 0:
        return
    command = f"glebench {' '.join(words)}"
    if "html" in words and "<script" in out:
        trial.fault("injection", "HTML", command)
    if "tex" in words and "\\input{" in out:
        trial.fault("injection", "TeX", command)
    if "csv" in words and any(
        cell.lstrip('"').startswith(("=", "@")) for line in out.splitlines() for cell in line.split(",")
    ):
        trial.fault("injection", "CSV formula", f"{command}\n{out[:2000]}")


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """The names, sizes and times of all files, without following links; locks without times, which reading changes."""
    entries = []
    for above, folders, files in os.walk(folder):
        for name in {*folders, *files} - {"neurobench.json"}:  # which `show` writes
            info = os.lstat(os.path.join(above, name))  # noqa: PTH118
            size = info.st_size if name in files else 0
            time = info.st_mtime_ns * (name in files and name != ".lock")
            entries.append((os.path.join(above, name), size, time))  # noqa: PTH118
    return sorted(entries)
