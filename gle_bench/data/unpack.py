"""Archives, unpacked whole or not at all: beside, checked, then renamed."""

import gzip
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gle_bench.errors import GleBenchError


def unpack(
    archive: Path, target: Path, check: Callable[[Path], str | None], report: Callable[[str], None], top: str = ""
) -> None:
    """Makes the folder `target` of an archive; it is never there in part. One process at a time: take a lock.

    Args:
        check: looks at the unpacked folder, and says what is wrong with it, or None.
        top: the folder inside the archive that is to become `target`; empty: all of the archive.

    Raises:
        GleBenchError: the archive is damaged, reaches outside the folder, or does not fit on the disk; or `check`
            complains. `target` is then not there.
    """
    partial = target.with_name(f".{target.name}.unpacking")
    report(f"Unpacking {archive} to {target}")
    with _sentences(archive, target):
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        try:
            partial.mkdir(parents=True)
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter=_without_mode)
            unpacked = partial / top
            complaint = check(unpacked) if unpacked.is_dir() else f"there is no {top} in it"
            if complaint is not None:
                raise GleBenchError(f"{archive} is not what it should be: {complaint}. Delete it, and get it anew.")
            if hasattr(os, "sync"):
                os.sync()  # a name must not outlive a power cut that its files do not
            unpacked.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _without_mode(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """What is unpacked of a member: nothing that leads outside, and readable for whom the umask lets."""
    return tarfile.data_filter(member, folder).replace(mode=None, deep=False)  # type: ignore[arg-type]  # as documented


@contextmanager
def _sentences(archive: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.FilterError as error:
        raise GleBenchError(f"{archive} is refused: {error}. Delete it, and get it from its publisher.") from error
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise GleBenchError(f"{archive} is damaged ({reason}). Delete it, and get it anew.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise GleBenchError(
            f"Cannot unpack {archive} to {target}: {reason}. Free some space, or choose another --data."
        ) from error
