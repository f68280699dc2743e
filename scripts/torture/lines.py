"""Trials of random command lines in a folder of hostile files, which must succeed or fail with one sentence."""

import os
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from torture import shim
from torture.data import small_data
from torture.mutations import TEXTS
from torture.runs import KINDS
from torture.trials import CANARY, Trial
from torture.vocabulary import ARGUMENTS, COMMANDS, ENVIRONMENT, EVERY, MODELS, OFTEN, OPTIONS, SPECIAL

MODULES: Final = "typer click rich numpy statistics json yaml sitecustomize gle_bench torch csv".split()
STORED: Final = ("run", "list", "show", "table", "compare", "suite", "figure", "doctor")  # commands with --runs
LENGTHS: Final = ("seeds", "epochs", "batches", "steps", "hidden", "evaluate")  # settings that can make training long
SMALL: Final = {  # settings that make slow tasks fast
    "cifar10": ("--set", "channels=[2, 3]", "--set", "hidden=4", "--set", "images=12"),
    "gsc": ("--set", "batch_size=2", "--set", "evaluation_batch_size=2"),
}


def line(trial: Trial) -> None:
    """A trial with one random command line, run in a fork."""
    _line(trial, real=False)


def line_real(trial: Trial) -> None:
    """A trial with one random command line, run by the installed script beside modules with names of its imports."""
    for name in MODULES:
        (trial.home / f"{name}.py").write_text(f"open({str(trial.folder / CANARY)!r}, 'w').write({name!r})\n")
    _line(trial, real=True)


def _line(trial: Trial, real: bool) -> None:
    random = trial.random
    _surroundings(trial.home)
    words = [_passable(word) for word in words_of(random, trial.runs, _store(trial))]
    variables = {
        name: _passable(random.choice(values))
        for name, values in ENVIRONMENT.items()
        if random.random() < (0.1 if real else 0.05)
    }
    variables.setdefault("GLEBENCH_DATA", str(small_data(trial)))
    if real:
        process = trial.start(words, real=True, variables={**variables, **shim.confined(trial.folder)})
    else:
        process = trial.start(
            words, partial(shim.confine, trial.folder), variables=variables
        )  # confined, because as root it could do harm
    trial.count(f"exit code {trial.finish(process).code}")


def words_of(random: Random, runs: Path, store: Path) -> list[str]:
    """The words of a random command line; `runs` is an empty store, and `store` one with runs."""
    if random.random() < 0.03:
        odd = (*TEXTS[:8], *SPECIAL, "--version", "--help", "-h", "-x")
        return [random.choice(odd) for _ in range(random.randrange(4))]
    command = random.choice(COMMANDS)
    words = [command, *ARGUMENTS[command](random)]
    if command == "run" and random.random() < 0.85:  # mostly a model of the task
        words += ["--model", random.choice(MODELS.get(words[1], EVERY))]
    for name, value in OPTIONS[command].items():
        if random.random() < OFTEN.get(name, 0.25):
            given = value(random)
            words += [name] if given is None else random.choice(([name, given], [f"{name}={given}"]))
    if command in STORED and random.random() < 0.8:
        usual = str(runs if command == "run" else store)
        words += ["--runs", usual if random.random() < 0.9 else random.choice(SPECIAL)]
    if random.random() < 0.08:
        odd = (*TEXTS, *SPECIAL, "--help", "--odd", "-x", "--json=1")
        words.insert(random.randrange(len(words) + 1), random.choice(odd))
    if random.random() < 0.03:
        words += words[1:]
    return _bounded(words, command)


def _bounded(words: list[str], command: str) -> list[str]:
    """The arguments of a command with options added that keep it short and offline, without downloads or W&B."""
    if command == "run":
        task = words[1] if len(words) > 1 else ""
        long = not task.startswith("toy-") or any(name in word for word in words for name in LENGTHS)
        return [*words, *SMALL.get(task, ()), "--wandb", "off", *(["--dry-run"] if long else [])]
    if command == "suite":
        return [*words, "--dry-run"]
    if command == "bench":
        return [*words, "--repeats", "1", "--steps", "1", "--network", "gle-15k", "--engine", "native"]
    return [word for word in words if command != "prepare" or word not in ("gsc", "cifar10")]  # not downloaded


def _passable(word: str) -> str:
    """The word as an operating system can pass it on: without zeros, and with lone surrogates as raw bytes."""
    word = word.replace("\x00", "")
    return os.fsdecode(word.encode("utf-8", "surrogatepass")) if "\ud800" in word else word


def _surroundings(home: Path) -> None:
    """Makes pipes, closed folders, broken links and hostile suites in the working folder."""
    for name in ("fifo", "fifo.toml"):
        os.mkfifo(home / name)
    (home / "file").write_text("text\n")
    (home / "closed").mkdir(0)
    for name in ("loop", "loop.toml"):
        (home / name).symlink_to(name)
    (home / "dangling").symlink_to("nowhere")
    (home / "data.toml").write_text('[[run]]\ntask = "toy-classes"\nmodel = "toy-gle"\nseeds = "1,2"\n')
    (home / "deep.toml").write_text("run = " + "[" * 20_000 + "]" * 20_000)


def _store(trial: Trial) -> Path:
    """The folder of a store with a few runs, which is made once."""
    return trial.once(
        "small-store", lambda made: trial.glebench(*KINDS["ensemble"].command(made, trial.shared / "data"), code=0)
    )
