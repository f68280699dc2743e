"""Trials of a run that is killed, or whose disk fails, at its n-th file operation, for every n."""

import resource
import signal
import subprocess
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from torture import shim
from torture.kills import NAMES, command, goes_on, look
from torture.runs import KINDS, Reference, reference
from torture.trials import Trial

STRIDE: Final = 1 << 16  # a trial's number is (2 x kind of run + action) x STRIDE + n
SENTENCES: Final = ("Cannot ", "No space", "Free some space", "failed:")
CLOCK_SPAN_S: Final = 7200


class Place(NamedTuple):
    """The kind of run, the action and the file operation of a trial."""

    run: str
    action: int
    operation: int

    @classmethod
    def of(cls, number: int) -> "Place":
        rest, operation = divmod(number, STRIDE)
        run, action = divmod(rest, 2)
        return cls(NAMES[run], (shim.KILL, shim.HALF)[action], operation)


def numbers(references: Sequence[Reference]) -> list[int]:
    """The numbers of all trials of `kill_operation`: before each operation of a kind of run, and within each write."""
    return [
        (2 * run + half) * STRIDE + n
        for run, undisturbed in enumerate(references)
        for half, places in enumerate((range(1, undisturbed.operations + 1), undisturbed.writes))
        for n in places
    ]


def kill_operation(trial: Trial) -> None:
    """A trial in which a run is killed before its n-th file operation, or half-way through it."""
    place = Place.of(trial.number)
    plan = shim.Plan(trial.runs, place.operation, place.action)
    done = trial.finish(trial.start(command(trial, KINDS[place.run]), plan.arm), (signal.SIGKILL,))
    trial.count("kills")
    trial.count("kills that hit", done.code == -signal.SIGKILL)
    look(trial)
    goes_on(trial, place.run, f"killed {'at' if place.action == shim.KILL else 'after'} operation {place.operation}")


def kill_resumed(trial: Trial) -> None:
    """A trial in which a run is killed at some file operation, and again when it is resumed; sometimes with --rerun."""
    name = NAMES[trial.number % len(NAMES)]
    total, strikes = reference(trial, name).operations, []
    again = trial.random.random() < 0.3
    if again:
        trial.glebench(*command(trial, KINDS[name]), code=0)
    for number in range(trial.random.choice((2, 2, 3))):
        plan = shim.Plan(trial.runs, trial.random.randint(1, total), trial.random.choice((shim.KILL, shim.HALF)))
        rerun = ("--rerun", "always") if again and number == 0 else ()
        done = trial.finish(trial.start(command(trial, KINDS[name], *rerun), plan.arm), (signal.SIGKILL,))
        strikes.append(plan.number)
        trial.count("kills")
        trial.count("kills that hit", done.code == -signal.SIGKILL)
    goes_on(trial, name, f"killed at operations {', '.join(map(str, strikes))}")


def hostile_disk(trial: Trial) -> None:
    """A trial whose disk fails at the n-th operation, or from there on; a repeated command must succeed afterwards."""
    name = NAMES[trial.number % len(NAMES)]
    kind, (error, kinds) = trial.random.choice(sorted(shim.DISKS.items()))
    number = trial.random.randint(1, reference(trial, name).operations)
    action = trial.random.choice((shim.FAIL, shim.FAIL, shim.ONCE))
    plan = shim.Plan(trial.runs, number, action, error, kinds)
    done = trial.finish(trial.start(command(trial, KINDS[name]), plan.arm))
    detail = f"disk {kind} {'from' if action == shim.FAIL else 'at'} operation {number}"
    trial.count(f"disks {kind}")
    _judge_refusal(trial, name, detail, done.code, done.err)
    _goes_on_again(trial, name, detail)


def small_files(trial: Trial) -> None:
    """A trial in which no file may grow beyond some size."""
    name = NAMES[trial.number % len(NAMES)]
    limit = trial.random.choice((0, 1, 100, 1000, 3000, 5000, 10000))
    bound = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    done = trial.finish(trial.start(command(trial, KINDS[name]), bound))
    _judge_refusal(trial, name, f"files of {limit} bytes", done.code, done.err)
    _goes_on_again(trial, name, f"files of {limit} bytes")


def small_disk(trial: Trial) -> None:
    """A trial with a store on a disk that becomes full; only root can make such a disk."""
    name = NAMES[trial.number % len(NAMES)]
    kilobytes = trial.random.choice((4, 8, 16, 24, 32, 48, 64, 128))
    trial.runs.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(trial.runs)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        trial.count("disks that could not be made")
        return
    try:
        done = trial.finish(trial.start(command(trial, KINDS[name])))
        _judge_refusal(trial, name, f"a disk of {kilobytes} KiB", done.code, done.err)
        subprocess.run(["mount", "-o", "remount,size=64m", str(trial.runs)], check=True)
        _goes_on_again(trial, name, f"a disk of {kilobytes} KiB")
    finally:
        subprocess.run(["umount", "-l", str(trial.runs)], check=True)


def clock_jumps(trial: Trial) -> None:
    """A trial with a clock that jumps by a random time, forwards or backwards, every few times that it is read."""
    name = NAMES[trial.number % len(NAMES)]
    period, span = trial.random.choice((1, 3, 10, 100)), trial.random.choice((5, 3600, CLOCK_SPAN_S, 10**8))
    before = partial(shim.shift_clock, period, span, trial.random.getrandbits(32))
    process = trial.start(command(trial, KINDS[name]), before)
    if trial.random.random() < 0.5:
        process.ended(reference(trial, name).seconds * trial.random.random())
        process.send(signal.SIGKILL)
    trial.finish(process, (signal.SIGKILL,))
    done = trial.finish(trial.start(command(trial, KINDS[name]), before))
    if done.code != 0:
        trial.fault("clock", f"code {done.code} under a clock that jumps", done.err)
    goes_on(trial, name, f"clock jumps every {period} by up to {span} s")


def _judge_refusal(trial: Trial, name: str, detail: str, code: int | None, err: str) -> None:
    """Reports a fault if a run failed because of the disk, and its message does not say so."""
    if code == 1 and not any(sentence in err for sentence in SENTENCES):
        trial.fault("disk", "the disk is not named", f"{name}: {detail}\n{err}")
    trial.count("refusals", code == 1)


def _goes_on_again(trial: Trial, name: str, detail: str) -> None:
    """Repeats the command on a good disk, with failed seeds run again."""
    look(trial)
    trial.glebench(*command(trial, KINDS[name], "--rerun", "failed"), code=0)
    goes_on(trial, name, detail)
