"""What can lie where a file or a folder of the data should: for the tests of every task that reads data of others."""

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
    """Two links that lead to each other."""
    path.symlink_to(f"{path.name}.other")
    path.with_name(f"{path.name}.other").symlink_to(path.name)


# Each kind with the words that name it: in the place of a file, and of a folder.
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
    """Puts trouble of that kind in the place of what lies there."""
    _gone(path)
    TROUBLE[kind][0](path)


def clutter(root: Path) -> None:
    """Leaves what desktops, editors and archivers leave, in every folder: none of it is ever read."""
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
    """Ends whatever hangs."""

    def late(*_: object) -> None:
        raise AssertionError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
