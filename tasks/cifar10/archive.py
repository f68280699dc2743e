"""The official python archive of CIFAR-10, or a folder laid out like what is in it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gle_bench.data.content import identify
from gle_bench.data.download import Remote
from gle_bench.data.install import install, note_of
from gle_bench.data.tree import Stamp, find_folder, stamp
from gle_bench.errors import GleBenchError

from .batches import META, TEST, TRAIN, Collection, read_images

TREE = "cifar-10-batches-py"
ARCHIVE = Remote(  # of MD5 c58f30108f718f92721af3b95e74349a
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    400_000_000,  # the archive has 170 MB, and what is unpacked 180
)
SIZES = (50_000, 10_000)  # images to learn from and to test with


class Archive(NamedTuple):
    """What an unpacked archive holds, and whether it is the official one."""

    images: Collection
    official: bool


def place(folder: Path) -> Path | None:
    """Where the batches lie: in the task's folder, or in the folder of all data.

    Raises:
        GleBenchError: something else lies there.
    """
    return find_folder(layout / TREE for layout in (folder, folder.parent))


def files(root: Path) -> Mapping[str, Stamp]:
    """The files that are read; no other counts.

    Raises:
        GleBenchError: one is missing, or no file.
    """
    return {name: stamp(root / name) for name in (META, *TRAIN, TEST)}


def by_hand(folder: Path) -> str:
    return f"put {ARCHIVE.url} into {folder}, where 'glebench prepare cifar10' will find it"


def get(folder: Path, report: Callable[[str], None], remote: Remote = ARCHIVE, sizes: tuple[int, int] = SIZES) -> None:
    """Downloads the archive, unless it lies in `folder`, checks and unpacks it.

    Raises:
        GleBenchError: it cannot be had, is not what it should be, or does not fit on the disk.
    """

    def complaint(root: Path) -> str | None:
        try:
            files(root)
            found = read_images(root).sizes
        except GleBenchError as error:
            return str(error).partition(". ")[0]
        return None if found == sizes else f"it holds {counted(found)}, not {counted(sizes)}"

    install(remote, folder / TREE, lambda: place(folder) is not None, complaint, files, report, TREE)


def read(folder: Path) -> Archive:
    """What lies there.

    Raises:
        GleBenchError: no batches, or one that is damaged.
    """
    root = place(folder)
    if root is None:
        raise GleBenchError(f"No CIFAR-10 in {folder}; get it with 'glebench prepare cifar10', or {by_hand(folder)}.")
    stamps = files(root)
    images = read_images(root)
    return Archive(images, identify(root, stamps, note_of(folder / TREE)).source == ARCHIVE.sha256)


def counted(sizes: tuple[int, int]) -> str:
    """Numbers of images in words."""
    return f"{sizes[0]:,} images to learn from and {sizes[1]:,} to test with"
