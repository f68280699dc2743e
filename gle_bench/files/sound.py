"""Sound: the import of torchaudio beside any build of PyTorch, and the reading of WAV files at one sampling rate."""

import importlib
import sys
from functools import cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gle_bench.errors import GleBenchError
from gle_bench.files.foreign import opened, size

MOST_SOUND: Final = 256 << 20  # largest size of a sound file in bytes
FULL_SCALE: Final = 32768  # full scale of 16-bit samples


_importing = Lock()


def torchaudio() -> Any:
    """The module torchaudio, imported once, also if several threads ask for it."""
    with _importing:
        return _imported()


@cache
def _imported() -> Any:
    """The module torchaudio, also beside a PyTorch for CPUs only.

    Its Linux wheels link CUDA, so that beside such a PyTorch the import fails in a compiled extension. No transform
    needs that extension, so a stub replaces it.

    Raises:
        GleBenchError: torchaudio is missing, or cannot be imported even with the stub.
    """
    import torch

    try:
        return importlib.import_module("torchaudio")
    except OSError:
        for name in [name for name in list(sys.modules) if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]  # half imported
    except ImportError as error:
        raise GleBenchError(f"torchaudio is missing ({error}): pip install torchaudio.") from error
    stub: Any = ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub.fail_if_no_align = lambda function: function
    sys.modules[stub.__name__] = stub
    try:
        return importlib.import_module("torchaudio")
    except (ImportError, OSError, AttributeError) as error:
        raise GleBenchError(f"torchaudio cannot be imported beside torch {torch.__version__}: {error}.") from error


def read_wav(path: Path, rate: int) -> NDArray[np.int16]:
    """The samples (N,) of a sound file, in 16 bits at `rate` Hz. Channels are averaged; other rates are resampled.

    Raises:
        GleBenchError: the file is missing, no WAV, cut off or empty, or has values that are not finite.
    """
    import soundfile

    try:
        with opened(path) as file:
            if size(file) > MOST_SOUND:
                raise ValueError(f"more than {MOST_SOUND:,} bytes")
            samples, own_rate = soundfile.read(file.fileno(), dtype="float32", always_2d=True, closefd=False)
    except (OSError, RuntimeError, ValueError) as error:  # soundfile's own errors are RuntimeErrors
        raise GleBenchError(
            f"{path} cannot be read as sound ({_reason(path, error)}); put an intact copy there."
        ) from error
    wave = samples.mean(1)
    if not len(wave):
        raise GleBenchError(f"{path} holds no samples; put an intact copy there, or take it out of the data.")
    if not np.isfinite(wave).all():
        raise GleBenchError(f"{path} holds values that are not finite; put an intact copy there.")
    if own_rate != rate:
        import torch

        wave = torchaudio().functional.resample(torch.from_numpy(wave), own_rate, rate).numpy()
    samples_16: NDArray[np.int16] = np.clip(np.rint(wave * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return samples_16


def _reason(path: Path, error: Exception) -> str:
    """The reason of soundfile's error in a few words, without the path."""
    if not path.is_file():
        return "there is no such file"
    return str(error).rpartition(": ")[2].strip(" .") or type(error).__name__
