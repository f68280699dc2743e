"""The most memory that something takes while it runs, beyond what the process held before."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Value = TypeVar("Value")

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc_pid_clear_refs(5)


def peak_rise(device: str, action: Callable[[], Value]) -> tuple[Value, int | None]:
    """What `action` returns, and by how many bytes memory rose at its peak.

    On the CPU it is the peak of the process's resident memory, which Linux lets a process reset: it counts everything,
    whoever allocated it, in pages, and nothing that was reserved but not touched. Memory that was freed before is given
    back first, or what it left behind would hide the rise. Let the same code run once beforehand: libraries
    that are loaded late, and their buffers, would count too. On a GPU it is the peak of what torch has allocated there.

    None: this system has no peak that can be reset.
    """
    if device == "cuda":
        return _cuda_rise(action)
    _give_back()
    try:
        _CLEAR.write_text(_RESET_PEAK)
        before = _status("VmRSS")
    except OSError:  # not Linux, or not allowed
        return action(), None
    value = action()
    return value, max(0, _status("VmHWM") - before)


def _cuda_rise(action: Callable[[], Value]) -> tuple[Value, int]:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    value = action()
    torch.cuda.synchronize()
    return value, torch.cuda.max_memory_allocated() - before


def _give_back() -> None:
    """Hands freed memory back to the system, where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no {field}")
