"""Downloads by pooch: resumed after an interruption, and used only if their SHA-256 is the expected one."""

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

from gle_bench.errors import GleBenchError
from gle_bench.files.disk import append
from gle_bench.files.foreign import opened, sentence_if_unreadable
from gle_bench.files.tree import stamp

CHUNK: Final = 1 << 20  # bytes
TIMEOUT: Final = 60.0  # seconds without a byte after which a connection counts as cut
LENGTH: Final = re.compile("[0-9]{1,18}")  # a Content-Length, in bytes
GONE: Final = 416  # HTTP status for a range that begins at or after the end of the file


class Remote(NamedTuple):
    """A file on the network, its SHA-256, and the free disk space that it needs, `size`, in bytes."""

    url: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def by_hand(self, folder: Path, task: str) -> str:
        """How to put the file into `folder` by hand, as the end of a sentence."""
        return f"put {self.url} into {folder}, where 'glebench prepare {task}' will find it"


def fetch(remote: Remote, path: Path, report: Callable[[str], None], *, attempts: int = 5, pause: float = 1.0) -> None:
    """Downloads the file to `path`, unless it is already there. A partial download is kept in `path`.part and resumed.

    Args:
        attempts: number of consecutive attempts without a new byte after which the download fails.
        pause: seconds before the next attempt; doubled after each.

    Raises:
        GleBenchError: the file cannot be downloaded, has another SHA-256 (it is then kept under another name), or does
            not fit on the disk.
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

    pooch.get_logger().setLevel(logging.ERROR)  # `report` says what is downloaded
    with _disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(remote.url, f"sha256:{remote.sha256}", path.name, path.parent, downloader=download)


def check(path: Path, remote: Remote) -> None:
    """Compares a file's SHA-256 with the expected one; if they differ, the file is renamed, so that it is not used.

    Raises:
        GleBenchError: the SHA-256 differs (the message says where the file is kept), or the file cannot be read.
    """
    with sentence_if_unreadable(path, "move it away"), opened(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != remote.sha256:
        aside = path.with_name(f"{remote.name}.wrong-{digest[:8]}")
        path.replace(aside)
        raise GleBenchError(
            f"{remote.name} has the SHA-256 {digest}, not {remote.sha256}: it is kept as {aside}. "
            f"Try again, or get the file from {remote.url} by another way and put it into {path.parent}."
        )


def _resume(remote: Remote, part: Path, report: Callable[[str], None], attempts: int, pause: float) -> None:
    """Downloads the bytes that are missing in `part`, in several attempts if need be."""
    if shutil.disk_usage(part.parent).free < remote.size - _size(part):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    report(f"Downloading {remote.url} to {part.parent}")
    attempts_left = attempts
    while True:
        before, reason = _size(part), ""
        try:
            if _stream(remote.url, part, report):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server says {error.code} {error.reason}"
            attempts_left = attempts_left if error.code >= 500 else 0  # below 500, trying again does not help
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        attempts_left = attempts if _size(part) > before else attempts_left - 1
        if attempts_left <= 0:
            raise GleBenchError(
                f"Cannot download {remote.url}: {reason}. {_size(part):,} bytes are kept in {part}: run the same "
                f"command again to go on from there, or put the file into {part.parent} by hand."
            )
        report(f"  {reason} at {_size(part):,} bytes: trying again")
        time.sleep(pause * 2 ** (attempts - attempts_left))


def _stream(url: str, part: Path, report: Callable[[str], None]) -> bool:
    """Appends the missing bytes from the server to `part`; returns whether the file is now complete."""
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
            part.unlink()  # longer than the server's file, so it belongs to another one
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
    """Writes the response to the file; yields the file's size in bytes after each chunk, which is flushed by then."""
    while chunk := response.read1(CHUNK):
        file.write(chunk)
        file.flush()
        done += len(chunk)
        yield done


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turns an OSError of the disk into a GleBenchError that names the folder and the cure."""
    try:
        yield
    except OSError as error:
        if isinstance(error, urllib.error.URLError) or error.errno is None:
            raise
        raise GleBenchError(
            f"Cannot write to {folder}: {error.strerror}. Free some space or choose another folder with --data; "
            "the part that was downloaded is kept, and the next attempt goes on from it."
        ) from error
