"""The peak memory of a function call, beyond what the process held before."""

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
    """The result of `action`, and the rise of memory at its peak in bytes; None if the system cannot reset its peak.

    On the CPU it is the peak of the process's resident memory, which Linux lets a process reset. It counts all touched
    pages, whoever allocated them. Freed memory is first returned to the system, because its reuse would hide a rise.
    Run the same code once before: libraries that are loaded late, and their buffers, would count too. On a GPU it is
    the peak of torch's allocations.
    """
    if device == "cuda":
        return _cuda_rise(action)
    _trim()
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


def _trim() -> None:
    """Returns freed memory to the system, if the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(field: str) -> int:
    """The value of a field of /proc/self/status, in bytes."""
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no {field}")
