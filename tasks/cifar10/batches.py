"""The files of CIFAR-10's python archive: checked, and read by an unpickler that makes only lists, text and bytes."""

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gle_bench.errors import GleBenchError
from gle_bench.files import foreign
from gle_bench.files.disk import sha256

CLASSES: Final = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE: Final = (3, 32, 32)  # red, green and blue, each row by row
MOST: Final = 1 << 30  # largest size of a file in bytes; those of the archive have 31 MB
PIXELS: Final = 3 * 32 * 32
TRAIN: Final = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST: Final = "test_batch"
META: Final = "batches.meta"
# The titles that a batch may have: the name of its file, or the title in the official archive.
TITLES: Final[Mapping[str, tuple[bytes, bytes]]] = {
    **{name: (name.encode(), f"training batch {number} of 5".encode()) for number, name in enumerate(TRAIN, 1)},
    TEST: (TEST.encode(), b"testing batch 1 of 1"),
}


class Images(NamedTuple):
    """Images and their classes: pixels (M, 3072) as uint8, labels (M,) as int64."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def digest(self) -> str:
        return sha256(self.pixels.data, self.labels.astype("<i8").data)


class Collection(NamedTuple):
    """All images: those to learn from, batch by batch, those to test with, and a SHA-256 over pixels and labels."""

    train: Images
    test: Images
    digest: str

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.train.labels), len(self.test.labels)


def read_images(root: Path) -> Collection:
    """All images of the batch files, in whatever way they were pickled.

    Raises:
        GleBenchError: a file is missing, cannot be read, or is not the batch that its name says.
    """
    _check_meta(root / META)
    batches = {name: read_batch(root / name) for name in (*TRAIN, TEST)}
    names_by_digest: dict[str, str] = {}
    for name, batch in batches.items():
        first = names_by_digest.setdefault(batch.digest, name)
        if first != name:
            raise _refused(root / name, f"it holds the images of {first}")
    parts = [batches[name] for name in TRAIN]
    train = Images(np.concatenate([b.pixels for b in parts]), np.concatenate([b.labels for b in parts]))
    return Collection(train, batches[TEST], sha256(" ".join(names_by_digest).encode()))


def read_batch(path: Path) -> Images:
    """The images of one batch file.

    Raises:
        GleBenchError: it is missing, cannot be read, or is not the batch that its name says.
    """
    content = _unpickled(path)
    title, data, labels = (content.get(key) for key in (b"batch_label", b"data", b"labels"))
    for name, titles in TITLES.items():
        if title in titles and name != path.name:
            raise _refused(path, f"it calls itself '{title.decode()}', which is {name}")
    pixels = data.pixels() if isinstance(data, _Array) else None
    if pixels is None:
        raise _refused(path, f"it holds no images of {PIXELS:,} bytes")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise _refused(path, "it holds no list of labels")
    if len(labels) != len(pixels):
        raise _refused(path, f"it holds {len(pixels):,} images and {len(labels):,} labels")
    if not all(0 <= label < len(CLASSES) for label in labels):
        raise _refused(path, f"a label is not one of 0 to {len(CLASSES) - 1}")
    return Images(pixels, np.array(labels, np.int64))


def _check_meta(path: Path) -> None:
    """Refuses class names other than CIFAR-10's, or in another order."""
    names = _unpickled(path).get(b"label_names")
    if names != [name.encode() for name in CLASSES]:
        raise _refused(path, f"its classes are not {', '.join(CLASSES)}")


def _unpickled(path: Path) -> dict[Any, Any]:
    try:
        raw = foreign.content(path, MOST)
        with foreign.parsing():
            _check_lengths(raw)
            content = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except OSError as error:
        raise GleBenchError(f"Cannot read {path}: {foreign.reason(error)}. {_CURE}") from error
    except foreign.Malformed as error:
        raise _refused(path, str(error)) from error
    if not isinstance(content, dict):
        raise _refused(path, "it holds no table of images")
    return content


def _check_lengths(raw: bytes) -> None:
    """Refuses a pickle that claims longer texts or more memo entries than it has bytes; pickle would allocate them."""
    for operation, argument, _ in pickletools.genops(raw):
        if "PUT" in operation.name and argument is not None and int(argument) > len(raw):
            raise pickle.UnpicklingError(f"it claims {argument:,} memo entries")


_CURE: Final = "Delete its folder and run 'glebench prepare cifar10', or choose another --data."


def _refused(path: Path, why: str) -> GleBenchError:
    return GleBenchError(f"{path} is not a valid part of CIFAR-10: {why}. {_CURE}")


class _Kind:
    """A stand-in for numpy's dtype, which keeps the code that it was made from."""

    def __init__(self, *described: Any) -> None:
        self.code = described[0] if described else None

    def __setstate__(self, state: Any) -> None:
        """Ignores byte order and the like, which do not matter for single bytes."""


class _Array:
    """A stand-in for numpy's array, which keeps its pickled state."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def pixels(self) -> NDArray[np.uint8] | None:
        """The array as pixels (M, 3072) in uint8; None if it has another shape or type."""
        match self.state:
            case (_, (int(count), width), _Kind(code=b"u1" | "u1"), False | 0, bytes(raw)):
                if width == PIXELS and 0 < count * PIXELS == len(raw):
                    return np.frombuffer(raw, np.uint8).reshape(count, PIXELS)
        return None


def _array(*_: Any) -> _Array:
    return _Array()


def _latin(text: str, encoding: str = "latin1") -> bytes:
    """A stand-in for `_codecs.encode`: Python 3 pickles bytes as text, so that Python 2 can read them."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """An unpickler that imports and calls nothing that a pickle names; stand-ins replace all that a batch needs."""

    STAND_INS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Kind,
        ("_codecs", "encode"): _latin,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name.

        Raises:
            UnpicklingError: the name has none.
        """
        if (module, name) not in self.STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs")
        return self.STAND_INS[module, name]
