"""The unpacking of archives: into a temporary folder, which is checked and then renamed."""

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
    """Unpacks an archive to the folder `target`, completely or not at all.

    Two processes must not unpack to the same `target` at once: the caller holds a lock.

    Args:
        check: returns what is wrong with the unpacked folder, or None.
        top: the folder inside the archive that is to become `target`; empty: the whole archive.

    Raises:
        GleBenchError: the archive is damaged, has members outside the folder, or does not fit on the disk; or `check`
            finds something wrong. `target` then does not exist.
    """
    partial = target.with_name(f".{target.name}.unpacking")
    report(f"Unpacking {archive} to {target}")
    with _sentences(archive, target):
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        try:
            partial.mkdir(parents=True)
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter=_without_mode)
            unpacked = partial / top
            complaint = check(unpacked) if unpacked.is_dir() else f"there is no {top} in it"
            if complaint is not None:
                raise GleBenchError(
                    f"{archive} is not the expected one: {complaint}. Delete it, and download it again."
                )
            if hasattr(os, "sync"):
                os.sync()  # so that after a power cut the folder is not there without its files
            unpacked.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _without_mode(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """tarfile's filter: refuses members outside the folder, and leaves permissions to the umask."""
    return tarfile.data_filter(member, folder).replace(mode=None, deep=False)  # type: ignore[arg-type]  # as documented


@contextmanager
def _sentences(archive: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.FilterError as error:
        raise GleBenchError(f"{archive} is refused: {error}. Delete it, and download it from its publisher.") from error
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise GleBenchError(f"{archive} is damaged ({reason}). Delete it, and download it again.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise GleBenchError(
            f"Cannot unpack {archive} to {target}: {reason}. Free some space, or choose another --data."
        ) from error
