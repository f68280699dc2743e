"""The exclusive lock of run folders, which also tells whether a run is alive or was killed.

The kernel releases its lock on `.lock` when the process ends, however that happens. `heartbeat.json` beside it names
the holder. Its age (modification time) shows whether the holder is alive where the kernel's lock does not: on another
host, or on a file system without locks.
"""

import errno
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gle_bench.errors import GleBenchError
from gle_bench.files.disk import write_text
from gle_bench.files.foreign import content, reason
from gle_bench.files.together import finish_renames
from gle_bench.tracking.entry import Entry
from gle_bench.tracking.record import Count, Moment

BEAT_S = 10.0  # seconds between two heartbeats
STALE_S = 60.0  # age in seconds of a heartbeat whose holder counts as dead: several beats, as a busy disk may delay one
RETRY_S = 1.0  # seconds for which a failing disk, or a lack of free file descriptors, is tried again
PATIENCE_S = 0.5  # seconds to wait for a lock: longer than `is_live` holds the one that it tries
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # errors of a file system without locks


class RunLocked(GleBenchError):
    """The error that a run folder is locked by another process, or by another thread of this one."""


class RunLost(GleBenchError):
    """The error that a run folder was deleted, or taken over by another process, while this process held it."""


class Heartbeat(Entry):
    """The holder of a run folder, and since when. `token` identifies it, even if host and pid are the same."""

    host: str
    pid: Count
    since: Moment
    token: str


class Hold:
    """The run folders that this process has locked. `hold` makes it; all code that writes into the folders gets it."""

    def __init__(self, own: Heartbeat) -> None:
        self._own = own
        self._locks: dict[Path, ExitStack] = {}

    def take(self, folder: Path) -> None:
        """Locks one more folder, which is created if need be.

        Raises:
            RunLocked: another holds it. GleBenchError: it cannot be written to.
        """
        with ExitStack() as held:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                kernel = _try_lock(folder, held, PATIENCE_S)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    text = f"Cannot lock {folder}: {error.strerror}. Choose another --runs folder."
                    raise GleBenchError(text) from error
                kernel = None
            before = heartbeat(folder)
            if kernel is False:
                raise _refusal(folder, before, certain=True)
            if _is_young(folder) if kernel is None else _is_elsewhere(folder, before):
                raise _refusal(folder, before, certain=False)
            write_text(_beat_file(folder), self._own.model_dump_json() + "\n")
            held.callback(_forget, folder, self._own)
            if kernel is None:
                _confirm(folder, self._own)
            self._locks[folder] = held.pop_all()

    def release(self, folder: Path) -> None:
        """Unlocks a folder whose run has ended, while others go on."""
        self._locks.pop(folder).close()

    def release_all(self) -> None:
        """Unlocks all folders that are still locked."""
        for folder in list(self._locks):
            self.release(folder)

    def check(self, folder: Path) -> None:
        """Checks that this process still holds a folder. Called before anything is written there.

        Raises:
            RunLost: the folder's heartbeat is gone, or that of another holder.
        """
        if not self.is_ours(folder):
            holder = heartbeat(folder)
            event = "was deleted" if holder is None else f"was taken over by process {holder.pid} on {holder.host}"
            raise RunLost(f"The run folder {folder} {event} while its run went on; start the run again.")

    def is_ours(self, folder: Path) -> bool:
        """Whether the folder's heartbeat is that of this process. A failing disk is tried again for `RETRY_S`.

        Raises:
            GleBenchError: the heartbeat exists, but cannot be read.
        """
        deadline = time.monotonic() + RETRY_S
        while True:
            try:
                return Heartbeat.model_validate_json(content(_beat_file(folder))).token == self._own.token
            except (FileNotFoundError, NotADirectoryError, ValueError):
                return False
            except OSError as error:
                if time.monotonic() > deadline:
                    raise GleBenchError(f"Cannot read {_beat_file(folder)}: {reason(error)}.") from error
                time.sleep(RETRY_S / 10)

    def beat(self, stop: threading.Event) -> None:
        """Renews the heartbeats until `stop` is set. Errors of the disk are ignored: the next beat may succeed."""
        while not stop.wait(BEAT_S):
            for folder in list(self._locks):
                with suppress(OSError):
                    os.utime(_beat_file(folder))


@contextmanager
def hold(folders: Iterable[Path]) -> Iterator[Hold]:
    """Locks all the run folders, or none of them. Folders are created if need be.

    Raises:
        RunLocked: another holds one of them.
        GleBenchError: one of them cannot be written to.
    """
    own = Heartbeat(host=socket.gethostname(), pid=os.getpid(), since=datetime.now(UTC), token=uuid.uuid4().hex)
    held = Hold(own)
    with ExitStack() as ending:
        ending.callback(held.release_all)
        ordered = sorted(set(folders))  # in one order, so that of two overlapping ensembles one gets all of its seeds
        for folder in ordered:
            held.take(folder)
        for folder in ordered:  # before any is swept, so that seeds saved together are resumed together
            finish_renames(folder)
        for folder in ordered:
            _sweep(folder)
        stop = threading.Event()
        thread = threading.Thread(target=held.beat, args=(stop,), name="glebench-heartbeat", daemon=True)
        thread.start()
        try:
            yield held
        finally:
            stop.set()
            thread.join()


def clear_remains(folder: Path) -> None:
    """Removes the heartbeat and half-written files that a killed process left beside a finished record."""
    with ExitStack() as tried:
        try:
            free = _try_lock(folder, tried, patience=0.0)
        except OSError:  # no locks here: a young heartbeat may belong to a live process
            free = not _is_young(folder)
        if free and not _is_elsewhere(folder, heartbeat(folder)):
            with suppress(OSError):
                _beat_file(folder).unlink(missing_ok=True)
            _sweep(folder)


def is_live(folder: Path) -> bool:
    """Whether a process holds the run. If not, and its record says 'running', the run was killed."""
    if not (folder / ".lock").exists():
        return False
    with ExitStack() as tried:
        try:
            free = _try_lock(folder, tried, patience=0.0)
        except OSError:  # no locks here, or no permission: only the heartbeat can tell
            return _is_young(folder)
        return not free or _is_elsewhere(folder, heartbeat(folder))


def heartbeat(folder: Path) -> Heartbeat | None:
    """The heartbeat of the run's holder, or of one that was killed; None if there is none that can be read."""
    try:
        return Heartbeat.model_validate_json(content(_beat_file(folder)))
    except (OSError, ValueError):
        return None


def _try_lock(folder: Path, held: ExitStack, patience: float) -> bool:
    """Tries to acquire the kernel's lock for `patience` seconds; returns whether it did. `held` releases the lock.

    Raises:
        OSError: the file system has no locks (`NO_LOCKS`), or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    # Not thread-local, so that any thread may release it; not soft, because a soft lock outlives its process.
    lock = FileLock(folder / ".lock", thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return False
    except NotImplementedError as error:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    held.callback(lock.release)
    return True


def _confirm(folder: Path, own: Heartbeat) -> None:
    """Confirms a lock on disks without kernel locks: of two processes, the one whose heartbeat stays has the lock."""
    time.sleep(PATIENCE_S)
    current = heartbeat(folder)
    if current is None or current.token != own.token:
        raise _refusal(folder, current, certain=True)


def _refusal(folder: Path, holder: Heartbeat | None, certain: bool) -> RunLocked:
    who = "another process"
    if holder is not None:
        who = f"process {holder.pid} on {holder.host}, since {holder.since.astimezone():%Y-%m-%d %H:%M:%S}"
    cure = "wait for it or stop it" if certain else f"wait for it, or {STALE_S:.0f} s if it was killed"
    return RunLocked(f"Run {folder} is in use by {who}; {cure}.")


def _is_young(folder: Path) -> bool:
    """Whether the heartbeat was renewed within `STALE_S`; clocks of different hosts must agree to that."""
    try:
        return abs(time.time() - _beat_file(folder).stat().st_mtime) < STALE_S
    except OSError:
        return False


def _is_elsewhere(folder: Path, beat: Heartbeat | None) -> bool:
    """Whether another host renews the heartbeat: on some network disks locks hold for one host alone."""
    return beat is not None and beat.host != socket.gethostname() and _is_young(folder)


def _forget(folder: Path, own: Heartbeat) -> None:
    """Removes this process's heartbeat; leaves that of another holder."""
    current = heartbeat(folder)
    if current is not None and current.token == own.token:
        with suppress(OSError):
            _beat_file(folder).unlink()


def _sweep(folder: Path) -> None:
    """Removes half-written files that a process left when it was killed while it held the lock."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):
            part.unlink()


def _beat_file(folder: Path) -> Path:
    return folder / "heartbeat.json"
