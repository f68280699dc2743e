"""The user's home folder and name, which may be missing in a container, and paths that begin with `~`."""

import getpass
import os
from pathlib import Path

from gle_bench.errors import UsageError, clipped

DEEPEST = 200  # most folders inside each other in a path


def provide() -> None:
    """Sets HOME and LOGNAME for libraries that need them, if the user has no home folder or no name.

    Raises:
        UsageError: there is no home folder, and no substitute can be made.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path's raises)
    # For a folder that may not be entered, os.path returns False, while pathlib raises.
    if not (home.is_absolute() and os.path.isdir(home) and os.access(home, os.X_OK)):  # noqa: PTH112
        os.environ["HOME"] = str(_substitute())
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the user database does not list this user; OSError from Python 3.13 on
        os.environ["LOGNAME"] = str(os.getuid())


def expanded(text: str) -> Path:
    """The path that a user wrote, with `~` and `~user` expanded as by a shell.

    Raises:
        UsageError: there is no such user or home folder, or the path has too many parts.
    """
    path = Path(text)
    if len(path.parts) > DEEPEST:
        raise UsageError(
            f"'{clipped(text)}': {len(path.parts):,} folders inside each other are too many; write a shorter path."
        )
    if not text.startswith("~"):
        return path
    first = path.parts[0]
    try:
        home = Path(first).expanduser()
    except RuntimeError:
        home = None
    if home is None or (first == "~" and home == _substitute_path()):
        raise UsageError(f"'{text}': there is no home folder {first}; write the path in full.")
    return home.joinpath(*path.parts[1:])


def cache_folder() -> Path:
    """The folder for data that can be made again: the platform's cache folder, else a temporary folder of this user."""
    from platformdirs import user_cache_path

    chosen = user_cache_path("glebench")
    existing = next(folder for folder in (chosen, *chosen.parents) if os.path.exists(folder))  # noqa: PTH110
    if os.path.exists(chosen) or os.access(existing, os.W_OK | os.X_OK):  # noqa: PTH110
        return chosen
    return _substitute() / ".cache" / "glebench"


def _substitute() -> Path:
    """The substitute for a home folder, created if need be: a temporary folder that only this user can read.

    Raises:
        UsageError: it cannot be made, or belongs to another user.
    """
    path = _substitute_path()
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid == os.getuid():
            return path
    except OSError as error:
        raise UsageError(f"There is no home folder, and {path} cannot be made: set HOME to a folder.") from error
    raise UsageError(f"There is no home folder, and {path} is another user's: set HOME to a folder.")


def _substitute_path() -> Path:
    import tempfile

    return Path(tempfile.gettempdir(), f"glebench-{os.getuid()}")
