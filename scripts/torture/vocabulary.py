"""The vocabulary of random command lines: valid and hostile words for every command, option and variable."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from torture.mutations import RAWS, TEXTS

Value = Callable[[Random], str | None]

COMMANDS: Final = (*["run"] * 6, *"list show table compare suite figure".split() * 2, "prepare", "doctor", "bench")
MODELS: Final = {
    "mnist1d": "gle gle-15k mlp mlp-0 gru tcn lagnet-le".split(),
    "gsc": "gle mlp gru".split(),
    "cifar10": "le bp".split(),
    "mackey-glass": "gle esn mean persistence lstm".split(),
    "toy-classes": "toy-gle toy-mlp toy-readout".split(),
    "toy-signal": "toy-gle toy-mlp toy-readout".split(),
    "toy-loop": "toy-gle toy-readout".split(),
    "toy-stream": ["toy-gle"],
    "toy-own-signal": ["toy-gle"],
}
TOYS: Final = [name for name in MODELS if name.startswith("toy")]
TASKS: Final = [*MODELS, *TOYS, "mnist1d", "mackey-glass"]
EVERY: Final = list(dict.fromkeys(model for models in MODELS.values() for model in models))
RULES: Final = "gle backprop readout toy-bptt".split()
SETTINGS: Final = (
    "epochs rate batches batch_size evaluation_batch_size evaluate_every schedule optimizer weight_decay sampling "
    "shuffle network options training precision steps hidden hidden_layers populations dt tau_m loss grid delays "
    "ridge reads network.loss task seed training.schedule.kind dropout version model_config __class__ training. . "
).split(" ")
VALUES: Final = (
    *"0 1 2 -1 0.5 1e-3 1e308 1e-320 1000000000000 2.0 true null [] {} [1] paper float64 adam".split(),
    '""',
    "[2, 3]",
    '{"kind": "plateau"}',
    '{"kind": "exponential", "final": 1e-9}',
    '{"kind": "phases", "later": []}',
    '{"kind": 3}',
    '[{"neurons": 3, "tau_m": 1.0, "tau_r": 0.4}]',
    '{"hidden_layers": 0}',
)
SEEDS: Final = (
    *"1 0 2 0-3 paper -1 1- 4294967295 4294967296 0-999 0-1000 5-1 1,1 1e3 , 1,,2 ٣ ² 0x1 1_0 +1 1.5 3,5".split(),
    "",
    " 1 ",
    "9" * 5000,
    "1-" + "9" * 5000,
    "0-9" * 500,
)
SPECIAL: Final = (
    *"/dev/null /dev/zero /dev/full /dev/stdin /proc/self /proc/self/mem /sys / . .. ~ ~nobodyhere/x fifo file".split(),
    *"closed loop dangling $HOME - -- ö/ü wandb file/x data.toml fifo.toml loop.toml /dev/zero.toml deep.toml".split(),
    *("", "a b", "a\nb", "\udcff", "x" * 300, "a/" * 2000),
)
NUMBERS: Final = ("0", "1", "-1", "2", "9" * 30, "x", "1.5", "", "1e3", "-0", "٣", "9" * 5000)
FORMATS: Final = "md tex html csv pdf".split()
OUTS: Final = "out.png out.svg out.pdf out.PNG out.txt out none/out.png /dev/null /dev/full.png .png".split()
RUN_NAMES: Final = "mnist1d-mlp-0 toy-classes-toy-gle mackey-glass-gle- toy mnist1d- gle mlp 8d".split()
SUITES: Final = "table2 table3 figure8 data.toml fifo.toml deep.toml".split()
ENVIRONMENT: Final[Mapping[str, tuple[str, ...]]] = {
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
    "OMP_NUM_THREADS": ("0", "-1", "x", "1000"),
    "MPLBACKEND": ("odd", "module://no.such", "agg", ""),
    "WANDB_MODE": ("disabled", "odd"),
    "CUDA_VISIBLE_DEVICES": ("", "-1", "99"),
    "SLURM_NTASKS": ("1", "x"),
    "PL_TRAINER_MAX_EPOCHS": ("1", "x"),
}


def one_of(*choices: list[str] | tuple[str, ...], odd: float = 0.03) -> Callable[[Random], str]:
    """A function that chooses one of these words or, with the probability `odd`, a hostile one."""

    def choose(random: Random) -> str:
        if random.random() < odd:
            return random.choice((*TEXTS, *SPECIAL))
        return random.choice(random.choice(choices))

    return choose


def flag(random: Random) -> None:
    """The value None, for an option that takes no value."""


def setting(random: Random) -> str:
    """A random assignment for --set."""
    key = random.choice(SETTINGS) if random.random() < 0.95 else random.choice(TEXTS)
    value = random.choice(VALUES) if random.random() < 0.8 else random.choice((*RAWS, *TEXTS))
    return f"{key}={value}" if random.random() < 0.97 else key + value


def compared(random: Random) -> list[str]:
    """The arguments of `compare`: a task and up to two models."""
    models = one_of(EVERY, [f"{model}+gle" for model in EVERY])
    return [one_of(TASKS)(random), *(models(random) for _ in range(random.randrange(3)))]


COMMON: Final[dict[str, Value]] = {"--json": flag}
PROTOCOL: Final[dict[str, Value]] = {"--protocol": one_of(["paper", "clean"])}
DATA: Final[dict[str, Value]] = {"--data": one_of(SPECIAL, ["data"]), "--offline": flag, "--accept-data": flag}
OPTIONS: Final[dict[str, dict[str, Value]]] = {
    "run": {
        "--model": one_of(EVERY),
        "--rule": one_of(RULES),
        "--seeds": one_of(SEEDS),
        "--budget": one_of(["smoke", "short", "paper"]),
        "--set": setting,
        "--engine": one_of(["auto", "torch", "native", "graph"]),
        "--device": one_of(["auto", "cpu", "cuda"]),
        "--rerun": one_of(["missing", "failed", "always"]),
        "--dry-run": flag,
        **PROTOCOL,
        **DATA,
        **COMMON,
    },
    "list": COMMON,
    "show": COMMON,
    "table": {
        "--format": one_of(FORMATS),
        "--all": flag,
        "--selection": one_of(["last", "best"]),
        "--only": one_of(["mine", "published-records"]),
        "--model": one_of(EVERY),
        **PROTOCOL,
        **COMMON,
    },
    "compare": {
        "--selection": one_of(["last", "best"]),
        "--budget": one_of(["smoke", "short", "paper"]),
        "--pairs": flag,
        **PROTOCOL,
        **COMMON,
    },
    "suite": {"--jobs": one_of(NUMBERS), "--rerun": one_of(["missing", "failed"]), **DATA, **COMMON},
    "figure": {"--model": one_of(EVERY), "--seed": one_of(NUMBERS), "--out": one_of(OUTS), **PROTOCOL, **COMMON},
    "prepare": {"--data": one_of(SPECIAL, ["data"])},
    "bench": {"--threads": one_of(NUMBERS), "--repeats": one_of(NUMBERS), "--steps": one_of(NUMBERS), **COMMON},
    "doctor": {"--data": one_of(SPECIAL), **COMMON},
}
OFTEN: Final = {  # probabilities of options; of all others 0.25
    **{"--model": 0.05, "--seeds": 0.3, "--set": 0.5, "--rule": 0.1, "--engine": 0.15, "--device": 0.05, "--data": 0.1},
    **{"--json": 0.3, "--out": 0.15, "--seed": 0.1, "--jobs": 0.1},
}
ARGUMENTS: Final[dict[str, Callable[[Random], list[str]]]] = {
    "run": lambda random: [one_of(TASKS)(random)],
    "list": lambda random: [one_of(["tasks", "models", "rules", "runs"])(random)],
    "show": lambda random: [one_of(TASKS, EVERY, RUN_NAMES, odd=0.3)(random)],
    "table": lambda random: [one_of(["1", "2", "3"], TASKS)(random)],
    "compare": compared,
    "suite": lambda random: [one_of(SUITES, odd=0.2)(random)],
    "figure": lambda random: [one_of(["8d", "8e", "8f", "8g", "10"])(random)],
    "prepare": lambda random: [one_of(TASKS)(random)],
    "bench": lambda random: [],
    "doctor": lambda random: [],
}
