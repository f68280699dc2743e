"""The official archive of Speech Commands v0.02, or a smaller tree of the same layout: its place and its content."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gle_bench.errors import GleBenchError
from gle_bench.files.content import Content, identify
from gle_bench.files.download import Remote
from gle_bench.files.install import install, note_of
from gle_bench.files.tree import Stamp, find_folder

from .lists import Lists, read_lists
from .partition import KEYWORDS, Part
from .tree import LISTS, Tree, look_through

TREE = "speech_commands_v0.02"
ARCHIVE = Remote(
    f"https://storage.googleapis.com/download.tensorflow.org/data/{TREE}.tar.gz",
    "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    2_430_000_000,
)
CLIPS = 105_829  # number of clips in the folders of words
# The 4,482 clips that this project's own runs had to use: the digest of the files that are read, and the fingerprint in
# the records of those runs, which also covered a document that comes with the clips.
TEST_CLIPS = "aaf9aa1d77313ad3794d5990692eaa54da46bb4d4760d1795b77e97b57526c2a"
FINGERPRINTS: Final[Mapping[str, str]] = {
    TEST_CLIPS: "50d97ccd48793ae9917abd6717a50058030c6c91236f4af6bdbb7ca7c19fb99b",
}


class Archive(NamedTuple):
    """An unpacked tree of clips.

    Attributes:
        names, noises: relative paths of its clips, and of its recordings of noise.
        lists: the clips that its lists hold out for validation and test; None: it has no lists.
        content: the digest of its files, and the archive that they were unpacked from.
        notes: for the records: what its files lack.
    """

    root: Path
    names: frozenset[str]
    noises: tuple[str, ...]
    lists: Mapping[Part, frozenset[str]] | None
    content: Content
    notes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return FINGERPRINTS.get(self.content.digest, self.content.digest)

    @property
    def rule(self) -> str:
        """The rule that splits the clips, in words."""
        return "the hash of their speakers" if self.lists is None else f"{' and '.join(LISTS.values())}"

    @property
    def official(self) -> bool:
        return self.content.source == ARCHIVE.sha256


def place(folder: Path) -> Path | None:
    """The root of the tree: in the task's folder, or where torchaudio puts it; None if there is none.

    Raises:
        GleBenchError: something with that name is no folder.
    """
    layouts = (folder, folder / "SpeechCommands", folder.parent / "SpeechCommands")
    return find_folder(layout / TREE for layout in layouts)


def get(folder: Path, report: Callable[[str], None], remote: Remote = ARCHIVE, clips: int = CLIPS) -> None:
    """Downloads the archive, unless it lies in `folder`, checks and unpacks it.

    Raises:
        GleBenchError: it cannot be downloaded, is not the expected one, or does not fit on the disk.
    """

    def complaint(root: Path) -> str | None:
        try:
            count = len(look_through(root).clips)
        except GleBenchError as error:
            return str(error).partition(". ")[0]
        return None if count == clips else f"it holds {count:,} clips, not {clips:,}"

    def files(root: Path) -> Mapping[str, Stamp]:
        return look_through(root).files

    install(remote, folder / TREE, lambda: place(folder) is not None, complaint, files, report)


def read(folder: Path) -> Archive:
    """The unpacked Speech Commands data: the clips of each word, and the lists that split them.

    Raises:
        GleBenchError: there is no tree, it has no clips of keywords, a file in it is of the wrong kind or cannot be
            read, or its lists contradict each other.
    """
    root = place(folder)
    if root is None:
        by_hand = ARCHIVE.by_hand(folder, "gsc")
        raise GleBenchError(f"No Speech Commands in {folder}; get them with 'glebench prepare gsc', or {by_hand}.")
    tree = look_through(root)
    words = {name.partition("/")[0] for name in tree.clips}
    missing = [word for word in KEYWORDS if word not in words]
    if len(missing) == len(KEYWORDS):
        raise GleBenchError(
            f"{root} holds no clips of {', '.join(KEYWORDS)}; delete it and run 'glebench prepare gsc'."
        )
    lists = read_lists(root, tree.lists, tree.clips) if tree.lists else None
    content = identify(root, tree.files, note_of(folder / TREE))
    return Archive(
        root, frozenset(tree.clips), tuple(tree.noises), lists and lists.clips, content, _notes(missing, tree, lists)
    )


def _notes(missing: Sequence[str], tree: Tree, lists: Lists | None) -> tuple[str, ...]:
    """Notes for the records on what the files lack."""
    notes = [f"there is no clip of {', '.join(missing)}"] if missing else []
    if tree.alone is not None:
        notes.append(
            f"{tree.alone} comes without the other list and is not read: the hash of speakers makes the splits"
        )
    return (*notes, *(lists.notes if lists else ()))
