"""Trials of changed data, checkpoints and suites, which commands must refuse in one sentence or read correctly."""

import shutil
import signal
from pathlib import Path
from typing import Final

from torture.kills import NAMES, command
from torture.mutations import RAWS, TEXTS, beginning, checkpoint_mutated, csv_mutated, mutated, npz_mutated, replaced
from torture.runs import KINDS, reference, results
from torture.trials import Trial

USES: Final = {
    "gsc": ["--model", "mlp"],
    "cifar10": ["--model", "bp-matched", *(f"--set={text}" for text in ("channels=[2, 3]", "hidden=4", "images=12"))],
    "mnist1d": ["--model", "mlp-0", "--set", "batches=2"],
    "mackey-glass": ["--model", "mean", "--set", "epochs=1"],
}
TOML: Final = """
[[run]]
task = "toy-classes"
model = ["toy-gle", "toy-mlp"]
budget = "short"
seeds = "1,2"
set = ["rate=0.1"]

[[run]]
task = "mnist1d"
model = "mlp-0"
protocol = "clean"
"""


def data(trial: Trial) -> None:
    """A trial with one to three changes to the data of a task, and a command that reads them."""
    task = trial.random.choice(sorted(USES))
    folder = trial.folder / "data"
    shutil.copytree(small_data(trial) / task, folder / task)
    for _ in range(trial.random.choice((1, 1, 2, 3))):
        _change(trial, folder / task)
    how = trial.random.choice((("--dry-run",), ("--dry-run", "--json"), ("--budget", "smoke")))
    words = ["run", task, *USES[task], "--offline", "--data", str(folder), "--runs", str(trial.runs), "--wandb", "off"]
    trial.glebench(*words, *trial.random.choice(((), ("--accept-data",), ("--accept-data",))), *how)


def small_data(trial: Trial) -> Path:
    """The folder of small data of all tasks, which is made once."""
    return trial.once("data-of-tasks", lambda made: _make_data(trial, made))


def _make_data(trial: Trial, made: Path) -> None:
    import cifar10_examples
    import gsc_examples
    import numpy as np

    gsc_examples.write_tree(made / "gsc" / gsc_examples.TREE)
    for part, name in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        clips = (f"{word}/{who}_nohash_0.wav" for word in gsc_examples.WORDS for who in gsc_examples.speakers(part, 2))
        (made / "gsc" / gsc_examples.TREE / name).write_text("\n".join(clips) + "\n")
    cifar10_examples.write_tree(made / "cifar10" / cifar10_examples.TREE)
    (made / "mackey-glass").mkdir()
    np.save(made / "mackey-glass" / "mg_17.npy", 0.9 + 0.2 * np.sin(np.arange(3751) / 5))
    for task, words in USES.items():  # which also writes the notes that loading writes
        trial.glebench(
            *("run", task, *words, "--data", str(made), "--runs", str(trial.folder / "none"), "--dry-run"),
            *("--accept-data", "--wandb", "off"),
            code=0,
        )
    if trial.faults:
        raise RuntimeError(f"The small data cannot be used: {trial.faults}")


def _change(trial: Trial, folder: Path) -> None:
    random = trial.random
    paths = sorted(path for path in folder.rglob("*") if not path.is_symlink())
    files = [path for path in paths if path.is_file()]
    if not files or random.random() < 0.25:
        replaced(random, random.choice(paths) if paths else folder)
        return
    odd = [path for path in files if path.suffix != ".wav"]
    path = random.choice(odd if odd and random.random() < 0.7 else files)
    content = beginning(path)
    if path.suffix == ".txt":
        path.write_bytes(_list_mutated(trial, content.decode(errors="replace").splitlines()))
    elif path.suffix == ".npz" and random.random() < 0.7:
        path.write_bytes(npz_mutated(random, content, trial.canary))
    else:
        head = content[: random.choice((64, 256, len(content)))]
        path.write_bytes(mutated(random, head) + content[len(head) :])


def _list_mutated(trial: Trial, lines: list[str]) -> bytes:
    """A list of clips with entries that are spelled differently, removed or added."""
    random = trial.random
    spelled = random.choice(
        (
            [f"./{line}" for line in lines],
            [line.replace("/", "\\") for line in lines],
            lines[:0],
            [*lines, "no/such.wav", "../../x.wav", "/etc/passwd"],
            [*lines, *TEXTS],
            [line.upper() for line in lines],
        )
    )
    text = random.choice(("\n", "\r\n", "\r", "\n\n")).join(spelled)
    encoding = random.choice(("utf-8", "utf-8-sig", "utf-16", "latin-1"))
    return text.encode(encoding, "replace")


def checkpoints(trial: Trial) -> None:
    """A trial in which a run is killed, its files are changed, and a second command resumes it or refuses to."""
    name = NAMES[trial.number % len(NAMES)]
    process = trial.start(command(trial, KINDS[name]))
    process.ended(reference(trial, name).seconds * trial.random.uniform(0.5, 1))
    process.send(signal.SIGKILL)
    trial.finish(process, (signal.SIGKILL,))
    files = sorted(trial.runs.rglob("*.ckpt")) or sorted(trial.runs.rglob("record.json"))
    if not files:
        trial.count("killed before the first file")
        return
    path, content = (chosen := trial.random.choice(files)), chosen.read_bytes()
    kind = trial.random.choice(("bytes", "bytes", "fields", "fields", "file"))
    if kind == "file":
        replaced(trial.random, path)
    elif kind == "fields" and path.suffix == ".ckpt":
        path.write_bytes(checkpoint_mutated(trial.random, content, trial.canary))
    else:
        path.write_bytes(mutated(trial.random, content))
    done = trial.glebench(*command(trial, KINDS[name], *trial.random.choice(((), ("--rerun", "failed")))))
    trial.count("refused", done.code == 1)
    if done.code == 0 and kind == "bytes" and not trial.faults:
        expected, actual = reference(trial, name).results, results(trial.runs)
        damaged = f"{path.parent.relative_to(trial.runs)} {path.name}"  # not read any more once a run is done
        if wrong := [place for place in expected if actual.get(place) != expected[place] and place != damaged]:
            trial.fault("wrong result", "a damaged file was gone on with", f"{path.name}: {wrong}")


def suites(trial: Trial) -> None:
    """A trial with a changed TOML file of a suite."""
    path = trial.home / "suite.toml"
    kind = trial.random.randrange(4)
    if kind == 0:
        path.write_bytes(mutated(trial.random, TOML.encode()))
    elif kind == 1:
        path.write_bytes(csv_mutated(trial.random, TOML.encode()))
    elif kind == 2:
        field = trial.random.choice(("task", "model", "rule", "protocol", "budget", "seeds", "set", "odd"))
        path.write_bytes(
            f"[[run]]\ntask = 'mnist1d'\nmodel = 'mlp'\n{field} = {_toml(trial)}\n".encode("utf-8", "replace")
        )
    else:
        path.write_text(TOML)
        replaced(trial.random, path)
    trial.glebench("suite", str(path), "--dry-run", "--runs", str(trial.runs), *trial.random.choice(((), ("--json",))))
    if trial.random.random() < 0.3 and not path.is_fifo():
        trial.glebench("suite", path.name, "--dry-run")


def _toml(trial: Trial) -> str:
    text = trial.random.choice(TEXTS).encode("unicode_escape").decode().replace("\\x", "\\u00").replace('"', '\\"')
    return trial.random.choice(
        (f'"{text}"', trial.random.choice(RAWS), f'["{text}"]', "{}", "true", "1979-05-27", "nan", "0x10")
    )
