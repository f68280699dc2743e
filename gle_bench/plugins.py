"""What strangers' packages offer through entry points, and how their code is called: it may fail in any way.

A plugin that misbehaves is named once, on the log `gle_bench.plugins`, and costs its own entries and nothing else.
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
from typing import TYPE_CHECKING, Any

from gle_bench.config import LARGEST_SEED, RunConfig
from gle_bench.errors import NAME, GleBenchError, printable
from gle_bench.surroundings.processes import is_request
from gle_bench.words import BUDGETS, Budget

if TYPE_CHECKING:
    from gle_bench.contracts import Pair

PACKAGE = Path(__file__).parent
log = logging.getLogger(__name__)


@cache  # a look through every installed package takes ten milliseconds, and a table asks for names sixty times
def offered(kind: str) -> tuple[EntryPoint, ...]:
    """The entry points of that kind ('tasks', 'models', 'rules') of all that was installed when first asked."""
    group = f"glebench.{kind}"
    try:
        return tuple(entry_points(group=group))
    except Exception:  # one installed package, of whomever, has entry points that cannot be read
        return tuple(_readable(group))


def _readable(group: str) -> Iterator[EntryPoint]:
    """The entry points of those distributions that have readable ones; of two of one name, the first on the path."""
    names: set[str | None] = set()
    for distribution in distributions():
        try:
            name, points = distribution.name, distribution.entry_points
        except Exception as error:  # whatever a damaged file makes its reader stumble over
            place = getattr(distribution, "_path", distribution)
            complain(f"The entry points of {place} cannot be read: {described(error)}; they are left out.")
            continue
        if name not in names:
            names.add(name)
            yield from points.select(group=group)


def called(point: EntryPoint) -> str:
    """How a user recognises a plugin: by its distribution, and what it offers."""
    owner = f"Plugin {point.dist.name}" if point.dist else "A plugin"
    return f"{owner} ({point.group}: {point.name} = {point.value})"


@cache
def complain(sentence: str) -> None:
    """Names what a plugin does wrong, once a process."""
    log.warning("%s", printable(sentence))


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turns whatever goes wrong in a stranger's code, `sys.exit` included, into one sentence with its place.

    Raises:
        GleBenchError: instead of anything else that is raised inside, but for a user's interruption.
    """
    try:
        with redirect_stdout(sys.stderr):  # where what it prints cannot spoil what is asked for
            yield
    except GleBenchError:
        raise
    except BaseException as error:  # strangers' code may raise anything, and must not end the program
        raise GleBenchError(f"{what} fails: {failure(error)}.") from error


def failure(error: BaseException) -> str:
    """`described`, of whatever a stranger's code raised.

    Raises:
        BaseException: the error itself, where it is a user's request to end.
    """
    if is_request(error):
        raise error
    return described(error)


def described(error: BaseException) -> str:
    """An error in half a sentence: its kind, its first line, and the innermost place outside of glebench's own code."""
    try:
        first = next(iter(str(error).splitlines()), "").rstrip(".")
    except Exception:  # a stranger's error may have no text, and say so in its own way
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


def checked_pairs(found: object, source: str) -> Iterable[Pair]:
    """The pairs of a plugin's `PAIRS` that can be used; the others are named.

    Each is asked for its configurations here, once, so that nothing that it does can surprise a table later.
    """
    from gle_bench.contracts import Pair

    if not isinstance(found, list | tuple):
        complain(f"{source}: PAIRS is {type(found).__name__}, not a list of pairs; its models are left out.")
        return
    for pair in found:
        if not isinstance(pair, Pair):
            complain(f"{source}: PAIRS holds {type(pair).__name__}, which is no Pair; it is left out.")
            continue
        try:
            with guarded("a pair"):
                checked_pair = _checked_pair(pair)
            yield checked_pair
        except GleBenchError as error:
            complain(f"{source}: {str(error).rstrip('.')}; the pair is left out.")


def _checked_pair(pair: Pair) -> Pair:
    from gle_bench.contracts import Pair

    declared: dict[str, Any] = vars(pair)  # whatever a stranger has put there
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
        raise GleBenchError(f"{what} returns a configuration of {config.task}, {config.model} and {config.budget}")
    return config


def checked(make: Callable[[], Any], kind: type, name: str, source: str) -> Any:
    """An instance of a task's or a rule's class, which must be a `kind` and bear the name by which it is registered.

    Raises:
        GleBenchError: it is not, or cannot be made.
    """
    with guarded(source):
        found = make()
    if not isinstance(found, kind):
        raise GleBenchError(
            f"{source} is {type(found).__name__}, not a {kind.__name__}; remove the plugin, or mend it."
        )
    if getattr(found, "name", None) != name:
        own = getattr(found, "name", None)
        raise GleBenchError(f"{source} has the name {own!r}, but is registered as {name!r}; give it one name.")
    return found
