"""Plugins: the entry points of other installed packages, and safe calls of their code, which may fail in any way.

A faulty plugin is reported once, on the log `gle_bench.plugins`; its own entries are left out, and nothing else.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from gle_bench.config import LARGEST_SEED, RunConfig
from gle_bench.errors import NAME, GleBenchError, printable
from gle_bench.surroundings.processes import is_request
from gle_bench.words import BUDGETS, Budget

if TYPE_CHECKING:
    from gle_bench.contracts import Pair, Refused

PACKAGE = Path(__file__).parent
log = logging.getLogger(__name__)


@cache  # searching all installed packages takes ten milliseconds, and a table needs names sixty times
def offered(kind: str) -> tuple[EntryPoint, ...]:
    """The entry points of one kind ('tasks', 'models', 'rules') in all packages, as installed at the first call."""
    group = f"glebench.{kind}"
    try:
        return tuple(entry_points(group=group))
    except Exception:  # the entry points of some installed package cannot be read
        return tuple(_readable(group))


def _readable(group: str) -> Iterator[EntryPoint]:
    """The entry points of all distributions where they can be read; of two of the same name, the first on the path."""
    names: set[str | None] = set()
    for distribution in distributions():
        try:
            name, points = distribution.name, distribution.entry_points
        except Exception as error:  # a damaged file may raise any error
            place = getattr(distribution, "_path", distribution)
            complain(f"The entry points of {place} cannot be read: {described(error)}; they are left out.")
            continue
        if name not in names:
            names.add(name)
            yield from points.select(group=group)


def called(point: EntryPoint) -> str:
    """The name of a plugin in messages: its distribution and its entry point."""
    owner = f"Plugin {point.dist.name}" if point.dist else "A plugin"
    return f"{owner} ({point.group}: {point.name} = {point.value})"


@cache
def complain(sentence: str) -> None:
    """Logs what is wrong with a plugin, once in a process."""
    log.warning("%s", printable(sentence))


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turns any error of a plugin's code inside the block, `sys.exit` included, into one sentence with its place.

    Raises:
        GleBenchError: instead of any other error, except a user's interruption.
    """
    try:
        with redirect_stdout(sys.stderr):  # so that the plugin's prints do not mix with the command's output
            yield
    except GleBenchError:
        raise
    except BaseException as error:  # a plugin may raise anything, and must not end the program
        raise GleBenchError(f"{what} fails: {failure(error)}.") from error


def failure(error: BaseException) -> str:
    """An error of a plugin's code in half a sentence, by `described`.

    Raises:
        BaseException: the error itself, if it is a user's request to end.
    """
    if is_request(error):
        raise error
    return described(error)


def described(error: BaseException) -> str:
    """An error in half a sentence: its type, its first line, and the innermost place outside of glebench's own code."""
    try:
        first = next(iter(str(error).splitlines()), "").rstrip(".")
    except Exception:  # `__str__` of a plugin's error may itself fail
        first = ""
    if isinstance(error, GleBenchError):
        return first
    if isinstance(error, SystemExit):
        first = f"it calls sys.exit({error.code!r})"
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [frame for frame in frames if not frame.filename.startswith((str(PACKAGE), "<frozen"))]
    place = f" ({Path(foreign[-1].filename).name}, line {foreign[-1].lineno})" if foreign else ""
    kind = "" if isinstance(error, SystemExit) else type(error).__name__
    return f"{': '.join(filter(None, [kind, first]))}{place}"


def checked_pairs(pairs: object, source: str) -> Iterable[Pair]:
    """The valid pairs of a plugin's `PAIRS`; the others are logged and left out.

    The configurations of each are made here, once, so that later uses of a pair call none of the plugin's code.
    """
    from gle_bench.contracts import Pair

    if not isinstance(pairs, list | tuple):
        complain(f"{source}: PAIRS is {type(pairs).__name__}, not a list of pairs; its models are left out.")
        return
    for pair in pairs:
        if not isinstance(pair, Pair):
            complain(f"{source}: PAIRS holds {type(pair).__name__}, which is no Pair; it is left out.")
            continue
        try:
            with guarded("a pair"):
                checked_pair = _checked_pair(pair)
            yield checked_pair
        except GleBenchError as error:
            complain(f"{source}: {str(error).rstrip('.')}; the pair is left out.")


def checked_refusals(refused: object, source: str) -> Iterable[Refused]:
    """The valid entries of a plugin's `REFUSED`; the others are logged and left out."""
    for entry in refused if isinstance(refused, list | tuple) else [refused]:
        if _is_refused(entry):
            yield entry
        else:
            complain(f"{source}: REFUSED holds {type(entry).__name__}, which is no valid Refused; it is left out.")


def _is_refused(entry: object) -> TypeGuard[Refused]:
    """Whether an entry of `REFUSED` has names of models, a reason, and names of tasks or None."""
    from gle_bench.contracts import Refused

    if not isinstance(entry, Refused):
        return False
    declared: dict[str, Any] = vars(entry)  # a plugin may have put any value there
    models, reason, tasks = (declared.get(name) for name in ("models", "reason", "tasks"))
    lists = [models] if tasks is None else [models, tasks]
    named = all(isinstance(names, tuple) and all(isinstance(name, str) for name in names) for names in lists)
    return named and isinstance(reason, str) and reason != ""


def _checked_pair(pair: Pair) -> Pair:
    from gle_bench.contracts import Pair

    declared: dict[str, Any] = vars(pair)  # a plugin may have put any value there
    for name in (declared["task"], declared["model"]):
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise GleBenchError(f"{name!r} cannot name a task or a model")
    what = f"the pair of {pair.task} and {pair.model}"
    seeds, notes = declared["seeds"], declared["notes"]
    if not (isinstance(seeds, tuple) and seeds and all(type(s) is int and 0 <= s <= LARGEST_SEED for s in seeds)):
        raise GleBenchError(f"seeds = {seeds!r} of {what} are not a tuple of whole numbers from 0 to {LARGEST_SEED}")
    texts = [declared["summary"], *notes] if isinstance(notes, tuple | list) else [None]
    if len(set(seeds)) < len(seeds) or not all(isinstance(text, str) for text in texts):
        raise GleBenchError(f"{what} names a seed twice, or has a summary or notes that are no text")
    configurations = {budget: _configuration(pair, budget) for budget in BUDGETS}
    tried = declared.get("tried")
    if not (tried is None or (type(tried) is int and tried >= 0)):
        raise GleBenchError(f"tried = {tried!r} of {what} is no number")
    return Pair(pair.task, pair.model, configurations.__getitem__, seeds, pair.summary, tuple(notes), tried)


def _configuration(pair: Pair, budget: Budget) -> RunConfig:
    what = f"configure({budget!r}) of {pair.task} and {pair.model}"
    config: Any
    with guarded(what):
        config = pair.configure(budget)
    if not isinstance(config, RunConfig):
        raise GleBenchError(f"{what} returns {type(config).__name__}, not a RunConfig")
    if (config.task, config.model, config.budget) != (pair.task, pair.model, budget):
        raise GleBenchError(f"{what} returns another configuration, of {config.task}, {config.model}, {config.budget}")
    return config


def checked(make: Callable[[], Any], kind: type, name: str, source: str) -> Any:
    """The task or rule that `make` returns, which must be a `kind` and have the name under which it is registered.

    Raises:
        GleBenchError: it is not, or making it fails.
    """
    with guarded(source):
        instance = make()
    if not isinstance(instance, kind):
        raise GleBenchError(
            f"{source} is {type(instance).__name__}, not a {kind.__name__}; remove the plugin, or correct it."
        )
    if (own_name := getattr(instance, "name", None)) != name:
        raise GleBenchError(f"{source} has the name {own_name!r}, but is registered as {name!r}; give it one name.")
    return instance
