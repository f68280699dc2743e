"""Files from the network by pooch: gone on with after a cut, checked, and never taken for what they are not."""

import errno
import hashlib
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from gle_bench.data.files import append
from gle_bench.data.foreign import opened, sentence_if_unreadable
from gle_bench.data.tree import stamp
from gle_bench.errors import GleBenchError

CHUNK: Final = 1 << 20  # bytes
TIMEOUT: Final = 60.0  # seconds without a byte
LENGTH: Final = re.compile("[0-9]{1,18}")  # of a file, in bytes
GONE: Final = 416  # what the server calls a range that begins where its file ends


class Remote(NamedTuple):
    """A file on the network, by its checksum; `size` in bytes is what it is expected to take."""

    url: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


def fetch(remote: Remote, path: Path, report: Callable[[str], None], *, attempts: int = 5, pause: float = 1.0) -> None:
    """Brings the file to `path`, unless it is there: what has arrived is kept in `path`.part, and gone on with.

    Args:
        attempts: so many in a row may bring nothing; the pause between them, in seconds, doubles.

    Raises:
        GleBenchError: it cannot be had, has another checksum (it is then kept aside), or does not fit on the disk.
    """
    import logging

    import pooch

    if os.path.lexists(path):
        check(path, remote)
        return

    def download(url: str, output: str, _: Any) -> None:
        part = path.with_name(f"{path.name}.part")
        if os.path.lexists(part):
            stamp(part)
        with _disk(part.parent):
            _resume(remote, part, report, attempts, pause)
        check(part, remote)
        part.replace(output)

    pooch.get_logger().setLevel(logging.ERROR)  # it has our own news to tell
    with _disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(remote.url, f"sha256:{remote.sha256}", path.name, path.parent, downloader=download)


def check(path: Path, remote: Remote) -> None:
    """Refuses a file of another checksum, and moves it out of the way.

    Raises:
        GleBenchError: with the place where it is kept; or it is no file that could be read.
    """
    with sentence_if_unreadable(path, "move it away"), opened(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != remote.sha256:
        aside = path.with_name(f"{remote.name}.wrong-{found[:8]}")
        path.replace(aside)
        raise GleBenchError(
            f"{remote.name} has the SHA-256 {found}, not {remote.sha256}: it is kept as {aside}. "
            f"Try again, or get the file from {remote.url} by another way and put it into {path.parent}."
        )


def _resume(remote: Remote, part: Path, report: Callable[[str], None], attempts: int, pause: float) -> None:
    """Fills `part` up to its end, attempt by attempt."""
    _room(part.parent, remote.size - _size(part))
    report(f"Downloading {remote.url} to {part.parent}")
    left = attempts
    while True:
        before, reason = _size(part), ""
        try:
            if _stream(remote.url, part, report):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server says {error.code} {error.reason}"
            left = left if error.code >= 500 else 0  # what is not there will not come
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        left = attempts if _size(part) > before else left - 1
        if left <= 0:
            raise GleBenchError(
                f"Cannot download {remote.url}: {reason}. {_size(part):,} bytes are kept in {part}, and the same "
                f"command goes on from there; or put the file into {part.parent} by hand."
            )
        report(f"  {reason} at {_size(part):,} bytes: once more")
        time.sleep(pause * 2 ** (attempts - left))


def _stream(url: str, part: Path, report: Callable[[str], None]) -> bool:
    """Appends what the server has beyond `part`; says whether that was all."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != GONE:
            raise
        with error:
            whole = error.headers.get("Content-Range", "").rpartition("/")[2]
        if whole != str(have):
            part.unlink()  # more than there is: of another file
        return whole == str(have)
    with response, append(part) as file:
        if response.status != 206:
            file.truncate(0)
        have = file.seek(0, os.SEEK_END)
        length = response.headers.get("Content-Length")
        whole_size = have + int(length) if length is not None and LENGTH.fullmatch(length) else None
        for done in _copy(response, file, have):
            if whole_size is not None and 10 * done // whole_size > 10 * have // whole_size:
                report(f"  {done / 1e6:,.0f} of {whole_size / 1e6:,.0f} MB")
            have = done
        return whole_size is None or have >= whole_size


def _copy(response: Any, file: BinaryIO, done: int) -> Iterator[int]:
    """Yields how much is there after each chunk. What has arrived is on the disk before a cut is noticed."""
    while chunk := response.read1(CHUNK):
        file.write(chunk)
        file.flush()
        done += len(chunk)
        yield done


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _room(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, urllib.error.URLError) or error.errno is None:
            raise
        raise GleBenchError(
            f"Cannot write to {folder}: {error.strerror}. Free some space or choose another folder with --data; "
            "what has arrived is kept, and gone on with."
        ) from error
