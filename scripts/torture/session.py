"""A session of the torture suite: trials, in several processes, until all are done or the time is over."""

import gc
import itertools
import pkgutil
import random
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from torture import operations, shim
from torture.catalogue import CATALOGUE
from torture.faults import Fault
from torture.kills import NAMES
from torture.report import Report
from torture.runs import reference
from torture.trials import Outcome, Trial

SECONDS: Final = 120.0  # the time limit if no option limits the trials
ENDLESS: Final = 1 << 40  # the number of trials of a kind that only the time limits


@dataclass(frozen=True)
class Choice:
    """The options of a session, which `__main__` explains."""

    seed: int
    kinds: list[str]
    trial: int | None
    count: int | None
    seconds: float | None
    long: bool
    jobs: int
    keep: bool


def run(choice: Choice, workspace: Path, out: Path | None) -> int:
    """Runs all trials, prints progress and faults, and writes the report; returns 1 if there were faults."""
    report = Report(choice.seed, asdict(choice))
    preload()
    (workspace / "shared").mkdir(parents=True, exist_ok=True)
    bounded = choice.trial is not None or choice.count is not None or choice.long
    seconds = choice.seconds if choice.seconds is not None else None if bounded else SECONDS
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        for outcome in _outcomes(choice, workspace, deadline):
            report.add(outcome)
    except KeyboardInterrupt:
        print("Interrupted; the report has all trials until then.", file=sys.stderr)
    report.close(out)
    return 1 if report.faults else 0


def preload() -> None:
    """Imports all modules that a command may need, and searches plugins, once for all forks."""
    import gle_bench
    from gle_bench import plugins, registry

    names = [module.name for module in pkgutil.walk_packages(gle_bench.__path__, "gle_bench.")]
    for package in ("gle_bench.tasks", "gle_bench.baselines"):
        names += [module.name for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")]
    # Compiled libraries are not modules, and no command imports the contract tests.
    names = [name for name in names if "native._" not in name and not name.startswith("gle_bench.testing")]
    for name in (*names, "toys", "mnist1d.data", "matplotlib.backends.backend_agg", "scipy.stats"):
        try:
            import_module(name)
        except ImportError as error:
            print(f"{name} cannot be imported: {error}", file=sys.stderr)
    registry.pairs()
    for kind in ("tasks", "models", "rules"):
        plugins.offered(kind)
    gc.collect()
    gc.freeze()  # so that collections in forks do not copy memory


def _outcomes(choice: Choice, workspace: Path, deadline: float | None) -> Iterator[Outcome]:
    trials = _trials(choice, workspace)
    with ProcessPoolExecutor(choice.jobs, get_context("fork")) as pool:
        waiting: set[Future[Outcome]] = set()
        while True:
            over = deadline is not None and time.monotonic() > deadline
            some = () if over else itertools.islice(trials, 2 * choice.jobs - len(waiting))
            waiting |= {pool.submit(one, choice.seed, *each, workspace, choice.keep) for each in some}
            if not waiting:
                return
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)


def _trials(choice: Choice, workspace: Path) -> Iterator[tuple[str, int]]:
    """The kinds and numbers of the session's trials: one trial, all of each kind, or all kinds in turn."""
    usable = [name for name in choice.kinds if shim.loaded() or not CATALOGUE[name].shim]
    if choice.trial is not None:
        return iter([(name, choice.trial) for name in usable])
    streams = {name: _numbers(name, choice, workspace) for name in usable}
    if choice.count is None and not choice.long:
        return _in_turn(streams)
    return ((name, number) for name, numbers in streams.items() for number in numbers)


def _numbers(name: str, choice: Choice, workspace: Path) -> Iterator[int]:
    """The numbers of a kind's trials; those of `operations` are a list, shuffled by the seed unless --long is given."""
    limit = choice.count if choice.count is not None else CATALOGUE[name].long if choice.long else None
    if name != "operations":
        return iter(range(ENDLESS if limit is None else limit))
    session = Trial(choice.seed, "session", 0, workspace)
    listed = operations.numbers([reference(session, each) for each in NAMES])
    if not choice.long:
        random.Random(choice.seed).shuffle(listed)
    return iter(listed[:limit])


def _in_turn(streams: dict[str, Iterator[int]]) -> Iterator[tuple[str, int]]:
    """Trials of all kinds in turn, as many of each as its share, until none is left."""
    while streams:
        for name in list(streams):
            some = list(itertools.islice(streams[name], max(1, CATALOGUE[name].share)))
            if not some:
                del streams[name]
            yield from ((name, number) for number in some)


def one(seed: int, kind: str, number: int, workspace: Path, keep: bool) -> Outcome:
    """The outcome of one trial; an error of the trial itself counts as a fault."""
    trial, began, before = Trial(seed, kind, number, workspace), time.monotonic(), _computed()
    try:
        CATALOGUE[kind].make(trial)
    except Exception as error:  # a fault of glebench or of the trial
        trial.faults.append(Fault("trial", f"{type(error).__name__} in the trial itself", traceback.format_exc()))
    trial.end(keep=keep and bool(trial.faults))
    if not keep:
        shutil.rmtree(trial.folder, ignore_errors=True)
    return Outcome(kind, number, time.monotonic() - began, _computed() - before, trial.counts, tuple(trial.faults))


def _computed() -> float:
    """The seconds of computing of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(whose)[:2]) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
