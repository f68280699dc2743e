"""Whose code computed a run: the commit of this checkout, and of every plugin the files and where they come from.

A task's, model's or rule's `version` says what it computes; a stranger who changes one line may forget to raise it. So
a record keeps the digests of the plugin's own source files, and a later command compares them with what is there.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from gle_bench import registry
from gle_bench.data.files import sha256
from gle_bench.errors import UsageError
from gle_bench.tracking.entry import Entry
from gle_bench.words import PluginPart

PACKAGE = Path(__file__).parents[1]
OURS = ("gle_bench", "tasks", "baselines", "pyproject.toml", "setup.py")  # of a checkout, what can change a result


class Git(Entry):
    """A checkout: its commit, and whether the code in it differed from it. None: no checkout, or nothing committed."""

    commit: str | None = None
    dirty: bool | None = None


class Plugin(Entry):
    """The code of a stranger's task, model or rule.

    Attributes:
        place: module and class, as its entry point names them.
        distribution, version: the installed package that brought it.
        files: SHA-256 of the module's source and of all that it imports of its own package, by their names.
        git: the checkout that the files lie in.
    """

    place: str
    distribution: str | None
    version: str | None
    files: dict[str, str]
    git: Git


@cache  # what was loaded at the start is what runs, whatever is committed meanwhile
def own_git() -> Git:
    """Commit and cleanness of the checkout that this package is imported from."""
    top = _ask_git(PACKAGE, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() / PACKAGE.name != PACKAGE.resolve():
        return Git()  # installed somewhere, perhaps inside a stranger's checkout
    return git_of(Path(top), [Path(top, name) for name in OURS])


def git_of(folder: Path, paths: Iterable[Path]) -> Git:
    """The commit of the checkout that a folder lies in, and whether one of these paths in it was changed."""
    top, commit = (_ask_git(folder, "rev-parse", what) for what in ("--show-toplevel", "HEAD"))
    if top is None or commit is None:
        return Git()
    inside = [str(path) for path in paths if path.resolve().is_relative_to(Path(top).resolve())]
    changes = _ask_git(folder, "status", "--porcelain", "--", *inside)
    return Git(commit=commit, dirty=None if changes is None else bool(changes))


def _ask_git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it is not there, finds no checkout or no commit, or does not answer."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        # Not by GIT_DIR and its like, which name another checkout inside of git's own hooks.
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=own)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def plugins_of(sources: Mapping[PluginPart, EntryPoint]) -> dict[PluginPart, Plugin]:
    """The code of the plugins that supply parts of a run, by their entry points."""
    return {part: _described(point) for part, point in sources.items()}


def changed_files(before: Mapping[PluginPart, Plugin], now: Mapping[PluginPart, Plugin]) -> list[str]:
    """The modules whose source is not what it was; empty where nothing is known of one of the two.

    Both are of one configuration hash, and so of the same versions.
    """
    both = [(before[part].files, now[part].files) for part in before.keys() & now.keys()]
    return sorted({name for old, new in both for name in old.keys() | new.keys() if old.get(name) != new.get(name)})


def changed_since(before: Mapping[PluginPart, Plugin], task: str, model: str, rule: str) -> list[str]:
    """`changed_files` between a record's code and what is installed now; nothing where that is not installed."""
    try:
        return changed_files(before, plugins_of(registry.sources(task, model, rule))) if before else []
    except UsageError:  # there is no such model any more
        return []


@cache  # a table asks for every record
def _described(point: EntryPoint) -> Plugin:
    sources = _sources(point.module)
    first = next(iter(sources.values()), None)
    return Plugin(
        place=point.value,
        distribution=point.dist.name if point.dist else None,
        version=point.dist.version if point.dist else None,
        files={name: _digest(path) for name, path in sources.items()},
        git=Git() if first is None else git_of(first.parent, sources.values()),
    )


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes())
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _sources(module: str) -> dict[str, Path]:
    """Source files of a plugin's module, and of what it imports, directly or not, of plugins' own packages."""
    roots = _roots() | {module.partition(".")[0]}
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        if name in found or parts[0] not in roots:
            continue
        path = _file(name)
        if path is None:  # an attribute, not a module
            continue
        found[name] = path
        waiting += [".".join(parts[:depth]) for depth in range(1, len(parts))]
        waiting += _imports(name, path)
    return dict(sorted(found.items()))


@cache
def _roots() -> frozenset[str]:
    """Top-level names that the distributions of plugins bring: one plugin may build on another's code."""
    names: set[str] = set()
    for kind in registry.KINDS:
        for point in registry.points(kind).values():
            names.add(point.module.partition(".")[0])
            if point.dist:
                names |= set((point.dist.read_text("top_level.txt") or "").split())
                listed = [Path(file).parts[0] for file in point.dist.files or () if file.suffix == ".py"]
                names |= {name.removesuffix(".py") for name in listed}
    return frozenset(names - {"gle_bench"})


def _file(module: str) -> Path | None:
    """The file that a module is loaded from; nothing is imported to find it."""
    above, _, name = module.rpartition(".")
    if not above:
        loaded = sys.modules.get(module)
        try:
            origin = getattr(loaded, "__file__", None) if loaded else getattr(find_spec(module), "origin", None)
        except ValueError:  # half imported
            return None
        return Path(origin) if origin else None
    suffixes = [*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES]
    folders = [folder for place in _folders(above) for folder in (place / name / "__init__", place / name)]
    candidates = [folder.with_name(folder.name + suffix) for folder in folders for suffix in suffixes]
    return next((path for path in candidates if path.is_file()), None)


def _folders(package: str) -> list[Path]:
    """Where the modules of a package lie: beside its __init__, or, of one without, wherever the path says."""
    file = _file(package)
    if file is not None:
        return [file.parent] if file.stem == "__init__" else []
    above, _, name = package.rpartition(".")
    if not above:
        return [Path(place) for place in getattr(find_spec(package), "submodule_search_locations", None) or ()]
    return [place / name for place in _folders(above) if (place / name).is_dir()]


def _imports(module: str, path: Path) -> Iterator[str]:
    """Names of modules that a source file may import, and of their attributes, which may be modules too."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
