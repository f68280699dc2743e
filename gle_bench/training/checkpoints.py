"""Checkpoints: one file a seed, whole or not there, loadable without running anybody's code."""

import io
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch

from gle_bench.data.files import write_together
from gle_bench.names import GleBenchError

FORMAT = 1


def save(contents: Mapping[Path, dict[str, Any]]) -> None:
    """Writes tensors, numbers, text, lists and dicts; beside first, then renamed all at once.

    Raises:
        GleBenchError: if one cannot be written; the older checkpoints are then still there.
    """
    write_together({path: partial(_write, {"format": FORMAT, **content}) for path, content in contents.items()})


def _write(content: dict[str, Any], file: BinaryIO) -> None:
    """By way of memory: a full disk makes torch fail with an error of its own, and a file with one that can be told."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    file.write(buffer.getbuffer())


def load(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, or None where there is none.

    Raises:
        GleBenchError: a damaged file, or one of another format.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # torch does not look at its checksums
                raise zipfile.BadZipFile(damaged)
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        version = content["format"]
    except Exception as error:  # whatever a damaged file makes its readers stumble over
        raise GleBenchError(
            f"Checkpoint {path} is damaged ({type(error).__name__}); delete it, or start anew with --rerun always."
        ) from error
    if version != FORMAT:
        raise GleBenchError(f"Checkpoint {path} has format {version}, not {FORMAT}; start anew with --rerun always.")
    return content
