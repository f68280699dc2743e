"""Mutations of bytes, JSON, tables, arrays, checkpoints and files, such as an attacker or a broken disk would make.

All are functions of a generator of random numbers and of the content before.
"""

import io
import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

MOST_READ: Final = 1 << 24  # most bytes that are read of a file to be changed
RAW: Final = "@RAW@"  # prefix of a text that is written into JSON without quotes
TEXTS: Final = (
    "",
    " ",
    "x" * 100_000,
    "\x1b[2J\x1b]0;title\x07",
    "\u009b31m",
    "a\r\nb",
    "\x00",
    "\ud800",
    "\u202egpj.exe",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "<script>alert(1)</script>",
    "\\input{/etc/passwd}",
    "%s%s%s%n",
    "{0.__class__}",
    "[bold red]x[/]",
    "[/nothing]",
    "../../../etc/passwd",
    "|",
    "NaN",
    "0",
    "ｇｌｅ",
    "é" * 300,
)
NUMBERS: Final = (0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 0.0, -0.0, 1e308, -1e308, 5e-324, 0.1)
RAWS: Final = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "-" + "9" * 5000,
    "[" * 50_000 + "]" * 50_000,
    '{"a":' * 20_000 + "1" + "}" * 20_000,
    "01",
    "1.",
    "'x'",
    "",
)


class _Bomb:
    """An object that makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._canary}",)


def mutated(random: Random, content: bytes) -> bytes:
    """The content with some bytes changed, removed, repeated or inserted."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 5, 50))):
        place, length = random.randrange(len(changed) + 1), random.choice((1, 1, 4, 16, 256))
        kind = random.randrange(7)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            del changed[place:]
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = random.randbytes(length)
        elif kind == 4:
            changed[place : place + length] = random.choice((b"\0", b"\xff")) * min(length, len(changed) - place)
        elif kind == 5:
            changed[place:place] = changed[place : place + length]
        else:
            changed[place : place + 4] = random.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
    return bytes(changed)


def value(random: Random) -> Any:
    """A random value that no field expects."""
    kind = random.randrange(6)
    if kind == 0:
        return RAW + random.choice(RAWS)
    if kind == 1:
        return random.choice(NUMBERS)
    if kind in (2, 3):
        return random.choice(TEXTS)
    if kind == 4:
        return random.choice((None, True, False, [], {}, [[]], {"": None}, [None] * 1000))
    return {random.choice(TEXTS): random.choice(NUMBERS), "value": random.choice(NUMBERS), "n": random.choice(NUMBERS)}


def beginning(path: Path) -> bytes:
    """The first bytes of a file, which an earlier change may have made a sparse file of many gigabytes."""
    with path.open("rb") as file:
        return file.read(MOST_READ)


def json_mutated(random: Random, content: bytes) -> bytes:
    """JSON with fields replaced, removed or added, or with damaged text."""
    if random.random() < 0.15:
        return random.choice(
            (
                b"",
                b"\xef\xbb\xbf" + content,
                content + content,
                content.decode(errors="replace").encode("utf-16"),
                b"\0" * 100,
            )
        )
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):  # mutated before
        return mutated(random, content)
    for _ in range(random.choice((1, 1, 2, 4))):
        place, key = random.choice(_places(fields) or [({}, "")])
        kind = random.randrange(5)
        if kind in (0, 1, 2):
            place[key] = value(random)
        elif kind == 3:
            place.pop(key, None) if isinstance(place, dict) else place.pop(key)
        elif isinstance(place, dict):
            place[random.choice(TEXTS)] = value(random)
    return _spelled(fields)


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every place in nested JSON that holds a value, as the container and the key."""
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [place for key in keys for place in ((content, key), *_places(content[key]))]


def _spelled(fields: Any) -> bytes:
    text = json.dumps(fields, indent=2)
    while (start := text.find(f'"{RAW}')) >= 0:
        end = start + 1
        while text[end] != '"' or text[end - 1] == "\\":
            end += 1
        text = text[:start] + json.loads(text[start : end + 1]).removeprefix(RAW) + text[end + 1 :]
    return text.encode()


def csv_mutated(random: Random, content: bytes) -> bytes:
    """A CSV table with cells, rows or its header changed."""
    rows = [line.split(",") for line in content.decode(errors="replace").splitlines()] or [[""]]
    for _ in range(random.choice((1, 2, 5))):
        row = random.choice(rows)
        kind = random.randrange(5)
        if kind < 3:
            text = random.choice((*TEXTS, *RAWS, "1_000", "１２", "0x10", "1e400", '"', '""', '"a'))
            row[random.randrange(len(row))] = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        elif kind == 3:
            row.pop()
            row = row or [""]
        else:
            rows.insert(random.randrange(len(rows)), list(random.choice(rows)))
        rows = [row for row in rows if row] or [[""]]
    return "\n".join(",".join(row) for row in rows).encode()


def npz_mutated(random: Random, content: bytes, canary: Path) -> bytes:
    """An npz archive whose arrays have other shapes, types or names, or which is damaged or unusual itself."""
    import numpy as np

    try:
        with np.load(io.BytesIO(content)) as archive:
            arrays = {name: np.asarray(array) for name, array in archive.items()}
    except Exception:  # mutated before
        return mutated(random, content)
    if not arrays:
        return mutated(random, content)
    members = {f"{name}.npy": _npy(array) for name, array in arrays.items()}
    name = random.choice(sorted(members))
    array = np.atleast_1d(arrays[name.removesuffix(".npy")])
    changes: tuple[Callable[[], Any], ...] = (
        lambda: _npy(array[:0]),
        lambda: _npy(array.reshape(-1)[:1].reshape(())),
        lambda: _npy(array[None]),
        lambda: _npy(array[..., :1]),
        lambda: _npy(array[1:]),
        lambda: _npy(np.full(array.shape, random.choice((np.nan, np.inf, 1e308)))),
        lambda: _npy(np.full(array.shape, -1)),
        lambda: _npy(np.full(array.shape, 2**62)),
        lambda: _npy(np.array(["text"] * max(1, len(np.atleast_1d(array))))),
        lambda: _npy(array.astype(random.choice(("complex64", "bool", "float16", "S3", "U3", "M8[s]", "m8[s]", "V4")))),
        lambda: _header(
            random.choice(("(999999999999,)", "(2**62,)", "(-1,)", "(1, 1000000000, 1000000)", "()", "'x'"))
        ),
        lambda: _header(
            "(3,)", random.choice(("'|O'", "'<f16'", "[('a', '<f8'), ('b', 'O')]", "'(1000000000,)f8'", "'<f8;'"))
        ),
        lambda: b"\x93NUMPY\x09\x00" + b"\xff\xff" + b"x" * 100,
        lambda: _header("(3,)", "'|O'", pickle.dumps(np.array([_Bomb(canary)], dtype=object))),
        lambda: pickle.dumps(_Bomb(canary)),
        lambda: mutated(random, members[name]),
        lambda: b"",
    )
    if random.random() < 0.75:
        members[name] = random.choice(changes)()
    elif random.random() < 0.5:
        members[random.choice(("odd/name.npy", "../../out.npy", "", "x" * 300, "plain", f"{name}.npy"))] = members.pop(
            name
        )
    else:
        members.pop(name)
    compression = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    written = bytearray(_zipped(members, compression))
    if random.random() < 0.2:  # changes of flags, methods and sizes in the headers
        start = written.find(random.choice((b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")))
        for _ in range(random.randint(1, 4)):
            written[start + random.randrange(4, 22)] = random.choice((0, 1, 9, 14, 99, 255))
    return bytes(written)


def _zipped(members: dict[str, bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(name if name else zipfile.ZipInfo(name), member)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def _header(shape: str, kind: str = "'<f8'", content: bytes = b"\0" * 24) -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def checkpoint_mutated(random: Random, content: bytes, canary: Path) -> bytes:
    """A checkpoint that lacks a field, or holds another type of value or an object that would run code."""
    import torch

    fields = torch.load(io.BytesIO(content), weights_only=True)
    place, key = random.choice(_places(fields))
    old = place[key]
    kind = random.randrange(6)
    if kind == 0:
        place.pop(key)
    elif kind == 1:
        place[key] = random.choice((*NUMBERS, None, "text", [], {}, "x" * 10_000))
    elif kind == 2 and isinstance(old, torch.Tensor):
        place[key] = random.choice((old[..., :1], old.reshape(-1), old[None], old.to(torch.complex64), old.to_sparse()))
    elif kind == 3 and isinstance(old, torch.Tensor):
        place[key] = random.choice((old.to(torch.int8), torch.empty(0), torch.zeros(1).expand(10**9), old.half()))
    elif kind == 4:
        place[key] = _Bomb(canary)
    else:
        return mutated(random, content)
    file = io.BytesIO()
    torch.save(fields, file)
    return file.getvalue()


REPLACEMENTS: Final = (
    *("absent", "folder", "full folder", "fifo", "socket", "dangling link", "looping link", "zero", "sparse", "closed"),
    *("link", "empty"),
)


def replaced(random: Random, path: Path) -> str:
    """Replaces a file or folder by something else, and returns its kind."""
    kind = random.choice(REPLACEMENTS)
    if kind == "closed":
        path.chmod(0)
        return kind
    moved = path.with_name(f"{path.name}.moved")
    while os.path.lexists(moved):  # an earlier change of the same trial
        moved = moved.with_name(f"{moved.name}.moved")
    path.rename(moved)
    if kind == "link":
        path.symlink_to(moved.name)
        return kind
    if kind in ("folder", "full folder"):
        path.mkdir()
        if kind == "full folder":
            moved.rename(path / path.name)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        _bound(path)
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "looping link":
        path.symlink_to(random.choice((path.name, "..", ".")))
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind in ("sparse", "empty"):
        path.touch()
        os.truncate(path, 1 << 36 if kind == "sparse" else 0)
    if moved.is_dir() and not moved.is_symlink():
        shutil.rmtree(moved)
    else:
        moved.unlink(missing_ok=True)
    return kind


def _bound(path: Path) -> None:
    """Makes a socket, by a short path, since a socket's path may have 107 bytes at most."""
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
