"""CIFAR-10: small photographs of ten classes, each shown as a constant input or as a stream of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from gle_bench.config import RunConfig, TaskOptions
from gle_bench.contracts import Batch, Data, Metric, Published, Shape, Task
from gle_bench.files.disk import sha256
from gle_bench.recipes.cifar10 import CIFAR10Options
from gle_bench.words import Protocol

from . import archive
from .batches import CLASSES, PIXELS, Images
from .published import PUBLISHED
from .rows import ROW, ROWS, arranged

if TYPE_CHECKING:
    from torch import Tensor

SPLIT_SEED = 7  # seed of the random split, the same for all runs
HELD_OUT = 5  # one training image in so many is held out for validation
BRIGHTEST = 255  # largest value of a pixel
# Digest of the decoded images of the JPEG copy that this project's own runs had to use.
JPEG_COPY = "b205f659d24dc008ebe0ac0c05d6eed268f8451e86823ae3bd68f6c61ae512aa"


@dataclass(frozen=True)
class ImageSplit:
    """A split of images, kept in memory with values from 0 to 255; a fetched batch has values from 0 to 1.

    Pixels of a still image, (M, 1, 3072), are ordered row by row, each as red, green, blue: the order of the neurons in
    the convolutions of `dynamics`. Rows are (M, 32, 96).
    """

    pixels: NDArray[np.uint8]
    targets: Tensor
    steps: int
    hold: int = 1  # time steps for which each row is held

    def __len__(self) -> int:
        return len(self.targets)

    def fetch(self, indices: Tensor, seed: int, epoch: int, place: int = 0) -> Batch:
        """The images at these indices as a batch, inputs (1, B, 1, 3072), or (1, B, 32 * hold, 96) of rows."""
        import torch

        inputs = torch.from_numpy(self.pixels[indices.numpy()]).float() / BRIGHTEST
        if self.hold > 1:
            inputs = inputs.repeat_interleave(self.hold, 1)
        return Batch(self.steps, inputs[None], self.targets[indices][None])


class CIFAR10(Task[CIFAR10Options]):
    """CIFAR-10: 50,000 images to learn from, a fifth of them held out for validation, and 10,000 test images.

    The fingerprint is a digest of the pixels and labels, whatever the format of their files. The data are official if
    they were unpacked here from the official archive, whose checksum had been compared.
    """

    name: ClassVar[str] = "cifar10"
    version: ClassVar[int] = 1
    metric: ClassVar[Metric] = Metric("error", "%", better="lower")
    options: ClassVar[type[TaskOptions]] = CIFAR10Options
    published: ClassVar[tuple[Published, ...]] = PUBLISHED
    downloads: ClassVar[bool] = True
    notes: ClassVar[tuple[str, ...]] = (
        "Pixels are scaled to [0, 1], neither normalised nor augmented, and stay on for 50 steps an image. The largest "
        "output at the last of them decides; the loss is that of the same output.",
        "With presentation = rows, which is in no paper, an image is a stream of 32 rows of 96 values, each shown for "
        "`hold` steps. The largest sum of outputs over time decides, and the loss is the mean over the steps; a "
        "network that learns offline has a single output. Other orders, of rows and of channels, are controls.",
        "40,000 images to learn from, 10,000 for validation and 10,000 for the test, which is looked at once, at the "
        "end, under both protocols. The split is the same for all runs; that of the released LE code may be another.",
        "Last batches of an epoch are smaller than the others; the released LE code leaves them out (16 images of "
        "validation and of test, 64 of training).",
        "Each seed has an order of samples of its own. The released LE code resets its generator to 7 once the weights "
        "are drawn, so that the order is the same for all of its seeds.",
        "Under protocol paper the state of a network that learns online runs on from image to image and through "
        "evaluations, as in the released LE code; under clean, an evaluation starts each batch from a zero state.",
        "Images that went through JPEG, as those of this project's first runs had, differ slightly from the official "
        "ones: results on them are marked as of other data, and say so.",
        "Seeds are the nine that the README of the released LE code names, and 55 from its script for the cluster.",
        "The spreads in the paper are taken to be population standard deviations over ten seeds.",
    )

    def shape(self, options: CIFAR10Options) -> Shape:
        if options.presentation == "still":
            return Shape(options.steps, PIXELS, len(CLASSES))
        return Shape(ROWS * options.hold, ROW, len(CLASSES))

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        train, test = archive.SIZES
        held_out = train // HELD_OUT
        return {"train": train - held_out, "validation": held_out, "test": test}

    def prepare(self, folder: Path, options: CIFAR10Options, report: Callable[[str], None]) -> None:
        if not self.is_prepared(folder, options):
            archive.get(folder, report)

    def by_hand(self, folder: Path) -> str:
        return archive.ARCHIVE.by_hand(folder, self.name)

    def is_prepared(self, folder: Path, options: CIFAR10Options) -> bool:
        return archive.place(folder) is not None

    def load(self, folder: Path, options: CIFAR10Options, protocol: Protocol, seed: int | None) -> Data:
        archived = archive.read(folder)
        train, test, content = archived.images
        order = np.random.RandomState(SPLIT_SEED).permutation(len(train.labels))  # NumPy guarantees its numbers
        held_out = len(order) // HELD_OUT
        parts = {
            "train": (train, order[held_out:]),
            "validation": (train, order[:held_out]),
            "test": (test, np.arange(len(test.labels))),
        }
        chosen = {name: (images, rows[: options.images]) for name, (images, rows) in parts.items()}
        digests = {
            name: sha256(f"{name} {content}".encode(), rows.astype("<i8").data) for name, (_, rows) in chosen.items()
        }
        splits = {name: self._split(images, rows, options) for name, (images, rows) in chosen.items()}
        return Data(splits, content, archived.official, digests, _differences(archived))

    def _split(self, images: Images, rows: NDArray[np.int64], options: CIFAR10Options) -> ImageSplit:
        import torch

        pixels, targets = arranged(images.pixels[rows], options), torch.from_numpy(images.labels[rows])
        return ImageSplit(pixels, targets, self.shape(options).steps, options.hold)

    def decide(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The last step's output for a still image, which has passed all layers; the sum over time for rows: (S, B, C).

        The inputs of a still image have a time dimension of 1.
        """
        return outputs[:, :, -1] if batch.inputs.shape[2] == 1 else super().decide(outputs, batch)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss of the last step's output for a still image, the mean over time for rows: (S, B)."""
        return super().losses(outputs[:, :, -1:] if batch.inputs.shape[2] == 1 else outputs, batch)

    def measure(self, decisions: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"error": 100.0 * (decisions.argmax(-1) != batch.targets).double()}


def _differences(archived: archive.Archive) -> tuple[str, ...]:
    """Notes for the records on how these images differ from the official ones; none for the official ones."""
    if archived.official:
        return ()
    notes = [
        "the images come from a copy in JPEG: they are all of the official ones, but their pixels differ slightly"
        if archived.images.digest == JPEG_COPY
        else "the images are not known to be the official ones, bit by bit"
    ]
    if archived.images.sizes != archive.SIZES:
        notes.append(f"there are {archive.counted(archived.images.sizes)}, not {archive.counted(archive.SIZES)}")
    return tuple(notes)
