"""Who runs what: an exclusive lock of run folders that tells a live run from a killed one.

The kernel's lock on `.lock` ends with its process, however that ends. Beside it `heartbeat.json` says who holds the
lock, and its age (modification time) speaks for the holder where the kernel's lock does not reach: on another host, or
on a file system without locks.
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

from gle_bench.data.files import write_text
from gle_bench.data.foreign import content, reason
from gle_bench.data.together import finish_renames
from gle_bench.errors import GleBenchError
from gle_bench.tracking.entry import Entry
from gle_bench.tracking.record import Count, Moment

BEAT_S = 10.0
STALE_S = 60.0  # several beats: a busy disk may delay one
RETRY_S = 1.0  # for a disk, or a process without free file descriptors
PATIENCE_S = 0.5  # longer than `is_live` holds a lock that it tries
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


class RunLocked(GleBenchError):
    """Another process, or another thread of this one, is at work on the run."""


class RunLost(GleBenchError):
    """A run's folder was deleted, or taken over by another process, while this one was at work on it."""


class Heartbeat(Entry):
    """Who holds a run, since when; `token` is the holder's own, whatever host and pid say."""

    host: str
    pid: Count
    since: Moment
    token: str


class Hold:
    """Run folders that this process has locked. Made by `hold`, and handed to whoever writes into them."""

    def __init__(self, own: Heartbeat) -> None:
        self._own = own
        self._locks: dict[Path, ExitStack] = {}

    def take(self, folder: Path) -> None:
        """Locks one more folder, which is made if need be.

        Raises:
            RunLocked: it is held. GleBenchError: it cannot be written to.
        """
        with ExitStack() as locked:
            locked.enter_context(_hold_one(folder, self._own))
            self._locks[folder] = locked.pop_all()

    def release(self, folder: Path) -> None:
        """Unlocks a folder whose run has ended, while others go on."""
        self._locks.pop(folder).close()

    def release_all(self) -> None:
        """Unlocks what is left."""
        for folder in list(self._locks):
            self.release(folder)

    def check(self, folder: Path) -> None:
        """Makes sure that a folder is still ours; called before anything is written there.

        Raises:
            RunLost: its heartbeat is gone, or another's.
        """
        if not self.is_ours(folder):
            now = heartbeat(folder)
            what = "was deleted" if now is None else f"was taken over by process {now.pid} on {now.host}"
            raise RunLost(f"The run folder {folder} {what} while its run went on; start the run again.")

    def is_ours(self, folder: Path) -> bool:
        """Whether the folder still has our heartbeat. A disk that fails for a moment has not lost it.

        Raises:
            GleBenchError: the heartbeat is there, and cannot be read.
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

    def beat(self) -> None:
        """Touches the heartbeats. A full or absent disk must not end a run: the next beat may succeed."""
        for folder in list(self._locks):
            with suppress(OSError):
                os.utime(_beat_file(folder))


@contextmanager
def hold(folders: Iterable[Path]) -> Iterator[Hold]:
    """Locks all the run folders, which are made if need be, or none of them.

    Raises:
        RunLocked: if one of them is held.
        GleBenchError: if one of them cannot be written to.
    """
    own = Heartbeat(host=socket.gethostname(), pid=os.getpid(), since=datetime.now(UTC), token=uuid.uuid4().hex)
    held = Hold(own)
    with ExitStack() as ending:
        ending.callback(held.release_all)
        ordered = sorted(set(folders))  # so that of two ensembles that overlap one gets all of its seeds
        for folder in ordered:
            held.take(folder)
        for folder in ordered:  # before any of them is swept: seeds that were saved as one go on as one
            finish_renames(folder)
        for folder in ordered:
            _sweep(folder)
        stop = threading.Event()
        thread = threading.Thread(target=_beat, args=(held, stop), name="glebench-heartbeat", daemon=True)
        thread.start()
        try:
            yield held
        finally:
            stop.set()
            thread.join()


def clear_remains(folder: Path) -> None:
    """Removes what a killed process left beside a record that was finished: its heartbeat and half-written files."""
    with ExitStack() as tried:
        try:
            free = _try_lock(folder, tried, patience=0.0)
        except OSError:  # no locks here: a heartbeat that is young may be somebody's
            free = not _is_young(folder)
        if free and not _is_elsewhere(folder, heartbeat(folder)):
            with suppress(OSError):
                _beat_file(folder).unlink(missing_ok=True)
            _sweep(folder)


def is_live(folder: Path) -> bool:
    """Whether a process is at work on the run. If its record says 'running' and this False, the run was killed."""
    if not (folder / ".lock").exists():
        return False
    with ExitStack() as tried:
        try:
            free = _try_lock(folder, tried, patience=0.0)
        except OSError:  # no locks here, or not ours to try: only the heartbeat can tell
            return _is_young(folder)
        return not free or _is_elsewhere(folder, heartbeat(folder))


def heartbeat(folder: Path) -> Heartbeat | None:
    """Who holds the run, or held it when it was killed; None if nobody did."""
    try:
        return Heartbeat.model_validate_json(content(_beat_file(folder)))
    except (OSError, ValueError):
        return None


@contextmanager
def _hold_one(folder: Path, own: Heartbeat) -> Iterator[None]:
    """Locks one folder, whose heartbeat the caller must keep young."""
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kernel = _try_lock(folder, held, PATIENCE_S)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise GleBenchError(f"Cannot lock {folder}: {error.strerror}. Choose another --runs folder.") from error
            kernel = None
        before = heartbeat(folder)
        if kernel is False:
            raise _refusal(folder, before, certain=True)
        if _is_young(folder) if kernel is None else _is_elsewhere(folder, before):
            raise _refusal(folder, before, certain=False)
        write_text(_beat_file(folder), own.model_dump_json() + "\n")
        held.callback(_forget, folder, own)
        if kernel is None:
            _confirm(folder, own)
        yield


def _try_lock(folder: Path, held: ExitStack, patience: float) -> bool:
    """Tries the kernel's lock for `patience` seconds; `held` releases it.

    Raises:
        OSError: if the file system has none (`NO_LOCKS`), or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    # Not thread-local, so that any thread may release it; no soft lock, which outlives its process.
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
    """Without the kernel's help: of two that wrote at once the later one wins, which both see after a moment."""
    time.sleep(PATIENCE_S)
    now = heartbeat(folder)
    if now is None or now.token != own.token:
        raise _refusal(folder, now, certain=True)


def _refusal(folder: Path, holder: Heartbeat | None, certain: bool) -> RunLocked:
    who = "another process"
    if holder is not None:
        who = f"process {holder.pid} on {holder.host}, since {holder.since.astimezone():%Y-%m-%d %H:%M:%S}"
    cure = "wait for it or stop it" if certain else f"wait for it, or {STALE_S:.0f} s if it was killed"
    return RunLocked(f"Run {folder} is in use by {who}; {cure}.")


def _beat(held: Hold, stop: threading.Event) -> None:
    """Keeps the heartbeats young until told to stop."""
    while not stop.wait(BEAT_S):
        held.beat()


def _is_young(folder: Path) -> bool:
    """Whether the heartbeat was touched lately, by clocks that differ less than that."""
    try:
        return abs(time.time() - _beat_file(folder).stat().st_mtime) < STALE_S
    except OSError:
        return False


def _is_elsewhere(folder: Path, beat: Heartbeat | None) -> bool:
    """Whether another host keeps the heartbeat young: some network disks lock for one host alone."""
    return beat is not None and beat.host != socket.gethostname() and _is_young(folder)


def _forget(folder: Path, own: Heartbeat) -> None:
    """Removes our heartbeat, and no one else's."""
    now = heartbeat(folder)
    if now is not None and now.token == own.token:
        with suppress(OSError):
            _beat_file(folder).unlink()


def _sweep(folder: Path) -> None:
    """Removes what a killed holder was in the middle of writing."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):
            part.unlink()


def _beat_file(folder: Path) -> Path:
    return folder / "heartbeat.json"
