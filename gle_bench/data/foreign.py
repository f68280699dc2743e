"""Files and texts that others wrote, or that were damaged since: read within bounds, and refused in one sentence.

Opening and reading raise OSError, also for what is no regular file and for what is too large. Parsing raises Malformed.
`sentence_if_unreadable` turns both into the sentence that a user reads.
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

MOST_TEXT: Final = 64 << 20  # bytes of a text: of a history, by far the longest
MOST_DIGITS: Final = 300  # of a whole number: every one of these is a float, too
MOST_BITS: Final = (10**MOST_DIGITS).bit_length()
DEEPEST: Final = 50  # lists and tables inside each other
CHUNK: Final = 1 << 20  # bytes

KINDS: Final = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
WHOLE: Final = re.compile(r"[+-]?[0-9]+")


class Malformed(ValueError):
    """Content that is not what it should be. Its text says why, in half a sentence without the file's name."""


class OutOfBounds(Malformed):
    """Content that is well spelled, but nested more deeply or of larger numbers than anything that is meant."""


@contextmanager
def sentence_if_unreadable(path: Path, cure: str) -> Iterator[None]:
    """Turns whatever keeps a file from being read into a sentence that names the file, the reason and the cure.

    Raises:
        GleBenchError: in the place of OSError and Malformed.
    """
    try:
        yield
    except (OSError, Malformed) as error:
        raise GleBenchError(f"Cannot read {path}: {reason(error)}; {cure}.") from error


def reason(error: Exception) -> str:
    """Why something cannot be read, in half a sentence without the file's name."""
    full = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return clipped(next(iter(full.splitlines()), "").rstrip(".: "))


@contextmanager
def parsing() -> Iterator[None]:
    """The boundary to parsers that are not ours.

    Raises:
        Malformed: in the place of whatever error damaged content makes a parser stumble over.
    """
    try:
        yield
    except Malformed:
        raise
    except OSError as error:
        if error.errno == errno.EINVAL:  # as of a place before the beginning of the file
            raise Malformed("it points to what is not in it") from error
        raise
    except RecursionError as error:
        raise OutOfBounds("it is nested too deeply") from error
    except MemoryError as error:
        raise Malformed("it needs more memory than there is") from error
    except Exception as error:  # json, tomllib, csv, zipfile, zlib, numpy, torch and pickle: each has errors of its own
        raise Malformed(reason(error)) from error


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """A regular file, open for reading. A pipe in its place is not waited for.

    Raises:
        OSError: it cannot be opened; IsADirectoryError, FileNotFoundError as of `open`.
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
    """Bytes of an open file, or of one in memory."""
    here, end = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(here)
    return end


def content(path: Path, most: int = MOST_TEXT) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it cannot be read, or has more than `most` bytes.
    """
    with opened(path) as file:
        expected = os.fstat(file.fileno()).st_size
        if expected > most:
            raise OSError(errno.EFBIG, f"it has {expected:,} bytes, more than the {most:,} that are read", str(path))
        pieces, left = [], most + 1
        while left and (piece := file.read(min(left, max(expected + 1, CHUNK)))):  # one that grows is read on
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise OSError(errno.EFBIG, f"it has more than the {most:,} bytes that are read", str(path))
    return b"".join(pieces)


def text(source: bytes) -> str:
    """What UTF-8 spells, without a byte order mark.

    Raises:
        Malformed: it is no UTF-8.
    """
    with parsing():
        return source.decode("utf-8-sig")


def whole_number(spelled: str) -> int:
    """An integer in decimal digits.

    Raises:
        Malformed: it is none, or has more digits than any number that is meant.
    """
    if WHOLE.fullmatch(spelled) is None:
        raise Malformed(f"'{clipped(spelled)}' is no whole number")
    digits = len(spelled.lstrip("+-"))
    if digits > MOST_DIGITS:
        raise OutOfBounds(f"a number has {digits:,} digits, more than {MOST_DIGITS}")
    return int(spelled)


def json_value(source: str | bytes) -> Any:
    """What a JSON text holds: numbers that floats can hold, and texts that UTF-8 can.

    Raises:
        Malformed: it is no JSON. OutOfBounds: nested too deeply, or with a number of too many digits.
    """
    with parsing():
        spelled = text(source) if isinstance(source, bytes) else source
        value = json.loads(spelled, parse_int=whole_number, parse_constant=_no_json)
        check_bounds(value)
        return value


def _no_json(constant: str) -> None:
    raise Malformed(f"{constant} is no JSON")


def toml_table(source: bytes) -> dict[str, Any]:
    """What a TOML text holds.

    Raises:
        Malformed: it is no TOML. OutOfBounds: nested too deeply, or with a number of too many digits.
    """
    import tomllib

    with parsing():
        table = tomllib.loads(text(source))
        check_bounds(table)
        return table


def csv_rows(source: str) -> list[list[str]]:
    """The rows of a CSV text, the header among them: at least one, all of one length.

    Raises:
        Malformed: it is no table.
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
    """Refuses what parsers take and those who read on stumble over.

    Raises:
        OutOfBounds: what is nested too deeply, numbers that no float holds. UnicodeEncodeError: half a character.
    """
    level = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                inner += each
                inner += each.values()
            elif kind is list:
                inner += each
            elif kind is str:
                each.isascii() or each.encode()
            elif kind is int and each.bit_length() > MOST_BITS:
                raise OutOfBounds(f"a number has more than {MOST_DIGITS} digits")
        if not inner:
            return
        level = inner
    raise OutOfBounds(f"it is nested more than {DEEPEST} levels deep")
