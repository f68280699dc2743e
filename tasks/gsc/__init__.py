"""Google Speech Commands: ten keywords, unknown words and silence, in clips of one second (v0.02)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from gle_bench.config import RunConfig, TaskOptions
from gle_bench.contracts import Data, Published, Setting, Shape, Split, Task
from gle_bench.errors import GleBenchError
from gle_bench.files.disk import sha256
from gle_bench.files.sound import torchaudio
from gle_bench.files.tree import CURE
from gle_bench.recipes.gsc import GSCOptions
from gle_bench.words import Protocol

from . import archive
from .front_ends import FRONT_ENDS
from .partition import CLASSES, KEYWORDS, SILENCE, SIZES, Clip, partition
from .published import PUBLISHED, SETUP, described


class GSC(Task[GSCOptions]):
    """Google Speech Commands: twelve classes. The paper holds out validation speakers; so both protocols split alike.

    The fingerprint is a digest of the clips, the noise and the lists. The data are official if they were unpacked here
    from the official archive, whose checksum had been compared.
    """

    name: ClassVar[str] = "gsc"
    version: ClassVar[int] = 1
    options: ClassVar[type[TaskOptions]] = GSCOptions
    published: ClassVar[tuple[Published, ...]] = PUBLISHED
    setup: ClassVar[tuple[Setting, ...]] = SETUP
    downloads: ClassVar[bool] = True
    alike: ClassVar[tuple[int, ...]] = (SILENCE,)
    notes: ClassVar[tuple[str, ...]] = (
        "Speakers are split 80:10:10 by the SHA-1 of their names, or as the lists say that the data bring. Of other "
        "words and of silence there is a tenth of the keywords' number each, rounded up (--set splits=gle-code: "
        "rounded as in the released GLE code). Which clips are the unknown ones is the same for all runs; the "
        "reference's choice depends on the run's seed.",
        "Both protocols have the same splits, of which test is looked at once, at the end. Under clean, a network that "
        "learns online is evaluated from a zero state.",
        "Features are computed in float64. Silence is 1e-9 to GLE's front end, of which normalisation leaves 5.57 in "
        "the lowest band and -0.18 in all others; in float32, as in the reference, these depend on rounding.",
        "Interpolation between frames is torch's default, a digital zero makes features of zero, and clips are cut at "
        "one second, filled up where they are shorter, mixed to one channel and resampled to 16 kHz where need be: "
        "these are readings of ours.",
        "Spreads in the paper are taken to be population standard deviations over ten seeds.",
    )

    def shape(self, options: GSCOptions) -> Shape:
        front_end = FRONT_ENDS[options.front_end]
        return Shape(front_end.steps, front_end.channels, len(CLASSES))

    def describe(self, config: RunConfig) -> Mapping[str, str]:
        return described(config)

    def sizes(self, config: RunConfig) -> Mapping[str, int]:
        assert isinstance(config.options, GSCOptions)
        return {str(part): size for part, size in SIZES[config.options.splits].items()}

    def prepare(self, folder: Path, options: GSCOptions, report: Callable[[str], None]) -> None:
        if not self.is_prepared(folder, options):
            archive.get(folder, report)

    def by_hand(self, folder: Path) -> str:
        return archive.ARCHIVE.by_hand(folder, self.name)

    def is_prepared(self, folder: Path, options: GSCOptions) -> bool:
        return archive.place(folder) is not None

    def load(self, folder: Path, options: GSCOptions, protocol: Protocol, seed: int | None) -> Data:
        from .clips import ClipSplit, Hearing, read_noises

        archived = archive.read(folder)
        torchaudio()  # if the import fails, it does so now and not in a thread during training
        division = partition(archived.names, archived.lists, options.splits, options.clips)
        for part, clips in division.parts.items():
            if not clips:
                raise GleBenchError(
                    f"{archived.root} has no clips of {', '.join(KEYWORDS)} for {part}, by {archived.rule}. {CURE}"
                )
        noises = [] if options.augmentation == "none" else read_noises(archived.root, archived.noises)
        train = Hearing(options.front_end, options.augmentation, noises)
        held_out = Hearing(options.front_end, "none", ())
        splits: dict[str, Split] = {
            part: ClipSplit(archived.root, clips, train if part == "train" else held_out)
            for part, clips in division.parts.items()
        }
        digests: dict[str, str] = {part: _digest(archived.fingerprint, clips) for part, clips in division.parts.items()}
        return Data(splits, archived.fingerprint, archived.official, digests, (*archived.notes, *division.notes))


def _digest(content: str, clips: Sequence[Clip]) -> str:
    names = "\n".join(f"{clip.label} {clip.name}" for clip in clips)
    return sha256(content.encode(), names.encode("utf-8", "surrogateescape"))
