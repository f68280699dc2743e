"""Several files in the folders of several runs, which change as one, wherever the process is killed.

All are written beside their places first. Then a journal in one of the folders lists the renames that are to come; from
there on they will happen, if need be when the runs are taken up again.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from gle_bench.data.files import discarding, rename, write_text, written
from gle_bench.data.foreign import Malformed, content, json_value
from gle_bench.errors import NAME, GleBenchError

JOURNAL: Final = "renames.json"


def write_together(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Lets each function fill a temporary file, and renames them all to their paths, in folders beside each other.

    Raises:
        GleBenchError: one of them cannot be written: all are as they were. Or one cannot be renamed: `finish_renames`,
            called for each of the folders, does it later.
    """
    ready: dict[Path, Path] = {}
    several = len({path.parent for path in files}) > 1
    with ExitStack() as unfinished:
        for path, write in files.items():
            ready[path] = written(path, write)
            unfinished.enter_context(discarding(ready[path]))
        if several:
            journal = next(iter(ready)).parent / JOURNAL
            renames = [[path.parent.name, temporary.name, path.name] for path, temporary in ready.items()]
            write_text(journal, json.dumps(renames))
        else:
            for path, temporary in ready.items():
                rename(temporary, path)
            return
    for path, temporary in ready.items():  # announced: what is not renamed now will be
        rename(temporary, path)
    _remove(journal)


def finish_renames(folder: Path) -> None:
    """Does what is left of the renames that a journal in this folder lists; nothing where there is none.

    Raises:
        GleBenchError: one cannot be done.
    """
    journal = folder / JOURNAL
    try:
        renames = json_value(content(journal))
    except FileNotFoundError:
        return
    except (OSError, Malformed):  # not ours: a journal is whole or not there
        return
    for entry in renames if isinstance(renames, list) else ():
        if isinstance(entry, list) and len(entry) == 3 and all(map(_is_name, entry)):
            place, temporary, name = entry
            path = folder.parent / place / temporary
            if path.is_file() and not path.is_symlink():  # not there: done, or swept away by whoever had that run since
                rename(path, path.with_name(name))
    _remove(journal)


def _is_name(text: object) -> bool:
    return isinstance(text, str) and NAME.fullmatch(text.removeprefix(".")) is not None


def _remove(journal: Path) -> None:
    try:
        journal.unlink()
    except OSError as error:
        raise GleBenchError(f"Cannot remove {journal}: {error.strerror}. Choose another folder.") from error
