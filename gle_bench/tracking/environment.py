"""The machine and the software of a run, in enough detail to explain a difference between two machines."""

import importlib.metadata
import os
import platform
import re
import sys
from functools import cache
from pathlib import Path

from gle_bench import plugins, registry
from gle_bench.tracking.arithmetic import recorded
from gle_bench.tracking.entry import Entry
from gle_bench.tracking.provenance import Git, own_git


class Environment(Entry):
    """The machine and the software of a run. None or an empty part means unknown or absent.

    Attributes:
        packages: versions of glebench, of its requirements and of its plugins, by name.
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
    """The environment of this process.

    Args:
        engine, reason: the engine that runs, and why this one.
        device: as torch names it: 'cpu', 'cuda', 'cuda:1'.
        threads: CPU threads that the engine may use.
    """
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
        git=own_git(),
        determinism=_determinism(),
    )


@cache
def _packages() -> dict[str, str]:
    """Versions of the installed packages among glebench, its requirements and the distributions of its plugins."""
    try:
        requirements = importlib.metadata.requires("glebench") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder that was never installed
        requirements = []
    names = {"glebench"} | {
        match[0] for line in requirements if "extra ==" not in line and (match := re.match(r"[\w.-]+", line))
    }
    for kind in registry.KINDS:
        names |= {point.dist.name for point in plugins.offered(kind) if point.dist and point.dist.name}
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
        model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE)
    except OSError:  # not Linux
        model = None
    return model[1].strip() if model else platform.processor() or platform.machine()


def _gpu(device: str) -> str | None:
    """The accelerator's name and CUDA version, where the run uses one."""
    if not device.startswith("cuda"):
        return None
    import torch

    return f"{torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"


def _determinism() -> dict[str, bool | str | None]:
    """The settings of Python, cuBLAS and, if it is loaded, torch that decide about bit-identical repetition."""
    settings: dict[str, bool | str | None] = {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED")}
    settings |= {"CUBLAS_WORKSPACE_CONFIG": os.environ.get("CUBLAS_WORKSPACE_CONFIG"), **recorded(os.environ)}
    if "torch" in sys.modules:
        import torch

        settings |= {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
        }
    return settings
