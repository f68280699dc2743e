"""Obstacles in the place of a file or a folder of data, for the tests of tasks that read downloaded data."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _circle(path: Path) -> None:
    """Makes two links that point to each other."""
    path.symlink_to(f"{path.name}.other")
    path.with_name(f"{path.name}.other").symlink_to(path.name)


# For each kind: how to make it, and the words of the error in the place of a file and of a folder; "": no error.
TROUBLE: Final[dict[str, tuple[Callable[[Path], object], str, str]]] = {
    "a link to nowhere": (_link("nowhere"), "No such file", "No such file"),
    "a link to itself": (_circle, "symbolic links", "symbolic links"),
    "a pipe": (os.mkfifo, "is a pipe", "folder"),
    "a folder": (Path.mkdir, "is a folder", ""),
    "a file": (Path.touch, "", "folder"),
    "a link to a device": (_link("/dev/zero"), "is a pipe or a device", "folder"),
}
IN_PLACE_OF_FILES: Final = [kind for kind, (_, words, _) in TROUBLE.items() if words]
IN_PLACE_OF_FOLDERS: Final = [kind for kind, (_, _, words) in TROUBLE.items() if words]


def put(kind: str, path: Path) -> None:
    """Replaces a file or folder by an obstacle of that kind."""
    _gone(path)
    TROUBLE[kind][0](path)


def clutter(root: Path) -> None:
    """Adds the files that desktops, editors and archivers leave to every folder; tasks must not read them."""
    for folder in (root, *filter(Path.is_dir, list(root.iterdir()))):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "README.md", "x.wav~", "#x.wav#", ".x.wav.swp", "x.bak"):
            (folder / name).write_bytes(b"clutter")
        (folder / "._x.wav").write_bytes(b"\0\5\x16\7")
        (folder / ".#x.wav").symlink_to("somebody@somewhere.1234")
        (folder / "@eaDir").mkdir()
        (folder / "@eaDir" / "x.wav").write_bytes(b"clutter")
    (root / "__MACOSX" / "yes").mkdir(parents=True)
    (root / "__MACOSX" / "yes" / "x.wav").write_bytes(b"clutter")
    (root / ".ipynb_checkpoints").mkdir()


@contextmanager
def deadline(seconds: float = 20.0) -> Iterator[None]:
    """Raises an AssertionError if the block takes longer than `seconds`."""

    def late(*_: object) -> None:
        raise AssertionError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
