"""The kinds of run that trials disturb, their results when nothing disturbs them, and the comparison of results."""

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from torture import shim
from torture.trials import Trial

KEPT: Final = frozenset(
    {"record.json", "history.csv", "predictions.npz", "traces.npz", "last.ckpt", "best.ckpt", ".lock", "log.txt"}
)
RESULTS: Final = ("status", "metrics", "best_round", "config_hash", "parameters", "marks", "data", "error")


@dataclass(frozen=True)
class RunKind:
    """A kind of small run: the words of its command `glebench run`, its seeds and its engine."""

    words: tuple[str, ...]
    seeds: tuple[int, ...]
    engine: str = "torch"

    def command(self, runs: Path, data: Path, *more: str) -> list[str]:
        """The words after `glebench`."""
        chosen = ("--seeds", ",".join(map(str, self.seeds)), "--engine", self.engine)
        return ["run", *self.words, *chosen, "--runs", str(runs), "--data", str(data), "--wandb", "off", *more]


def _toy(task: str, model: str, *more: str, seeds: tuple[int, ...] = (1, 2), engine: str = "torch") -> RunKind:
    settings = ("--set", "rate=0.1", "--set", 'schedule={"kind": "plateau", "patience": 0}')  # a rate that changes
    return RunKind((task, "--model", model, *settings, *more), seeds, engine)


CLEAN: Final = ("--protocol", "clean")
KINDS: Final = {
    "ensemble": _toy("toy-classes", "toy-gle"),
    "ensemble-clean": _toy("toy-classes", "toy-gle", *CLEAN, seeds=(1, 2, 3)),
    "native": _toy("toy-signal", "toy-gle", engine="native"),
    "own-data": _toy("toy-own-signal", "toy-gle", seeds=(2, 1)),
    "stream": _toy("toy-stream", "toy-gle", "--rule", "toy-bptt"),
    "offline": _toy("toy-classes", "toy-mlp"),
    "offline-clean": _toy("toy-signal", "toy-mlp", *CLEAN, seeds=(1,)),
    "readout": RunKind(("toy-loop", "--model", "toy-readout"), (1, 2)),
    "closed-loop": _toy("toy-loop", "toy-gle", *CLEAN, seeds=(1,)),
}


@dataclass(frozen=True)
class Reference:
    """The results of an undisturbed run.

    Attributes:
        results: a digest of each result.
        operations: number of its file operations; writes: numbers of those that were writes.
    """

    results: dict[str, str]
    seconds: float
    operations: int
    writes: tuple[int, ...]


def reference(trial: Trial, name: str) -> Reference:
    """The results of an undisturbed run of this kind, which is made once and compared by all trials."""
    path = trial.once(f"reference-of-{name}.json", lambda made: _make_reference(trial, name, made))
    return Reference(**json.loads(path.read_text()))


def _make_reference(trial: Trial, name: str, path: Path) -> None:
    own = Trial(trial.seed, f"reference-{name}", 0, trial.shared)
    counter, kind = shim.Counter(), KINDS[name]
    plan = shim.Plan(own.runs)
    before = (lambda: plan.arm(counter)) if shim.loaded() else None
    done = own.finish(own.start(kind.command(own.runs, trial.shared / "data"), before), code=0)
    if own.faults:
        raise RuntimeError(f"The undisturbed run {name} fails: {own.faults}")
    made = Reference(results(own.runs), done.seconds, counter.value, tuple(counter.writes))
    path.write_text(json.dumps(asdict(made)))
    own.end(keep=False)


def results(runs: Path) -> dict[str, str]:
    """The digests of all that a store's runs computed, without times."""
    digests = {}
    for folder in sorted(path.parent for path in runs.rglob("record.json")):
        name = str(folder.relative_to(runs))
        record = json.loads((folder / "record.json").read_bytes())
        digests[f"{name} record"] = _digest({field: record[field] for field in RESULTS})
        digests[f"{name} history"] = _digest(_history((folder / "history.csv").read_text()))
        for path in sorted(folder.glob("*.npz")):
            digests[f"{name} {path.name}"] = _digest(_arrays(path))
        for path in sorted(folder.glob("*.ckpt")):
            digests[f"{name} {path.name}"] = _digest(_checkpoint(path))
    return digests


def _history(text: str) -> list[dict[str, str]]:
    return [_without_times(row) for row in csv.DictReader(io.StringIO(text, newline=""))]


def _arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return {name: (str(array.dtype), array.shape, array.tobytes().hex()) for name, array in archive.items()}


def _checkpoint(path: Path) -> Any:
    import torch

    def plain(content: Any) -> Any:
        if isinstance(content, torch.Tensor):
            return (str(content.dtype), tuple(content.shape), content.contiguous().numpy().tobytes().hex())
        if isinstance(content, dict):
            return {str(key): plain(value) for key, value in _without_times(content).items()}
        return [plain(part) for part in content] if isinstance(content, list | tuple) else repr(content)

    try:
        return plain(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # a file that was damaged on purpose may raise any error
        return type(error).__name__


def _without_times(row: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in row.items() if name not in ("wall_s", "seed_s")}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def leftovers(trial: Trial) -> Iterator[str]:
    """The files and locks that must not exist once all commands have ended, each as '<what> <name>'."""
    for path in trial.runs.rglob("*"):
        if path.is_file() and path.name not in KEPT:
            yield f"temporary file {path.name.split('.')[1] + '.part' if path.name.endswith('.part') else path.name}"
        elif path.name == ".lock" and _held(path):
            yield "held lock .lock"
    for path in (trial.home / "tmp").iterdir():
        if not path.name.startswith("torchinductor_"):  # PyTorch makes it when it is imported
            yield f"file in TMPDIR {path.name}"
    for path in trial.home.iterdir():
        if path.name not in ("tmp", ".cache", ".config", ".local"):
            yield f"file in the working folder {path.name}"


def _held(path: Path) -> bool:
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def check_results(trial: Trial, name: str, detail: str, bits: bool = True) -> None:
    """Compares a trial's store with the reference: no result may be missing or left over or, with `bits`, differ."""
    expected, actual = reference(trial, name).results, results(trial.runs)
    for place in sorted(expected.keys() | actual.keys()):
        if expected.get(place) != actual.get(place) and (bits or not (place in expected and place in actual)):
            what = "lost" if place not in actual else "not in the reference" if place not in expected else "another"
            trial.fault("wrong result", f"{place.rpartition(' ')[2]} {what}", f"{name}: {place} {what}; {detail}")
    for left in leftovers(trial):
        trial.fault("leftover", left, f"{name}: {detail}")
