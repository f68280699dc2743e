"""Several files, in the folders of several runs, that change together even if the process is killed meanwhile.

All are first written under temporary names. Then a journal in one of the folders lists the renames that remain: if the
process is killed after that, the renames are completed when the runs are resumed.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from gle_bench.errors import NAME, GleBenchError
from gle_bench.files.disk import discarding, rename, write_text, written
from gle_bench.files.foreign import Malformed, content, json_value

JOURNAL: Final = "renames.json"


def write_together(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Writes several files, in folders with the same parent, so that either all of them change or none.

    Args:
        files: for every path the function that fills the file.

    Raises:
        GleBenchError: a file cannot be written: all are then unchanged. Or one cannot be renamed: `finish_renames`,
            called for each of the folders, completes it later.
    """
    temporaries: dict[Path, Path] = {}
    several = len({path.parent for path in files}) > 1
    with ExitStack() as unfinished:
        for path, write in files.items():
            temporaries[path] = written(path, write)
            unfinished.enter_context(discarding(temporaries[path]))
        if several:
            journal = next(iter(temporaries)).parent / JOURNAL
            renames = [[path.parent.name, temporary.name, path.name] for path, temporary in temporaries.items()]
            write_text(journal, json.dumps(renames))
        else:
            for path, temporary in temporaries.items():
                rename(temporary, path)
            return
    for path, temporary in temporaries.items():  # listed in the journal: an interruption no longer loses them
        rename(temporary, path)
    _remove(journal)


def finish_renames(folder: Path) -> None:
    """Completes the renames that a journal in this folder lists, if there is a journal.

    Raises:
        GleBenchError: a file cannot be renamed.
    """
    journal = folder / JOURNAL
    try:
        renames = json_value(content(journal))
    except FileNotFoundError:
        return
    except (OSError, Malformed):  # not written by `write_together`, whose journals are complete or absent
        return
    for entry in renames if isinstance(renames, list) else ():
        if isinstance(entry, list) and len(entry) == 3 and all(map(_is_name, entry)):
            place, temporary, name = entry
            path = folder.parent / place / temporary
            if path.is_file() and not path.is_symlink():  # absent: renamed before, or deleted by a later holder
                rename(path, path.with_name(name))
    _remove(journal)


def _is_name(text: object) -> bool:
    return isinstance(text, str) and NAME.fullmatch(text.removeprefix(".")) is not None


def _remove(journal: Path) -> None:
    try:
        journal.unlink()
    except OSError as error:
        raise GleBenchError(f"Cannot remove {journal}: {error.strerror}. Choose another folder.") from error
