"""Checkpoints: one file a seed, written whole or not at all, and read without running code that they bring."""

import io
import pickletools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from gle_bench.errors import GleBenchError
from gle_bench.files.foreign import Malformed, opened, parsing, reason
from gle_bench.files.foreign_arrays import archive
from gle_bench.files.together import write_together

FORMAT = 1
MOST: Final = 64 << 30  # largest number of bytes of a checkpoint, which is not compressed
# The classes and functions that the pickles of our checkpoints may name.
NAMES: Final = ("torch ", "torch._utils _rebuild_tensor", "collections OrderedDict")


def save(contents: Mapping[Path, dict[str, Any]]) -> None:
    """Writes checkpoints of tensors, numbers, text, lists and dicts beside their places, and renames all at once.

    Raises:
        GleBenchError: if one cannot be written; the checkpoints of all seeds are then of one and the same round.
    """
    write_together({path: partial(_write, {"format": FORMAT, **content}) for path, content in contents.items()})


def _write(content: dict[str, Any], file: BinaryIO) -> None:
    """Writes a checkpoint from memory, because torch raises no OSError on a full disk."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    file.write(buffer.getbuffer())


def load(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, or None where there is none.

    Raises:
        GleBenchError: a damaged file, or one of another format.
    """
    try:
        with opened(path) as file:
            content = _content(file)
    except FileNotFoundError:
        return None
    except (OSError, Malformed) as error:
        raise GleBenchError(
            f"Checkpoint {path} is damaged ({reason(error)}); delete it, or start anew with --rerun always."
        ) from error
    version = content.get("format")
    if version != FORMAT:
        raise GleBenchError(f"Checkpoint {path} has format {version}, not {FORMAT}; start anew with --rerun always.")
    return content


def _content(file: BinaryIO) -> dict[str, Any]:
    """The table in a checkpoint's file, which is first checked for damage and for objects other than tensors.

    Raises:
        OSError, Malformed: the file cannot be read, or is no checkpoint.
    """
    with archive(file, MOST, stored=True) as members, parsing():
        if damaged := members.testzip():  # torch does not look at its checksums
            raise Malformed(f"the checksum of {damaged} is wrong")
        for name in members.namelist():
            if name.endswith("/data.pkl"):
                _check_names(members.read(name))
    file.seek(0)
    with parsing():
        content = torch.load(file, weights_only=True, map_location="cpu")
    if not isinstance(content, dict):
        raise Malformed("it holds no table")
    return content


def _check_names(pickled: bytes) -> None:
    """Refuses a pickle that names anything but tensors and dictionaries, since other objects could take any memory."""
    for operation, name, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL" and not str(name).startswith(NAMES):
            raise Malformed(f"it names {name}, which is no part of a checkpoint")


def unlike(saved: Any, like: dict[Any, Any], place: str, free: Mapping[str, int] = MappingProxyType({})) -> str | None:
    """The first difference in form between `saved`, from a checkpoint, and `like`, as half a sentence; None if none.

    A dictionary, a list or the rows of a tensor that is empty in `like` may hold anything in `saved`.

    Args:
        free: the dimension in which the tensors below a key of the dictionary may differ.
    """
    if not isinstance(saved, dict):
        return f"{place} is no table"
    if like and saved.keys() != like.keys():
        name = min(map(str, saved.keys() ^ like.keys()))
        return f"{place} {'lacks' if name in map(str, like) else 'has another field,'} '{name}'"
    complaints = (_unlike_nested(saved[name], part, f"{place}.{name}", free.get(name)) for name, part in like.items())
    return next(filter(None, complaints), None)


def _unlike_nested(saved: Any, like: Any, place: str, free: int | None) -> str | None:
    if isinstance(like, Tensor):
        return _unlike_tensor(saved, like, place, free)
    if isinstance(like, dict):
        return unlike(saved, like, place)
    if isinstance(like, list | tuple):
        if not isinstance(saved, list | tuple) or (like and len(saved) != len(like)):
            return f"{place} is no list of {len(like)}"
        pairs = enumerate(zip(saved, like, strict=False))
        return next(filter(None, (_unlike_nested(*pair, f"{place}.{i}", free) for i, pair in pairs)), None)
    number = isinstance(like, float) and type(saved) is int
    return None if type(saved) is type(like) or number else f"{place} is no {type(like).__name__}"


def _unlike_tensor(saved: Any, like: Tensor, place: str, free: int | None) -> str | None:
    if not isinstance(saved, Tensor) or saved.layout != like.layout or saved.dtype != like.dtype:
        return f"{place} is no tensor of {like.dtype}"
    if saved.dim() == like.dim():
        grown = like.dim() > 0 and like.shape[0] == 0
        differing = {i for i, (a, b) in enumerate(zip(saved.shape, like.shape, strict=True)) if a != b}
        if differing <= {free, 0 if grown else free}:
            return None
    return f"{place} has the shape {tuple(saved.shape)}, not {tuple(like.shape)}"
