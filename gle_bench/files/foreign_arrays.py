"""Readers for .npy and .npz files that may be damaged or hostile: headers and sizes are checked before any number.

As in `gle_bench.files.foreign`, reading raises OSError and parsing Malformed; `sentence_if_unreadable` turns both into
the sentence that a user reads.
"""

import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, Final, NamedTuple

from gle_bench.files.foreign import CHUNK, Malformed, parsing, size

if TYPE_CHECKING:  # numpy costs a tenth of a second, and what lists runs needs none of it
    import numpy as np

MOST_ARRAYS: Final = 1 << 30  # most bytes that all arrays of a file may take together
MOST_DIRECTORY: Final = 4 << 20  # most bytes of an archive's table of contents: tens of thousands of members
LONGEST_HEADER: Final = 10_000  # most bytes of an array's header; numpy's own limit
MOST_DIMENSIONS: Final = 32  # most dimensions of an array; numpy's own limit
DEFLATE_RATIO: Final = 1032  # largest ratio of uncompressed to compressed bytes that zlib reaches
FLAGS: Final = 0x080E  # allowed ZIP flags: compression level, sizes after the data, UTF-8 names; not: encryption
MAGIC: Final = b"\x93NUMPY"
# The header that numpy writes for an array of numbers or truth values. It is matched, never evaluated.
HEADER: Final = re.compile(
    rb"\{'descr': '([<>|=]?[biufc][0-9]{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*[0-9]{0,18}),?\),? ?\} *\n?"
)


class ArrayForm(NamedTuple):
    """The form that an array must have: one of numpy's `kinds` ('f', 'iu') and a `shape`, where None is any length."""

    kinds: str
    shape: tuple[int | None, ...]

    def takes(self, dtype: "np.dtype", shape: tuple[int, ...]) -> bool:
        """Whether an array of this dtype and shape has the form."""
        same_shape = len(shape) == len(self.shape) and all(
            required in (length, None) for length, required in zip(shape, self.shape, strict=True)
        )
        return same_shape and dtype.kind in self.kinds

    def __str__(self) -> str:
        return f"{'x'.join('any' if length is None else str(length) for length in self.shape)} of kind {self.kinds}"


class Header(NamedTuple):
    """The header of an array in a file: dtype, shape and memory order."""

    dtype: "np.dtype"
    shape: tuple[int, ...]
    order: str

    @property
    def length(self) -> int:
        """The array's size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def arrays(
    file: BinaryIO, expected: Mapping[str, ArrayForm] | None = None, most: int = MOST_ARRAYS
) -> "dict[str, np.ndarray]":
    """The arrays of an .npz file by name: those in `expected`, all of which must be there, or else all.

    Raises:
        OSError: the file cannot be read. Malformed: it is damaged, holds anything but plain arrays, would take more
            than `most` bytes, or an expected array is missing or has another form.
    """
    with archive(file, most) as opened, parsing():
        members = {_name(info): info for info in opened.infolist()}
        for name in expected or ():
            if name not in members:
                raise Malformed(f"it holds no array '{name}'")
        chosen = expected if expected is not None else members
        return {name: _member(opened, members[name], expected[name] if expected else None) for name in chosen}


def array(file: BinaryIO, expected: ArrayForm | None = None, most: int = MOST_ARRAYS) -> "np.ndarray":
    """The array of an .npy file.

    Raises:
        OSError, Malformed: like `arrays`.
    """
    if size(file) > most:
        raise Malformed(f"it has {size(file):,} bytes, more than the limit of {most:,}")
    with parsing():
        return _array(file, size(file), expected)


@contextmanager
def archive(file: BinaryIO, most: int, stored: bool = False) -> Iterator[zipfile.ZipFile]:
    """A ZIP archive, opened, whose members together take at most `most` bytes; if `stored`, none is compressed.

    Raises:
        OSError: it cannot be read. Malformed: it is no such archive, is damaged, or claims more bytes than it has.
    """
    file_size = size(file)
    with parsing():
        _check_directory(file, file_size)
        opened = zipfile.ZipFile(file)
    with opened:
        _check_members(opened.infolist(), file_size, most, stored)
        yield opened


def _check_directory(file: BinaryIO, file_size: int) -> None:
    """Refuses a zip archive whose table of contents, at its end, is too large, because zipfile reads all of it."""
    file.seek(max(0, file_size - 98))
    tail = file.read(98).rjust(98, b"\0")
    entry_64, locator, end = tail[:56], tail[56:76], tail[76:]
    if end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
        raise Malformed("it is cut off, or no archive")
    (length,) = struct.unpack("<I", end[12:16])
    if locator[:4] == b"PK\6\7":
        if entry_64[:4] != b"PK\6\6":
            raise Malformed("its table of contents is damaged")
        (length,) = struct.unpack("<Q", entry_64[40:48])
    if length > min(file_size, MOST_DIRECTORY):
        raise Malformed(f"its table of contents has {length:,} bytes, more than {min(file_size, MOST_DIRECTORY):,}")


def _check_members(members: list[zipfile.ZipInfo], file_size: int, most: int, stored: bool) -> None:
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        raise Malformed("it holds a name twice")
    methods = (zipfile.ZIP_STORED,) if stored else (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    for info in members:
        if info.flag_bits & ~FLAGS or info.compress_type not in methods:
            raise Malformed("it is encrypted, or compressed by a method that is not supported")
        ratio = 1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_RATIO
        if info.file_size > ratio * info.compress_size:
            raise Malformed("it claims more bytes than it can hold")
    if sum(info.compress_size for info in members) > file_size:
        raise Malformed("it claims more bytes than it has")
    total = sum(info.file_size for info in members)
    if total > most:
        raise Malformed(f"its contents take {total:,} bytes, more than the limit of {most:,}")


def _name(info: zipfile.ZipInfo) -> str:
    if not info.filename.endswith(".npy"):
        raise Malformed("it holds something that is no array")
    return info.filename.removesuffix(".npy")


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, expected: ArrayForm | None) -> "np.ndarray":
    with opened.open(info) as file:
        try:
            member = _array(file, info.file_size, expected)
        except Malformed as error:
            raise Malformed(f"array '{_name(info)}': {error}") from error
        file.read(1)  # at the end of the member zipfile compares the checksum
        return member


def _array(file: IO[bytes], length: int, expected: ArrayForm | None) -> "np.ndarray":
    """The array in a stream of `length` bytes, header included."""
    import numpy as np

    header, start = _header(file)
    if expected is not None and not expected.takes(header.dtype, header.shape):
        shape = "x".join(map(str, header.shape))
        raise Malformed(f"it is {shape or 'a number'} of kind {header.dtype.kind}, not {expected}")
    if header.length != length - start:
        raise Malformed(f"its header says {header.length:,} bytes, but {length - start:,} follow")
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
    """The array's header, and the position in bytes at which it ends."""
    import numpy as np

    preamble = file.read(8)
    width = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}.get(preamble[6:])
    if preamble[:6] != MAGIC or width is None:
        raise Malformed("it is not an array in numpy's format")
    length = int.from_bytes(file.read(width), "little")
    match = HEADER.fullmatch(file.read(min(length, LONGEST_HEADER)))
    if match is None or length > LONGEST_HEADER:
        raise Malformed("its header is not that of a plain array of numbers")
    described, fortran, lengths = (part.decode() for part in match.groups())
    shape = tuple(int(each) for each in lengths.replace(" ", "").split(",") if each)
    dtype = np.dtype(described)
    largest = math.prod(each for each in shape if each) * dtype.itemsize
    if len(shape) > MOST_DIMENSIONS or largest > np.iinfo(np.intp).max or dtype.itemsize == 0:
        raise Malformed(f"its header claims the shape {'x'.join(map(str, shape))}")
    return Header(dtype, shape, "F" if fortran == "True" else "C"), len(preamble) + width + length
