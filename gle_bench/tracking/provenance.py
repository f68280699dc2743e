"""The code that computed a run: the commit of this checkout, and the source files and origin of every plugin.

The `version` of a task, model or rule must be raised when what it computes changes, which a plugin's author may forget.
So a record keeps the digests of the plugin's source files, and later commands compare them with the installed ones.
"""

import ast
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from pkgutil import get_importer

from gle_bench import registry
from gle_bench.errors import UsageError
from gle_bench.files.disk import sha256
from gle_bench.tracking.entry import Entry
from gle_bench.words import PluginPart

PACKAGE = Path(__file__).parents[1]
OURS = ("gle_bench", "tasks", "baselines", "pyproject.toml", "setup.py")  # paths that can change a result


class Git(Entry):
    """The commit of a checkout, and whether its code had uncommitted changes. None: no checkout, or no commit."""

    commit: str | None = None
    dirty: bool | None = None


class Plugin(Entry):
    """The code of a plugin's task, model or rule.

    Attributes:
        place: module and class, as the entry point names them.
        distribution, version: the installed package that contains the code.
        files: SHA-256 of the source of the module and of all plugin modules that it imports, by module name.
        git: the checkout that the files lie in.
    """

    place: str
    distribution: str | None
    version: str | None
    files: dict[str, str]
    git: Git


@cache  # the code that was loaded at the start keeps running, whatever is committed meanwhile
def own_git() -> Git:
    """The state of the checkout that this package is imported from."""
    top = _ask_git(PACKAGE, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() / PACKAGE.name != PACKAGE.resolve():
        return Git()  # installed in some folder, perhaps inside the checkout of another project
    return git_of(Path(top), [Path(top, name) for name in OURS])


def git_of(folder: Path, paths: Iterable[Path]) -> Git:
    """The commit of the checkout that a folder lies in, and whether any of the paths has uncommitted changes."""
    top, commit = (_ask_git(folder, "rev-parse", what) for what in ("--show-toplevel", "HEAD"))
    if top is None or commit is None:
        return Git()
    inside = [str(path) for path in paths if path.resolve().is_relative_to(Path(top).resolve())]
    changes = _ask_git(folder, "status", "--porcelain", "--", *inside)
    return Git(commit=commit, dirty=None if changes is None else bool(changes))


def _ask_git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None if git is missing, fails (no checkout, no commit) or does not answer."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        # Without GIT_DIR and the like: inside git's hooks they name another checkout.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        completed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=environment)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip()


def plugins_of(sources: Mapping[PluginPart, EntryPoint]) -> dict[PluginPart, Plugin]:
    """The code of the plugins that supply parts of a run, by their entry points."""
    return {part: _described(point) for part, point in sources.items()}


def changed_files(before: Mapping[PluginPart, Plugin], now: Mapping[PluginPart, Plugin]) -> list[str]:
    """Names of the modules whose source differs between `before` and `now`, for the parts that both have.

    Both belong to one configuration hash, and so to the same versions.
    """
    pairs = [(before[part].files, now[part].files) for part in before.keys() & now.keys()]
    return sorted({name for old, new in pairs for name in old.keys() | new.keys() if old.get(name) != new.get(name)})


def changed_since(before: Mapping[PluginPart, Plugin], task: str, model: str, rule: str) -> list[str]:
    """Modules whose source differs between a record and the installed plugins; empty if those are not installed."""
    if not before:
        return []
    try:
        _, of_pair = registry.find(task, model)
    except UsageError:  # there is no such model any more
        return []
    return changed_files(before, plugins_of(registry.sources(task, of_pair, rule)))


@cache  # a table needs it once for every record
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
    """The source files of a plugin's module and of all plugin modules that it imports, directly or not, by name."""
    roots = _roots() | {module.partition(".")[0]}
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        if name in files or parts[0] not in roots:
            continue
        path, _ = _located(name)
        if path is None:  # an attribute, or a package without __init__
            continue
        files[name] = path
        waiting += [".".join(parts[:depth]) for depth in range(1, len(parts))]
        waiting += _imports(name, path)
    return dict(sorted(files.items()))


@cache
def _roots() -> frozenset[str]:
    """The top-level module names of all plugins' distributions; one plugin may import another's code."""
    names: set[str] = set()
    for kind in registry.KINDS:
        for point in registry.points(kind).values():
            names.add(point.module.partition(".")[0])
            if point.dist:
                names |= set((point.dist.read_text("top_level.txt") or "").split())
                listed = [Path(file).parts[0] for file in point.dist.files or () if file.suffix == ".py"]
                names |= {name.removesuffix(".py") for name in listed}
    return frozenset(names - {"gle_bench"})


def _located(module: str) -> tuple[Path | None, Sequence[str]]:
    """The file that a module is loaded from, and the folders of its submodules, found without importing anything.

    An attribute has neither, and a package without __init__ has no file.
    """
    package = module.rpartition(".")[0]
    if package:
        finders = filter(None, map(get_importer, _located(package)[1]))
        specs = [spec for finder in finders if (spec := finder.find_spec(module)) is not None]
    else:
        try:
            specs = [spec for spec in [find_spec(module)] if spec is not None]
        except ValueError:  # the module is being imported just now
            specs = []
    for spec in specs:
        if spec.has_location and spec.origin is not None:
            return Path(spec.origin), spec.submodule_search_locations or ()
    return None, [place for spec in specs for place in spec.submodule_search_locations or ()]


def _imports(module: str, path: Path) -> Iterator[str]:
    """Names of the modules that a source file imports, and of what it imports from them, which may be modules too."""
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
            base = ".".join(filter(None, [*above, node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
