"""The installation of a data set from its archive: download, check, unpack and note, by one process at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from gle_bench.errors import GleBenchError
from gle_bench.files.content import identify
from gle_bench.files.download import Remote, fetch
from gle_bench.files.tree import Stamp
from gle_bench.files.unpack import unpack


def note_of(target: Path) -> Path:
    """The path of the file that records the content of the folder `target` and the archive it was unpacked from."""
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
    """Unpacks an archive to the folder `target`, and writes a note on its content.

    The archive is downloaded, unless it lies beside `target` already.

    Args:
        there: returns whether the data are already installed; called when no other process installs them.
        complaint: returns what is wrong with the unpacked folder, or None.
        files: returns the stamps of those files in the unpacked folder that are read, by relative path.
        top: the folder inside the archive that is to become `target`; empty: the whole archive.

    Raises:
        GleBenchError: the archive cannot be downloaded, is not the expected one, or does not fit on the disk.
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
    """Makes the folder, and locks out other processes that would install `name` in it."""
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
