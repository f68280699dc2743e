"""Arrays in files that others wrote, or that were damaged since: headers first, bounds next, then the numbers.

Like `gle_bench.data.foreign`: reading raises OSError, parsing Malformed, and `sentence_if_unreadable` turns both into
a sentence.
"""

import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, Final, NamedTuple

from gle_bench.data.foreign import CHUNK, Malformed, parsing, size

if TYPE_CHECKING:  # numpy costs a tenth of a second, and what lists runs needs none of it
    import numpy as np

MOST_ARRAYS: Final = 1 << 30  # bytes of all arrays of a file together
MOST_DIRECTORY: Final = 4 << 20  # bytes of an archive's table of contents: tens of thousands of members
LONGEST_HEADER: Final = 10_000  # bytes, as of numpy
MOST_DIMENSIONS: Final = 32
DEFLATE_RATIO: Final = 1032  # which zlib cannot exceed
FLAGS: Final = 0x080E  # how hard it was compressed, sizes that follow the data, names in UTF-8; above all no encryption
MAGIC: Final = b"\x93NUMPY"
# What numpy writes of plain numbers and truth values. It is matched, never evaluated.
HEADER: Final = re.compile(
    rb"\{'descr': '([<>|=]?[biufc][0-9]{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*[0-9]{0,18}),?\),? ?\} *\n?"
)


class ArrayForm(NamedTuple):
    """What an array must be: one of numpy's `kinds` ('f', 'iu') and of a `shape`, in which None is any length."""

    kinds: str
    shape: tuple[int | None, ...]

    def takes(self, dtype: "np.dtype", shape: tuple[int, ...]) -> bool:
        """Whether an array is so."""
        lengths = len(shape) == len(self.shape) and all(
            there in (here, None) for here, there in zip(shape, self.shape, strict=True)
        )
        return lengths and dtype.kind in self.kinds

    def __str__(self) -> str:
        return f"{'x'.join('any' if length is None else str(length) for length in self.shape)} of kind {self.kinds}"


class Header(NamedTuple):
    """What an array's header says of it."""

    dtype: "np.dtype"
    shape: tuple[int, ...]
    order: str

    @property
    def length(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def arrays(
    file: BinaryIO, expected: Mapping[str, ArrayForm] | None = None, most: int = MOST_ARRAYS
) -> "dict[str, np.ndarray]":
    """The arrays of an .npz by their names: those that are `expected`, which must be there, or all of them.

    Raises:
        OSError: it cannot be read. Malformed: it is damaged, holds anything but plain arrays, would take more than
            `most` bytes, or is not what is expected.
    """
    with archive(file, most) as opened, parsing():
        members = {_name(info): info for info in opened.infolist()}
        for name in expected or ():
            if name not in members:
                raise Malformed(f"it holds no array '{name}'")
        chosen = expected if expected is not None else members
        return {name: _member(opened, members[name], expected[name] if expected else None) for name in chosen}


def array(file: BinaryIO, expected: ArrayForm | None = None, most: int = MOST_ARRAYS) -> "np.ndarray":
    """The array of an .npy.

    Raises:
        OSError, Malformed: like `arrays`.
    """
    if size(file) > most:
        raise Malformed(f"it has {size(file):,} bytes, more than the {most:,} that are read")
    with parsing():
        return _array(file, size(file), expected)


@contextmanager
def archive(file: BinaryIO, most: int, stored: bool = False) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose members, all together, take no more than `most` bytes; if `stored`, uncompressed ones.

    Raises:
        OSError: it cannot be read. Malformed: it is no such archive, or a trap.
    """
    whole = size(file)
    with parsing():
        _check_directory(file, whole)
        opened = zipfile.ZipFile(file)
    with opened:
        _check_members(opened.infolist(), whole, most, stored)
        yield opened


def _check_directory(file: BinaryIO, whole: int) -> None:
    """Bounds the table of contents, which zipfile reads as a whole; it ends where the file does."""
    file.seek(max(0, whole - 98))
    tail = file.read(98).rjust(98, b"\0")
    entry_64, locator, end = tail[:56], tail[56:76], tail[76:]
    if end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
        raise Malformed("it is cut off, or no archive")
    (length,) = struct.unpack("<I", end[12:16])
    if locator[:4] == b"PK\6\7":
        if entry_64[:4] != b"PK\6\6":
            raise Malformed("its table of contents is damaged")
        (length,) = struct.unpack("<Q", entry_64[40:48])
    if length > min(whole, MOST_DIRECTORY):
        raise Malformed(f"its table of contents has {length:,} bytes, more than {min(whole, MOST_DIRECTORY):,}")


def _check_members(members: list[zipfile.ZipInfo], whole: int, most: int, stored: bool) -> None:
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        raise Malformed("it holds a name twice")
    methods = (zipfile.ZIP_STORED,) if stored else (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    for info in members:
        if info.flag_bits & ~FLAGS or info.compress_type not in methods:
            raise Malformed("it is encrypted, or compressed in a way that is not ours")
        ratio = 1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO
        if info.file_size > ratio * info.compress_size:
            raise Malformed("it claims more bytes than it can hold")
    if sum(info.compress_size for info in members) > whole:
        raise Malformed("it claims more bytes than it has")
    total = sum(info.file_size for info in members)
    if total > most:
        raise Malformed(f"its contents take {total:,} bytes, more than the {most:,} that are read")


def _name(info: zipfile.ZipInfo) -> str:
    if not info.filename.endswith(".npy"):
        raise Malformed("it holds something that is no array")
    return info.filename.removesuffix(".npy")


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, expected: ArrayForm | None) -> "np.ndarray":
    with opened.open(info) as file:
        try:
            found = _array(file, info.file_size, expected)
        except Malformed as error:
            raise Malformed(f"array '{_name(info)}': {error}") from error
        file.read(1)  # at its end zipfile compares the checksum
        return found


def _array(file: IO[bytes], length: int, expected: ArrayForm | None) -> "np.ndarray":
    """The array in a stream of `length` bytes."""
    import numpy as np

    header, start = _header(file)
    if expected is not None and not expected.takes(header.dtype, header.shape):
        shape = "x".join(map(str, header.shape))
        raise Malformed(f"it is {shape or 'a number'} of kind {header.dtype.kind}, not {expected}")
    if header.length != length - start:
        raise Malformed(f"its header is of {header.length:,} bytes, and there are {length - start:,}")
    buffer = bytearray(header.length)
    view, filled = memoryview(buffer), 0
    while filled < len(buffer):
        piece = file.read(min(CHUNK, len(buffer) - filled))
        if not piece:
            raise Malformed("it is cut off")
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
    return np.ndarray(header.shape, header.dtype, buffer, order="F" if header.order == "F" else "C")


def _header(file: IO[bytes]) -> tuple[Header, int]:
    """The header, and where it ends."""
    import numpy as np

    preamble = file.read(8)
    width = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}.get(preamble[6:])
    if preamble[:6] != MAGIC or width is None:
        raise Malformed("it is no array of numpy's")
    length = int.from_bytes(file.read(width), "little")
    found = HEADER.fullmatch(file.read(min(length, LONGEST_HEADER)))
    if found is None or length > LONGEST_HEADER:
        raise Malformed("its header is not that of a plain array of numbers")
    described, fortran, lengths = (part.decode() for part in found.groups())
    shape = tuple(int(each) for each in lengths.replace(" ", "").split(",") if each)
    dtype = np.dtype(described)
    largest = math.prod(each for each in shape if each) * dtype.itemsize
    if len(shape) > MOST_DIMENSIONS or largest > np.iinfo(np.intp).max or dtype.itemsize == 0:
        raise Malformed(f"its header claims the shape {'x'.join(map(str, shape))}")
    return Header(dtype, shape, "F" if fortran == "True" else "C"), len(preamble) + width + length
