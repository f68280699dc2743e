"""The official archive of Speech Commands v0.02, or a smaller tree laid out alike: where it lies and what is in it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gle_bench.data.content import Content, identify
from gle_bench.data.download import Remote
from gle_bench.data.install import install, note_of
from gle_bench.names import GleBenchError

from .partition import KEYWORDS, Part

TREE = "speech_commands_v0.02"
ARCHIVE = Remote(
    f"https://storage.googleapis.com/download.tensorflow.org/data/{TREE}.tar.gz",
    "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    2_430_000_000,
)
CLIPS = 105_829  # in the folders of words
NOISE = "_background_noise_"
LISTS: dict[Part, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}


class Archive(NamedTuple):
    """An unpacked tree: `names` of its clips as 'word/file.wav', and the lists that it brings, or None."""

    root: Path
    names: frozenset[str]
    lists: Mapping[Part, frozenset[str]] | None
    content: Content

    @property
    def official(self) -> bool:
        return self.content.source == ARCHIVE.sha256


def place(folder: Path) -> Path | None:
    """Where the tree lies: in the task's folder, or as torchaudio lays it out there or in the folder of all data."""
    layouts = (folder, folder / "SpeechCommands", folder.parent / "SpeechCommands")
    return next((layout / TREE for layout in layouts if (layout / TREE).is_dir()), None)


def by_hand(folder: Path) -> str:
    return f"put {ARCHIVE.url} into {folder}, where 'glebench prepare gsc' will find it"


def get(folder: Path, report: Callable[[str], None], remote: Remote = ARCHIVE, clips: int = CLIPS) -> None:
    """Downloads the archive, unless it lies in `folder`, checks and unpacks it.

    Raises:
        GleBenchError: it cannot be had, is not what it should be, or does not fit on the disk.
    """

    def complaint(root: Path) -> str | None:
        found = len(clip_names(root))
        return None if found == clips else f"it holds {found:,} clips, not {clips:,}"

    install(remote, folder / TREE, lambda: place(folder) is not None, complaint, report)


def read(folder: Path) -> Archive:
    """What lies there.

    Raises:
        GleBenchError: no tree, no clips of keywords, or a list that cannot be read.
    """
    root = place(folder)
    if root is None:
        raise GleBenchError(
            f"No Speech Commands in {folder}; get them with 'glebench prepare gsc', or {by_hand(folder)}."
        )
    names = clip_names(root)
    if not any(name.partition("/")[0] in KEYWORDS for name in names):
        raise GleBenchError(
            f"{root} holds no clips of {', '.join(KEYWORDS)}; delete it and run 'glebench prepare gsc'."
        )
    return Archive(root, names, _lists(root), identify(root, note_of(folder / TREE)))


def clip_names(root: Path) -> frozenset[str]:
    """All clips but noise, as 'word/file.wav'."""
    words = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))]
    files = ((word.name, path.name) for word in words for path in word.iterdir())
    return frozenset(f"{word}/{name}" for word, name in files if name.endswith(".wav") and not name.startswith("."))


def _lists(root: Path) -> dict[Part, frozenset[str]] | None:
    """The tree's own partition; None if it does not bring both lists."""
    paths = {part: root / name for part, name in LISTS.items()}
    if not all(path.is_file() for path in paths.values()):
        return None
    try:
        return {part: frozenset(path.read_text(encoding="utf-8").split()) for part, path in paths.items()}
    except (OSError, ValueError) as error:
        raise GleBenchError(
            f"Cannot read the lists in {root}: {error}. Mend that, or choose another --data."
        ) from error
