"""The removal of the current folder from the search paths, so that nothing in it is imported or started by chance.

A user's own `typer.py` or `statistics.py` there would otherwise replace the module of that name. This module is
imported before all others, so it uses only modules that Python has loaded at its start.
"""

import os
import site
import sys

SEARCHED = ("PATH", "PYTHONPATH")  # variables that list folders; an empty entry means the current folder


def leave_current_folder(started_there: bool) -> None:
    """Removes the current folder from the import path of this process and of all that it starts.

    An absolute path in PYTHONPATH stays, even if it is the current folder.

    Args:
        started_there: whether the first entry of `sys.path` may come from `python -m` or `python -c`.
    """
    current = _current_folder()
    if started_there and sys.path[:1] in ([""], [current]):
        del sys.path[0]
    searched = os.environ.get("PYTHONPATH", "")
    if _without_current_folder(searched) != searched:
        _drop(current, keep=[os.path.normpath(entry) for entry in searched.split(os.pathsep) if os.path.isabs(entry)])
    os.environ.update(safe(dict(os.environ)))


def safe(environment: dict[str, str]) -> dict[str, str]:
    """The environment for a child process that imports and starts nothing from the current folder."""
    lists = {name: _without_current_folder(environment[name]) for name in SEARCHED if name in environment}
    return {**environment, **lists, "PYTHONSAFEPATH": "1"}


def _drop(current: str | None, keep: list[str]) -> None:
    """Removes the current folder from `sys.path`, where Python writes '' and '.' of PYTHONPATH as absolute paths."""
    if current not in (os.path.dirname(os.__file__), *site.getsitepackages(), *keep):
        sys.path[:] = [entry for entry in sys.path if entry not in ("", current)]


def _without_current_folder(folders: str) -> str:
    return os.pathsep.join(entry for entry in folders.split(os.pathsep) if os.path.normpath(entry) != ".")


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
