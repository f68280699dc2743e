"""The official python archive of CIFAR-10, or a folder with the same files: its place, download and content."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gle_bench.errors import GleBenchError
from gle_bench.files.content import identify
from gle_bench.files.download import Remote
from gle_bench.files.install import install, note_of
from gle_bench.files.tree import Stamp, find_folder, stamp

from .batches import META, TEST, TRAIN, Collection, read_images

TREE = "cifar-10-batches-py"
ARCHIVE = Remote(  # of MD5 c58f30108f718f92721af3b95e74349a
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    400_000_000,  # the archive has 170 MB, its unpacked files 180 MB
)
SIZES = (50_000, 10_000)  # number of images to learn from and to test with


class Archive(NamedTuple):
    """The images of an unpacked archive, and whether it is the official one."""

    images: Collection
    official: bool


def place(folder: Path) -> Path | None:
    """The folder of the batches, in the task's folder or in the folder of all data; None if there is none.

    Raises:
        GleBenchError: something with that name is no folder.
    """
    return find_folder(layout / TREE for layout in (folder, folder.parent))


def files(root: Path) -> Mapping[str, Stamp]:
    """The sizes and times of the task's data files, {name: stamp}, without other files in the folder.

    Raises:
        GleBenchError: a file is missing, or is no regular file.
    """
    return {name: stamp(root / name) for name in (META, *TRAIN, TEST)}


def get(folder: Path, report: Callable[[str], None], remote: Remote = ARCHIVE, sizes: tuple[int, int] = SIZES) -> None:
    """Downloads the archive, unless it lies in `folder`, checks and unpacks it.

    Raises:
        GleBenchError: it cannot be downloaded, is not the expected one, or does not fit on the disk.
    """

    def complaint(root: Path) -> str | None:
        try:
            files(root)
            actual = read_images(root).sizes
        except GleBenchError as error:
            return str(error).partition(". ")[0]
        return None if actual == sizes else f"it holds {counted(actual)}, not {counted(sizes)}"

    install(remote, folder / TREE, lambda: place(folder) is not None, complaint, files, report, TREE)


def read(folder: Path) -> Archive:
    """The unpacked archive in the task's folder or in the folder of all data.

    Raises:
        GleBenchError: there is none, or a file in it is damaged.
    """
    root = place(folder)
    if root is None:
        by_hand = ARCHIVE.by_hand(folder, "cifar10")
        raise GleBenchError(f"No CIFAR-10 in {folder}; get it with 'glebench prepare cifar10', or {by_hand}.")
    stamps = files(root)
    images = read_images(root)
    return Archive(images, identify(root, stamps, note_of(folder / TREE)).source == ARCHIVE.sha256)


def counted(sizes: tuple[int, int]) -> str:
    """The numbers of training and test images, as words for a message."""
    return f"{sizes[0]:,} images to learn from and {sizes[1]:,} to test with"
