"""Trials of kills and other signals at random moments, after which the same command must resume to the same results."""

import signal
import time
from pathlib import Path
from typing import Final

from torture.processes import Process
from torture.runs import KINDS, RunKind, check_results, reference
from torture.trials import Trial

START_S: Final = 4.0  # seconds that the real command takes to import PyTorch, about
PATIENCE_S: Final = 60.0  # seconds that it may take on a busy machine
NAMES: Final = tuple(KINDS)
ALONE: Final = ("native", "offline", "offline-clean", "readout")  # a seed's last bits are the same alone


def kill(trial: Trial) -> None:
    """A trial with one to three SIGKILLs at random moments of a run, which sometimes reruns a finished one."""
    _kills(trial, real=False)


def kill_real(trial: Trial) -> None:
    """A trial with one SIGKILL of the installed script at a random moment of a run."""
    _kills(trial, real=True)


def _kills(trial: Trial, real: bool) -> None:
    name = NAMES[trial.number % len(NAMES)]
    kind, undisturbed = KINDS[name], reference(trial, name)
    words = command(trial, kind)
    rerun = () if trial.random.random() > 0.15 else ("--rerun", "always")
    if rerun:
        trial.glebench(*words, code=0)
    moments = []
    for number in range(1 if real else trial.random.choice((1, 1, 1, 2, 3))):
        moments.append(undisturbed.seconds * trial.random.uniform(0, 1.05))
        process = trial.start([*words, *(rerun if number == 0 else ())], real=real)
        if real:
            _started(trial, process)
        process.ended(moments[-1])
        process.send(signal.SIGKILL)
        trial.count("kills")
        done = trial.finish(process, (signal.SIGKILL,))
        trial.count("kills that hit", done.code == -signal.SIGKILL)
        trial.count("kills of a begun run", done.code == -signal.SIGKILL and is_begun(trial.runs))
    if trial.number % 4 == 0:
        look(trial)
    goes_on(trial, name, f"SIGKILL after {', '.join(f'{moment:.3f}' for moment in moments)} s")


def _started(trial: Trial, process: Process) -> None:
    """Waits until the real command has started to train or, in one case of five, for a random part of that time."""
    patience = START_S * trial.random.random() if trial.random.random() < 0.2 else PATIENCE_S
    deadline = time.monotonic() + patience
    while not is_running(trial.runs) and time.monotonic() < deadline and not process.ended(0.02):
        pass


def signals(trial: Trial) -> None:
    """A trial with SIGINT, SIGTERM or SIGHUP at a random moment, once or twice; one must end the run."""
    name = NAMES[trial.number % len(NAMES)]
    kind, undisturbed = KINDS[name], reference(trial, name)
    number = trial.random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    moment, twice = undisturbed.seconds * trial.random.uniform(0, 1.05), trial.random.random() < 0.3
    process = trial.start(command(trial, kind))
    process.ended(moment)
    process.send(signal.SIGSTOP)  # so that nothing happens between the check and the signal
    time.sleep(0.005)
    begun, running = is_begun(trial.runs), is_running(trial.runs)
    process.send(number)
    process.send(signal.SIGCONT)
    if twice:
        process.ended(trial.random.uniform(0, 0.1))
        process.send(number)
    done = trial.finish(process, (number,))
    detail = f"{number.name} after {moment:.3f} s{', twice' if twice else ''}"
    trial.count("signals")
    if running and done.code == 0:
        trial.fault("signal", f"{number.name} is swallowed", f"{name}: {detail}\n{done.err}")
    if done.code == 130 and begun and "glebench run" not in done.err:
        trial.fault("signal", "no command that resumes is told", f"{name}: {detail}\n{done.err}")
    look(trial)
    goes_on(trial, name, detail)


def stops(trial: Trial) -> None:
    """A trial with a stopped run, which a second command must not take for a killed one, and which then continues."""
    name = NAMES[trial.number % len(NAMES)]
    kind, undisturbed = KINDS[name], reference(trial, name)
    moment = undisturbed.seconds * trial.random.uniform(0.2, 0.9)
    first = trial.start(command(trial, kind))
    first.ended(moment)
    first.send(signal.SIGSTOP)
    begun = is_begun(trial.runs)
    second = trial.glebench(*command(trial, kind))
    first.send(signal.SIGCONT)
    done = trial.finish(first)
    codes = {done.code, second.code}
    detail = f"SIGSTOP after {moment:.3f} s, codes {done.code} and {second.code}\n{second.err}"
    if (begun and codes not in ({0, 1}, {0})) or (second.code == 1 and "is in use by" not in second.err):
        trial.fault("lock", "a stopped run is not respected", f"{name}: {detail}")
    goes_on(trial, name, detail)


def several(trial: Trial) -> None:
    """A trial with several commands on the same seeds at once, one of them sometimes killed; no result may be lost."""
    name = NAMES[trial.number % len(NAMES)]
    kind, undisturbed = KINDS[name], reference(trial, name)
    processes = []
    for _ in range(trial.random.randint(2, 4)):
        some = trial.random.sample(kind.seeds, trial.random.randint(1, len(kind.seeds)))
        processes.append(trial.start(command(trial, RunKind(kind.words, tuple(some), kind.engine))))
        time.sleep(trial.random.choice((0, 0, 0.02, undisturbed.seconds / 2)))
    killed = trial.random.random() < 0.5
    if killed:
        processes[0].ended(undisturbed.seconds * trial.random.random())
        processes[0].send(signal.SIGKILL)
    for process in processes:
        done = trial.finish(process, (signal.SIGKILL,) if process is processes[0] and killed else ())
        if done.code == 1 and "is in use by" not in done.err:
            trial.fault("lock", "a second command fails otherwise", done.err)
    goes_on(trial, name, f"{len(processes)} commands", compare=name in ALONE)


def command(trial: Trial, kind: RunKind, *more: str) -> list[str]:
    return kind.command(trial.runs, trial.shared / "data", *more)


def goes_on(trial: Trial, name: str, detail: str, compare: bool = True) -> None:
    """Repeats the command, which must succeed, with the reference's results and no files left over."""
    done = trial.glebench(*command(trial, KINDS[name]), code=0)
    if not trial.faults or done.code == 0:
        check_results(trial, name, detail, compare)


def look(trial: Trial) -> None:
    """Lists all runs, whose records must be whole at any time."""
    listed = trial.glebench("list", "runs", "--runs", str(trial.runs), "--json", code=0)
    if "Passed over" in listed.err:
        trial.fault("half-written", "a record that cannot be read", listed.err)


def is_begun(runs: Path) -> bool:
    return any(True for _ in runs.rglob("record.json"))


def is_running(runs: Path) -> bool:
    """Whether a record has the status 'running'."""
    return any('"status": "running"' in path.read_text() for path in runs.rglob("record.json"))
