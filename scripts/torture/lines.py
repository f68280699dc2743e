"""Random command lines: all commands and options, with values that fit, nearly fit, or were meant to hurt."""

import fcntl
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from torture import shim
from torture.data import small_data
from torture.mutations import RAWS, TEXTS
from torture.runs import KINDS
from torture.trials import CANARY, Trial

COMMANDS: Final = ("run", "list", "show", "table", "compare", "suite", "figure", "prepare", "bench", "doctor")
MODELS: Final = {
    "mnist1d": ("gle", "gle-15k", "mlp", "mlp-0", "gru", "tcn", "lagnet-le"),
    "gsc": ("gle", "mlp", "gru"),
    "cifar10": ("le", "bp"),
    "mackey-glass": ("gle", "esn", "mean", "persistence", "lstm"),
    "toy-classes": ("toy-gle", "toy-mlp", "toy-readout"),
    "toy-signal": ("toy-gle", "toy-mlp", "toy-readout"),
    "toy-loop": ("toy-gle", "toy-readout"),
    "toy-stream": ("toy-gle",),
    "toy-own-signal": ("toy-gle",),
}
TASKS: Final = (*MODELS, "toy-classes", "toy-signal")
EVERY: Final = tuple({model for models in MODELS.values() for model in models})
RULES: Final = ("gle", "backprop", "readout", "toy-bptt")
SETTINGS: Final = (
    *("epochs", "rate", "batches", "batch_size", "evaluation_batch_size", "evaluate_every", "schedule", "optimizer"),
    *("network", "options", "training", "precision", "steps", "hidden", "hidden_layers", "populations", "dt", "tau_m"),
    *(
        "weight_decay",
        "sampling",
        "shuffle",
        "loss",
        "grid",
        "delays",
        "ridge",
        "reads",
        "network.loss",
        "task",
        "seed",
    ),
    *("training.schedule.kind", "dropout", "version", "model_config", "__class__", "training.", ".", ""),
)
VALUES: Final = (
    *(
        "0",
        "1",
        "2",
        "-1",
        "0.5",
        "1e-3",
        "1e308",
        "1e-320",
        "1000000000000",
        "2.0",
        "true",
        "null",
        '""',
        "[]",
        "{}",
        "[1]",
    ),
    *(
        '{"kind": "plateau"}',
        '{"kind": "exponential", "final": 1e-9}',
        '{"kind": "phases", "later": []}',
        '{"kind": 3}',
    ),
    *('[{"neurons": 3, "tau_m": 1.0, "tau_r": 0.4}]', '{"hidden_layers": 0}', "paper", "float64", "adam", "[2, 3]"),
)
SEEDS: Final = (
    *("1", "0", "0-3", "3,5", "paper", "-1", "1-", "4294967295", "4294967296", "0-999", "0-1000", "5-1", "1,1", "1e3"),
    *(
        "",
        ",",
        "1,,2",
        "٣",
        "²",
        "0x1",
        "1_0",
        "9" * 5000,
        "1-" + "9" * 5000,
        "0-9" * 500,
        " 1 ",
        "+1",
        "1.5",
        "--seeds",
    ),
)
SPECIAL: Final = (
    *(
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/stdin",
        "/proc/self",
        "/proc/self/mem",
        "/sys",
        "/",
        "",
        ".",
        "..",
        "~",
    ),
    *(
        "~nobodyhere/x",
        "x" * 300,
        "a/" * 2000,
        "fifo",
        "file",
        "closed",
        "loop",
        "dangling",
        "a b",
        "$HOME",
        "\udcff",
        "a\nb",
    ),
    *("-", "--", "ö/ü", "wandb", "file/x", "data.toml", "fifo.toml", "loop.toml", "/dev/zero.toml", "deep.toml"),
)
ENVIRONMENT: Final = {
    "GLEBENCH_BUDGET": ("smoke", "paper", "", "odd"),
    "GLEBENCH_RUNS": ("", "~", "fifo", "/dev/null"),
    "GLEBENCH_DATA": ("", "~", "fifo", "/dev/null", "~nobodyhere/x"),
    "GLEBENCH_PROGRAM": ("", "x y", "\x1b[2J"),
    "COLUMNS": ("0", "-1", "1", "x", "100000", "9" * 30),
    "LINES": ("0", "x"),
    "TERM": ("dumb", "", "xterm-256color", "odd"),
    "NO_COLOR": ("1", ""),
    "FORCE_COLOR": ("1",),
    "PYTHONIOENCODING": ("ascii", "utf-8"),
    "LC_ALL": ("C", "de_DE.UTF-8", "odd"),
    "TZ": ("UTC", "odd", "Pacific/Kiritimati", ""),
    "HOME": ("", "/nonexistent", "relative"),
    "TMPDIR": ("/nonexistent",),
    "OMP_NUM_THREADS": ("0", "-1", "x", "1000"),
    "MPLBACKEND": ("odd", "module://no.such", "agg", ""),
    "WANDB_MODE": ("disabled", "odd"),
    "CUDA_VISIBLE_DEVICES": ("", "-1", "99"),
    "SLURM_NTASKS": ("1", "x"),
    "PL_TRAINER_MAX_EPOCHS": ("1", "x"),
}
MODULES: Final = (
    "typer",
    "click",
    "rich",
    "numpy",
    "statistics",
    "json",
    "yaml",
    "sitecustomize",
    "gle_bench",
    "torch",
    "csv",
)


def line(trial: Trial) -> None:
    """One command line in a folder of hostile files."""
    _line(trial, real=False)


def line_real(trial: Trial) -> None:
    """The same by the installed script, in a folder with modules that are called like those which it needs."""
    for name in MODULES:
        (trial.home / f"{name}.py").write_text(f"open({str(trial.folder / CANARY)!r}, 'w').write({name!r})\n")
    _line(trial, real=True)


def _line(trial: Trial, real: bool) -> None:
    random = trial.random
    _surroundings(trial)
    words = words_of(random, trial)
    variables = {
        name: random.choice(values)
        for name, values in ENVIRONMENT.items()
        if random.random() < (0.05 if not real else 0.1)
    }
    variables.setdefault("GLEBENCH_DATA", str(small_data(trial)))
    words = [word.replace("\x00", "") for word in words]  # no operating system passes it on
    words = [os.fsdecode(word.encode("utf-8", "surrogatepass")) if "\ud800" in word else word for word in words]
    variables = {name: text.replace("\x00", "") for name, text in variables.items()}
    before = None if real else partial(shim.confine, trial.folder)  # as root it could do harm
    jail = shim.confined(trial.folder) if real else {}
    done = trial.finish(trial.start(words, before, real=real, **variables, **jail))
    trial.count(f"exit code {done.code}")


def words_of(random: Random, trial: Trial) -> list[str]:
    """The words of a line."""
    if random.random() < 0.03:
        return [
            random.choice((*TEXTS[:8], *SPECIAL, "--version", "--help", "-h", "-x")) for _ in range(random.randrange(4))
        ]
    command = random.choice((*COMMANDS, "run", "run", "figure", "table"))
    words = [command, *ARGUMENTS[command](random)]
    if command == "run" and random.random() < 0.85:  # mostly one that fits
        words += ["--model", random.choice(MODELS.get(words[1], EVERY))]
    for name, value in OPTIONS[command].items():
        if random.random() < OFTEN.get(name, 0.25):
            given = value(random)
            words += [name] if given is None else random.choice(([name, given], [f"{name}={given}"]))
    if command in ("run", "list", "show", "table", "compare", "suite", "figure", "doctor"):
        runs = (
            str(trial.runs if command == "run" else _store(trial)) if random.random() < 0.9 else random.choice(SPECIAL)
        )
        words += ["--runs", runs] if random.random() < 0.8 else []
    if random.random() < 0.08:
        words.insert(
            random.randrange(len(words) + 1), random.choice((*TEXTS, *SPECIAL, "--help", "--odd", "-x", "--json=1"))
        )
    if random.random() < 0.03:
        words += words[1:]
    return _bounded(words, command)


def _bounded(words: list[str], command: str) -> list[str]:
    """Nothing is trained for long, measured for long, downloaded, or sent to W&B."""
    if command == "run":
        toy = len(words) > 1 and words[1].startswith("toy-") and not any("seeds" in word for word in words)
        long = not toy or any(
            name in word for word in words for name in ("epochs", "batches", "steps", "hidden", "evaluate")
        )
        words = [*words, "--wandb", "off", *(["--dry-run"] if long else [])]
    elif command == "suite":
        words = [*words, "--dry-run"]
    elif command == "bench":
        words = [*words, "--repeats", "1", "--steps", "1", "--network", "gle-15k", "--engine", "native"]
    elif command == "prepare":
        words = [word for word in words if word not in ("gsc", "cifar10")]  # which are downloads
    return words


def _any(*choices: tuple[str, ...], odd: float = 0.03) -> Callable[[Random], str]:
    """One of these, or, now and then, something odd."""

    def choose(random: Random) -> str:
        if random.random() < odd:
            return random.choice((*TEXTS, *SPECIAL))
        return random.choice(random.choice(choices))

    return choose


def _flag(random: Random) -> None:
    return None


def _setting(random: Random) -> str:
    key = random.choice(SETTINGS) if random.random() < 0.95 else random.choice(TEXTS)
    value = random.choice(VALUES) if random.random() < 0.8 else random.choice((*RAWS, *TEXTS))
    return f"{key}={value}" if random.random() < 0.97 else key + value


def _none(random: Random) -> list[str]:
    return []


NUMBERS: Final = ("0", "1", "-1", "2", "9" * 30, "x", "1.5", "", "1e3", "-0", "٣", "9" * 5000)
FORMATS: Final = ("md", "tex", "html", "csv", "pdf")
OUTS: Final = (
    "out.png",
    "out.svg",
    "out.pdf",
    "out.PNG",
    "out.txt",
    "out",
    "none/out.png",
    "/dev/null",
    "/dev/full.png",
    ".png",
)
RUN_NAMES: Final = ("mnist1d-mlp-0", "toy-classes-toy-gle", "mackey-glass-gle-", "toy", "mnist1d-", "gle", "mlp", "8d")
Value = Callable[[Random], str | None]
COMMON: Final[dict[str, Value]] = {"--json": _flag}
PROTOCOL: Final[dict[str, Value]] = {"--protocol": _any(("paper", "clean"))}
DATA: Final[dict[str, Value]] = {"--data": _any(SPECIAL, ("data",)), "--offline": _flag, "--accept-data": _flag}
OPTIONS: Final[dict[str, dict[str, Value]]] = {
    "run": {
        "--model": _any(EVERY),
        "--rule": _any(RULES),
        "--seeds": _any(SEEDS),
        "--budget": _any(("smoke", "short", "paper")),
        "--set": _setting,
        "--engine": _any(("auto", "torch", "native", "graph")),
        "--device": _any(("auto", "cpu", "cuda")),
        "--rerun": _any(("missing", "failed", "always")),
        "--dry-run": _flag,
        **PROTOCOL,
        **DATA,
        **COMMON,
    },
    "list": COMMON,
    "show": COMMON,
    "table": {"--format": _any(FORMATS), **COMMON},
    "compare": {"--selection": _any(("last", "best")), **PROTOCOL, **COMMON},
    "suite": {"--jobs": _any(NUMBERS), "--rerun": _any(("missing", "failed")), **DATA, **COMMON},
    "figure": {"--model": _any(EVERY), "--seed": _any(NUMBERS), "--out": _any(OUTS), **PROTOCOL, **COMMON},
    "prepare": {"--data": _any(SPECIAL, ("data",))},
    "bench": {"--threads": _any(NUMBERS), "--repeats": _any(NUMBERS), "--steps": _any(NUMBERS), **COMMON},
    "doctor": {"--data": _any(SPECIAL), **COMMON},
}
OFTEN: Final = {
    **{"--model": 0.05, "--seeds": 0.3, "--set": 0.5, "--rule": 0.1, "--engine": 0.15, "--device": 0.05, "--data": 0.1},
    **{"--json": 0.3, "--out": 0.5, "--seed": 0.1, "--jobs": 0.1},
}
ARGUMENTS: Final[dict[str, Callable[[Random], list[str]]]] = {
    "run": lambda random: [_any(TASKS)(random)],
    "list": lambda random: [_any(("tasks", "models", "rules", "runs"))(random)],
    "show": lambda random: [_any(TASKS, EVERY, RUN_NAMES, odd=0.3)(random)],
    "table": lambda random: [_any(("1", "2", "3"), TASKS)(random)],
    "compare": lambda random: [
        _any(TASKS)(random),
        *(_any(EVERY, tuple(f"{model}+gle" for model in EVERY))(random) for _ in range(random.randrange(3))),
    ],
    "suite": lambda random: [
        _any(("table2", "table3", "figure8"), ("data.toml", "fifo.toml", "deep.toml"), odd=0.2)(random)
    ],
    "figure": lambda random: [_any(("8d", "8e", "8f", "8g", "10"))(random)],
    "prepare": lambda random: [_any(TASKS)(random)],
    "bench": _none,
    "doctor": _none,
}


def _surroundings(trial: Trial) -> None:
    """Files that are none, in the working folder."""
    home = trial.home
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
    """A store with a few runs, made once."""
    made = trial.shared / "small-store"
    with (trial.shared / "small-store.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            trial.glebench(*KINDS["ensemble"].command(made, trial.shared / "data"), code=0)
    return made
