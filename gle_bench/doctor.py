"""The checks of `glebench doctor`: whether this installation can run, and on which hardware. It uses no network."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from gle_bench import plugins, registry
from gle_bench.contracts import Task
from gle_bench.errors import GleBenchError
from gle_bench.report.terminal import listing
from gle_bench.surroundings import streams
from gle_bench.tracking.provenance import own_git

Status = Literal["ok", "warn", "fail"]

GIB: Final = 2**30
LITTLE: Final = 5 * GIB  # free bytes below which there is a warning: a data set and its records may not fit
TOO_LITTLE: Final = GIB // 10  # free bytes below which the check fails
SYMBOLS: Final = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Check:
    """The result of one check: its name, its status, and a sentence on what was found or what to do."""

    name: str
    status: Status
    text: str


def diagnose(runs: Path, data: Path) -> list[Check]:
    """The results of all checks of an installation with these folders of runs and data. Creates no files."""
    checks = [
        _guarded("python", lambda: ("ok", f"{platform.python_version()} at {sys.executable}")),
        _guarded("torch", _torch),
        *_engines(),
        _guarded("lightning", lambda: _package("pytorch-lightning")),
        _guarded("sound", _sound),
        _guarded("wandb", _wandb),
        _guarded("runs", lambda: _folder(runs)),
        _guarded("data", lambda: _folder(data)),
        _guarded("disk", lambda: _disk((runs, data))),
        _guarded("git", _git),
    ]
    return [*checks, *_plugins(), *_tasks(data)]


def as_json(checks: Iterable[Check]) -> list[dict[str, str]]:
    """The checks as plain data, for JSON."""
    return [asdict(check) for check in checks]


def as_text(checks: Sequence[Check]) -> str:
    """The checks as text, one line for each; in a narrow terminal the sentence goes on below itself."""
    cells = [(SYMBOLS[check.status], check.name, check.text) for check in checks]
    return listing.aligned(cells, within=streams.columns(listing.UNBROKEN)) if cells else ""


def _guarded(name: str, check: Callable[[], tuple[Status, str]]) -> Check:
    """The result of a check; 'fail' if it raises, so that the other checks are still made."""
    try:
        return Check(name, *check())
    except BaseException as error:  # a plugin may raise anything
        return Check(name, "fail", plugins.failure(error))


def _torch() -> tuple[Status, str]:
    import torch

    threads = torch.get_num_threads()
    where = f"{threads} CPU thread{'' if threads == 1 else 's'}"
    if torch.cuda.is_available():
        where = f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda}), {where}"
    return "ok", f"{torch.__version__}; {where}; {os.cpu_count()} cores in this machine"


def _engines() -> list[Check]:
    """A check of every engine in the table of engines, which cannot be read where PyTorch is broken."""
    try:
        from gle_bench.dynamics.engines.choice import ENGINES
    except BaseException as error:
        return [Check("engines", "fail", plugins.failure(error))]
    return [_guarded(f"engine {name}", partial(_engine, name)) for name in ENGINES]


def _engine(name: str) -> tuple[Status, str]:
    from gle_bench.dynamics.engines import choice

    in_order, text = choice.make(name).condition()
    return "ok" if in_order else "warn", text


def _sound() -> tuple[Status, str]:
    """Imports torchaudio and looks for soundfile, which only Google Speech Commands needs."""
    from gle_bench.files.sound import torchaudio

    try:
        torchaudio()
    except GleBenchError as error:
        return "warn", f"gsc cannot run: {error}"
    status, text = _package("soundfile")
    return status, f"torchaudio {version('torchaudio')}, soundfile {text}" if status == "ok" else text


def _package(name: str) -> tuple[Status, str]:
    try:
        return "ok", version(name)
    except PackageNotFoundError:
        return "fail", f"missing: pip install {name}"


def _wandb() -> tuple[Status, str]:
    status, text = _package("wandb")
    if status == "fail":
        return status, text
    from gle_bench.tracking.wandb_mirror import has_credentials

    if has_credentials([urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc]):
        return "ok", f"{text}; logged in"
    return (
        "ok",
        f"{text}; not logged in, so runs are mirrored offline (`wandb login` changes that, --wandb off stops it)",
    )


def _folder(path: Path) -> tuple[Status, str]:
    existing = _existing(path)
    if not existing.is_dir():
        return "fail", f"{existing} is not a folder; choose another with --runs or --data"
    if not os.access(existing, os.W_OK | os.X_OK):
        return "fail", f"{existing} cannot be written to; choose another with --runs or --data"
    return "ok", f"{path.absolute()}{'' if path.exists() else ' (will be made)'}"


def _existing(path: Path) -> Path:
    """The path itself if it exists, else the nearest folder above it that does."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _disk(paths: Iterable[Path]) -> tuple[Status, str]:
    free = {folder: shutil.disk_usage(folder).free for folder in map(_existing, paths)}
    least = min(free.values())
    text = ", ".join(f"{size / GIB:.1f} GiB free at {folder}" for folder, size in free.items())
    return "fail" if least < TOO_LITTLE else "warn" if least < LITTLE else "ok", text


def _git() -> tuple[Status, str]:
    git = own_git()
    if git.commit is None:
        return "ok", "not a checkout: records name the version, but no commit"
    changed = {True: ", with changes that are not committed", False: "", None: ""}[git.dirty]
    return "warn" if git.dirty else "ok", f"{git.commit[:12]}{changed}"


def _plugins() -> list[Check]:
    """One check for each entry point of a plugin: whether its module can be imported."""

    def load(point: Any) -> tuple[Status, str]:
        registry.load(point.value)
        return "ok", f"{point.value}{f' ({point.dist.name} {point.dist.version})' if point.dist else ''}"

    points = [(kind, point) for kind in registry.KINDS for point in plugins.offered(kind)]
    checks = [_guarded(f"plugin {kind} {point.name}", partial(load, point)) for kind, point in points]
    return checks or [Check("plugins", "ok", "none")]


def _tasks(data: Path) -> list[Check]:
    """One check for each task: whether its data are prepared for the configurations of all of its models."""

    def prepared(name: str) -> tuple[Status, str]:
        task: Task = registry.task(name)
        options = [pair.configure("paper").options for pair in registry.pairs() if pair.task == name]
        kinds = list(dict.fromkeys(options)) or [task.options()]
        there = sum(task.is_prepared(data / name, kind) for kind in kinds)
        if there == len(kinds):
            return "ok", "data prepared"
        some = f"data prepared for {there} of {len(kinds)} variants" if there else "data not prepared"
        return "ok", f"{some}; `glebench prepare {name}` gets them, and so does the first run"

    try:
        names = registry.places("tasks")
    except Exception as error:
        return [Check("tasks", "fail", str(error))]
    return [_guarded(f"task {name}", partial(prepared, name)) for name in names]
