"""On what a run ran: enough to explain a difference between two machines."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gle_bench import registry

PACKAGE = Path(__file__).parents[1]


class Entry(BaseModel):
    """A part of a record: immutable; fields that a newer glebench added are passed over when read.

    Non-finite numbers are written as the texts "NaN", "Infinity" and "-Infinity": JSON has no numbers for them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Git(Entry):
    """The glebench checkout: the commit, and whether files differed from it. None: no checkout, or none committed."""

    commit: str | None = None
    dirty: bool | None = None


class Environment(Entry):
    """Machine and software of a run. None, or an empty part: not known, or not there.

    Attributes:
        packages: versions of glebench, of what it requires and of its plugins.
        engine_reason: why this engine ran and not a faster one.
        threads: CPU threads that the engine may use.
        determinism: settings that decide whether a repetition is bit-identical.
    """

    python: str
    platform: str
    host: str
    packages: dict[str, str]
    cpu: str
    device: str
    gpu: str | None
    engine: str
    engine_reason: str
    threads: int
    git: Git
    determinism: dict[str, bool | str | None]


def environment(engine: str, reason: str, device: str, threads: int) -> Environment:
    """Describes this process. `device` as torch names it: 'cpu', 'cuda', 'cuda:1'; `threads` of the engine."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        host=platform.node(),
        packages=_packages(),
        cpu=_cpu(),
        device=device,
        gpu=_gpu(device),
        engine=engine,
        engine_reason=reason,
        threads=threads,
        git=_git(),
        determinism=_determinism(),
    )


@cache
def _packages() -> dict[str, str]:
    """Versions of what is installed of glebench, its requirements and its plugins' distributions."""
    try:
        requirements = importlib.metadata.requires("glebench") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder that was never installed
        requirements = []
    names = {"glebench"} | {
        found[0] for line in requirements if "extra ==" not in line and (found := re.match(r"[\w.-]+", line))
    }
    for kind in registry.KINDS:
        names |= {point.dist.name for point in registry.plugins(kind) if point.dist}
    versions = {}
    for name in sorted(names):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@cache
def _cpu() -> str:
    """The processor's model name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _gpu(device: str) -> str | None:
    """The accelerator's name and CUDA version, where the run uses one."""
    if not device.startswith("cuda"):
        return None
    import torch

    return f"{torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"


@cache  # what was loaded at the start is what runs, whatever is committed meanwhile
def _git() -> Git:
    """Commit and cleanness of the checkout that this package is imported from."""
    found = _ask_git("rev-parse", "--show-toplevel", "HEAD")
    if found is None:
        return Git()
    top, commit = found.rsplit("\n", 1)
    if Path(top).resolve() / PACKAGE.name != PACKAGE.resolve():
        return Git()  # installed somewhere inside a stranger's checkout
    changes = _ask_git("status", "--porcelain")
    return Git(commit=commit, dirty=None if changes is None else bool(changes))


def _ask_git(*arguments: str) -> str | None:
    """What git prints; None if it is not there, finds no checkout or no commit, or does not answer."""
    command = ["git", "--no-optional-locks", "-C", str(PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _determinism() -> dict[str, bool | str | None]:
    """Settings of Python, cuBLAS and, where torch is loaded, of torch."""
    settings: dict[str, bool | str | None] = {
        name: os.environ.get(name) for name in ("PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG")
    }
    if "torch" in sys.modules:
        import torch

        settings |= {
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
        }
    return settings
