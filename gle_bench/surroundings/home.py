"""The user's home folder and name, which a container may not have, and paths that are written with `~`."""

import os
from pathlib import Path

from gle_bench.errors import UsageError, clipped

DEEPEST = 200  # folders inside each other, in a path
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where Python's getpass looks for the user's name


def provide() -> None:
    """Gives libraries that ask for a home and a user's name something to find, where there is none.

    Raises:
        UsageError: there is no home, and nowhere to put another.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path's raises)
    # os.path says no where a folder may not be entered, and pathlib raises.
    if not (home.is_absolute() and os.path.isdir(home) and os.access(home, os.X_OK)):  # noqa: PTH112
        os.environ["HOME"] = str(_substitute())
    if not any(os.environ.get(name) for name in NAMES) and not _is_listed():
        os.environ["LOGNAME"] = str(os.getuid())


def expanded(text: str) -> Path:
    """The path that a user wrote, with `~` and `~user` as a shell would have them.

    Raises:
        UsageError: there is no such user, or no home.
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
    """Where glebench keeps what can be made again: the platform's cache, else a temporary folder of the user's."""
    from platformdirs import user_cache_path

    chosen = user_cache_path("glebench")
    existing = next(folder for folder in (chosen, *chosen.parents) if os.path.exists(folder))  # noqa: PTH110
    if os.path.exists(chosen) or os.access(existing, os.W_OK | os.X_OK):  # noqa: PTH110
        return chosen
    return _substitute() / ".cache" / "glebench"


def _substitute() -> Path:
    """A folder of this user alone."""
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


def _is_listed() -> bool:
    """Whether the system knows this user."""
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True
