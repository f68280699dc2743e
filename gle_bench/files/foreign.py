"""Readers for files that may be damaged or hostile: sizes are bounded, and every failure is one sentence.

Opening and reading raise OSError, also if the path is no regular file or the file is too large. Parsing raises
Malformed. `sentence_if_unreadable` turns both into the sentence that a user reads.
"""

import csv
import errno
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from gle_bench.errors import GleBenchError, clipped

MOST_TEXT: Final = 64 << 20  # largest size of a text file in bytes; histories are by far the longest
MOST_DIGITS: Final = 300  # most digits of a whole number, so that every one fits a float
MOST_BITS: Final = (10**MOST_DIGITS).bit_length()
DEEPEST: Final = 50  # most levels of lists and tables inside each other
CHUNK: Final = 1 << 20  # bytes that are read at a time

KINDS: Final = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
WHOLE: Final = re.compile(r"[+-]?[0-9]+")


class Malformed(ValueError):
    """The error that a file's content cannot be parsed. Its message is half a sentence that does not name the file."""


class OutOfBounds(Malformed):
    """The error that a file's content is valid, but nested too deeply, or has numbers too large to be processed."""


@contextmanager
def sentence_if_unreadable(path: Path, cure: str) -> Iterator[None]:
    """Turns OSError and Malformed into a GleBenchError that names the file, the reason and the cure.

    Raises:
        GleBenchError: instead of OSError and Malformed.
    """
    try:
        yield
    except (OSError, Malformed) as error:
        raise GleBenchError(f"Cannot read {path}: {reason(error)}; {cure}.") from error


def reason(error: Exception) -> str:
    """The reason of an error, as half a sentence that does not name the file."""
    full = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return clipped(next(iter(full.splitlines()), "").rstrip(".: "))


@contextmanager
def parsing() -> Iterator[None]:
    """Turns every error that a third-party parser raises on damaged content into Malformed.

    Raises:
        Malformed: instead of the parser's own error.
        OSError: the file cannot be read.
    """
    try:
        yield
    except Malformed:
        raise
    except OSError as error:
        if error.errno == errno.EINVAL:  # a seek to before the beginning of the file
            raise Malformed("it refers to a position outside of the file") from error
        raise
    except RecursionError as error:
        raise OutOfBounds("it is nested too deeply") from error
    except MemoryError as error:
        raise Malformed("it needs more memory than there is") from error
    except Exception as error:  # json, tomllib, csv, zipfile, zlib, numpy, torch and pickle: each has errors of its own
        raise Malformed(reason(error)) from error


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """A regular file, opened for reading. Never blocks, even if `path` is a pipe.

    Raises:
        OSError: it is no regular file, or cannot be opened; IsADirectoryError and FileNotFoundError as by `open`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            kind = KINDS.get(stat.S_IFMT(mode), "something else")
            raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
        file = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    with file:
        yield file


def size(file: BinaryIO) -> int:
    """The size of an open file in bytes; its position is kept."""
    position, end = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(position)
    return end


def content(path: Path, most: int = MOST_TEXT) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it cannot be read, or has more than `most` bytes.
    """
    with opened(path) as file:
        expected = os.fstat(file.fileno()).st_size
        if expected > most:
            raise OSError(errno.EFBIG, f"it has {expected:,} bytes, more than the limit of {most:,}", str(path))
        pieces, left = [], most + 1
        while left and (piece := file.read(min(left, max(expected + 1, CHUNK)))):  # goes on if the file grows meanwhile
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes, which is the limit", str(path))
    return b"".join(pieces)


def text(source: bytes) -> str:
    """The text that `source` encodes in UTF-8, without a byte order mark.

    Raises:
        Malformed: `source` is not UTF-8.
    """
    with parsing():
        return source.decode("utf-8-sig")


def whole_number(spelled: str) -> int:
    """The integer that a text of decimal digits spells.

    Raises:
        Malformed: the text is no whole number. OutOfBounds: it has more than `MOST_DIGITS` digits.
    """
    if WHOLE.fullmatch(spelled) is None:
        raise Malformed(f"'{clipped(spelled)}' is no whole number")
    digits = len(spelled.lstrip("+-"))
    if digits > MOST_DIGITS:
        raise OutOfBounds(f"a number has {digits:,} digits, more than {MOST_DIGITS}")
    return int(spelled)


def json_value(source: str | bytes) -> Any:
    """The value of a JSON text, whose numbers all fit a float and whose strings can all be encoded in UTF-8.

    Raises:
        Malformed: it is no JSON. OutOfBounds: it is nested too deeply, or a number has too many digits.
    """
    with parsing():
        spelled = text(source) if isinstance(source, bytes) else source
        value = json.loads(spelled, parse_int=whole_number, parse_constant=_no_json)
        check_bounds(value)
        return value


def _no_json(constant: str) -> None:
    raise Malformed(f"{constant} is no JSON")


def toml_table(source: bytes) -> dict[str, Any]:
    """The table of a TOML text.

    Raises:
        Malformed: it is no TOML. OutOfBounds: it is nested too deeply, or a number has too many digits.
    """
    import tomllib

    with parsing():
        table = tomllib.loads(text(source))
        check_bounds(table)
        return table


def csv_rows(source: str) -> list[list[str]]:
    """The rows of a CSV text, its header first: at least one row, all of the same length.

    Raises:
        Malformed: the text is empty, or its rows differ in length.
    """
    with parsing():
        rows = list(csv.reader(io.StringIO(source, newline=""), strict=True))
    if not rows:
        raise Malformed("it is empty")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise Malformed(f"row {number} has {len(row)} fields and the header {len(rows[0])}")
    return rows


def check_bounds(value: Any) -> None:
    """Refuses parsed values that would make later code fail.

    Raises:
        OutOfBounds: the value is nested too deeply, or holds a number too large for a float.
        UnicodeEncodeError: a string holds a lone surrogate, which UTF-8 cannot encode.
    """
    items = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for item in items:
            kind = type(item)
            if kind is dict:
                inner += item
                inner += item.values()
            elif kind is list:
                inner += item
            elif kind is str:
                item.isascii() or item.encode()
            elif kind is int and item.bit_length() > MOST_BITS:
                raise OutOfBounds(f"a number has more than {MOST_DIGITS} digits")
        if not inner:
            return
        items = inner
    raise OutOfBounds(f"it is nested more than {DEEPEST} levels deep")
