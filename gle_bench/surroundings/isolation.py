"""The current folder is kept away from Python: what lies there by chance is never imported or started.

A `typer.py` or a `statistics.py` of the user's own would otherwise run in the place of the module that is meant. This
module is imported before all others, so it uses only what Python has loaded when it starts.
"""

import os
import site
import sys

SEARCHED = ("PATH", "PYTHONPATH")  # variables that list folders; an empty entry there means the current one


def leave_current_folder(started_there: bool) -> None:
    """Takes the current folder off the path of imports, here and in all processes that this one starts.

    A folder that PYTHONPATH names in full stays, even if it is the current one.

    Args:
        started_there: whether the first entry of the path may come from `python -m` or `python -c`.
    """
    current = _current_folder()
    if started_there and sys.path[:1] in ([""], [current]):
        del sys.path[0]
    searched = os.environ.get("PYTHONPATH", "")
    if _without_current_folder(searched) != searched:
        _drop(current, keep=[os.path.normpath(entry) for entry in searched.split(os.pathsep) if os.path.isabs(entry)])
    os.environ.update(safe(dict(os.environ)))


def safe(environment: dict[str, str]) -> dict[str, str]:
    """The environment for another process, in which no module and no program comes from the current folder."""
    lists = {name: _without_current_folder(environment[name]) for name in SEARCHED if name in environment}
    return {**environment, **lists, "PYTHONSAFEPATH": "1"}


def _drop(current: str | None, keep: list[str]) -> None:
    """Takes the current folder off, which Python has written out in full where PYTHONPATH says '' or '.'."""
    if current not in (os.path.dirname(os.__file__), *site.getsitepackages(), *keep):
        sys.path[:] = [entry for entry in sys.path if entry not in ("", current)]


def _without_current_folder(folders: str) -> str:
    return os.pathsep.join(entry for entry in folders.split(os.pathsep) if os.path.normpath(entry) != ".")


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
