"""A data set from its archive: downloaded or found, checked, unpacked beside its note, by one process at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from gle_bench.data.content import identify
from gle_bench.data.download import Remote, fetch
from gle_bench.data.tree import Stamp
from gle_bench.data.unpack import unpack
from gle_bench.errors import GleBenchError


def note_of(target: Path) -> Path:
    """Where it is noted what the folder `target` holds, and which archive it came from."""
    return target.with_name(f"{target.name}.json")


def install(
    remote: Remote,
    target: Path,
    there: Callable[[], bool],
    complaint: Callable[[Path], str | None],
    files: Callable[[Path], Mapping[str, Stamp]],
    report: Callable[[str], None],
    top: str = "",
) -> None:
    """Makes the folder `target` of an archive, which is downloaded unless it lies beside, and notes where it came from.

    Args:
        there: whether nothing is left to do; asked once no other process is at it.
        complaint: looks at the unpacked folder, and says what is wrong with it, or None.
        files: those of the unpacked folder that are read, by their paths from there.
        top: the folder inside the archive that is to become `target`; empty: all of the archive.

    Raises:
        GleBenchError: it cannot be had, is not what it should be, or does not fit on the disk.
    """
    folder = target.parent
    with _alone(folder, target.name):
        if there():
            return  # another process was faster
        archive = folder / remote.name
        given = archive.exists()
        if given:
            report(f"Checking {archive}")
        fetch(remote, archive, report)
        unpack(archive, target, complaint, report, top)
        identify(target, files(target), note_of(target), remote.sha256)
        if not given:
            archive.unlink()


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Makes the folder, and keeps other processes from making `name` in it."""
    lock = FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise GleBenchError(f"Cannot make {folder / name}: {error.strerror}. Choose another --data.") from error
    try:
        yield
    finally:
        lock.release()
