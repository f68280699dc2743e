"""Trials of faulty plugins: each may lose its own entries only, and take no name that exists already."""

import json
from pathlib import Path
from typing import Any, Final

from torture import processes
from torture.trials import Trial

POINTS: Final = ("models", "tasks", "rules")
HEAD: Final = """
from typing import ClassVar
from gle_bench.config import RunConfig, TaskOptions, TrainingConfig
from gle_bench.contracts import LearningRule, Pair, Task, OfflineModel, Shape
"""
PAIR: Final = """
def configure(budget):
    from toys import PAIRS as known
    return known[0].configure(budget)
"""
BODIES: Final = {
    "raises": "raise RuntimeError('no luck\\x1b[2J\\nsecond line')",
    "raises nothing": "raise Exception",
    "raises odd text": "raise ValueError('\\ud800 ' + 'x' * 10000)",
    "leaves": "import sys; sys.exit(0)",
    "leaves with 3": "import sys; sys.exit(3)",
    "leaves with text": "import sys; sys.exit('good bye')",
    "stops": "raise KeyboardInterrupt",
    "generator exit": "raise GeneratorExit",
    "base exception": "class Odd(BaseException): pass\nraise Odd('odd')",
    "recursion": "def f(): f()\nf()",
    "memory": "raise MemoryError",
    "assertion": "assert False",
    "syntax": "def f(:",
    "no encoding": "# \\xff",
    "imports nothing": "import no_such_module_anywhere",
    "prints": "print('hello from a plugin')",
    "warns": "import warnings; warnings.warn('a plugin warns')",
    "unprintable": "class Odd(Exception):\n    def __str__(self): raise RuntimeError('no text')\nraise Odd",
    "empty": "",
    "pairs None": "PAIRS = None",
    "pairs number": "PAIRS = 7",
    "pairs text": "PAIRS = 'text'",
    "pairs of numbers": "PAIRS = (1, 2)",
    "pairs generator": "PAIRS = (x for x in [1 / 0])",
    "pairs of classes": "PAIRS = (Pair, Task)",
    "pair without configuration": "PAIRS = (Pair('toy-classes', 'odd', None, (1,), 'odd'),)",
    "pair that raises": "def f(b): raise RuntimeError('odd')\nPAIRS = (Pair('toy-classes', 'odd', f, (1,), 'odd'),)",
    "pair that leaves": "def f(b): raise SystemExit(0)\nPAIRS = (Pair('toy-classes', 'odd', f, (1,), 'odd'),)",
    "pair of None": "PAIRS = (Pair('toy-classes', 'odd', lambda b: None, (1,), 'odd'),)",
    "pair of no task": PAIR + "PAIRS = (Pair('no-such-task', 'odd', configure, (1,), 'odd'),)",
    "pair without seeds": PAIR + "PAIRS = (Pair('toy-classes', 'odd', configure, (), 'odd'),)",
    "pair with odd seeds": PAIR + "PAIRS = (Pair('toy-classes', 'odd', configure, ('a', None), 'odd'),)",
    "pair with a number's seeds": PAIR + "PAIRS = (Pair('toy-classes', 'odd', configure, 3, 'odd'),)",
    "pair with odd names": PAIR + "PAIRS = (Pair(None, 3, configure, (1,), None),)",
    "pair with a path's name": PAIR + "PAIRS = (Pair('toy-classes', '../../x', configure, (1,), 'odd'),)",
    "pair with control characters": PAIR
    + "PAIRS = (Pair('toy-classes', 'o\\x1b[2Jdd', configure, (1,), 'a\\nb\\x1b'),)",
    "our pair": PAIR + "PAIRS = (Pair('mnist1d', 'mlp', configure, (99,), 'stolen'),)",
    "another plugin's pair": PAIR + "PAIRS = (Pair('toy-classes', 'toy-gle', configure, (99,), 'stolen'),)",
    "the same pair twice": PAIR + "PAIRS = 2 * (Pair('toy-classes', 'odd', configure, (1,), 'odd'),)",
    "empty class": "class Odd: pass",
    "abstract task": "class Odd(Task): pass",
    "constructor raises": "class Odd:\n    def __init__(self): raise RuntimeError('odd')",
    "constructor leaves": "class Odd:\n    def __init__(self): raise SystemExit(0)",
    "constructor with arguments": "class Odd:\n    def __init__(self, a, b): pass",
    "a function": "def Odd(): return None",
    "not callable": "Odd = 5",
    "getattr raises": "def __getattr__(name): raise RuntimeError(name)",
}
PLACES: Final = (
    "odd_plugin",
    "odd_plugin:Odd",
    "odd_plugin:",
    ":",
    "",
    "odd plugin",
    "odd_plugin:a.b",
    "no.such:Odd",
    "os:_exit",
)
NAMES: Final = ("odd", "mnist1d", "gle", "toy-classes", "toys", "toy-bptt", "a b", "../x", "o\x1b[2Jdd", "ö", "x" * 500)
READING: Final = (
    ("list", "models"),
    ("list", "tasks"),
    ("list", "rules"),
    ("list", "runs"),
    ("show", "mnist1d"),
    ("show", "toy-classes"),
    ("table", "toy-classes"),
    ("table", "1"),
    ("compare", "toy-classes"),
    ("suite", "table2", "--dry-run"),
    ("doctor",),
    ("run", "toy-classes", "--model", "toy-mlp", "--dry-run"),
    ("run", "toy-classes", "--model", "odd", "--dry-run"),
    ("run", "odd", "--model", "toy-mlp", "--dry-run"),
    ("run", "toy-classes", "--model", "toy-gle", "--rule", "odd", "--dry-run"),
    ("show", "odd"),
    ("prepare", "toy-classes"),
)


def plugin(trial: Trial) -> None:
    """A trial with a faulty plugin beside the others, and commands that load it; all other entries must stay listed."""
    random = trial.random
    body = random.choice(sorted(BODIES))
    points = random.sample(POINTS, random.choice((1, 1, 2, 3)))
    place = random.choice((*(["odd_plugin"] * 4), *(["odd_plugin:Odd"] * 4), *PLACES))
    if body.startswith("pair"):
        place, points = "odd_plugin", ["models"]
    name = random.choice(("odd", "odd", "odd", *NAMES))
    folder = trial.folder / "plugin"
    _write(folder, BODIES[body], points, name, place, broken=random.random() < 0.1)
    described = f"plugin '{body}' as {name!r} = {place!r} in {points}"
    for kind in random.sample(POINTS, 2):
        _listed(trial, kind, folder, described, shared=body == "another plugin's pair" or name.startswith("toy"))
    for words in random.sample(READING, 3):
        runs = () if words[0] == "prepare" else ("--runs", str(trial.runs))
        done = _start(trial, folder, *words, *runs)
        if words[:2] == ("show", "mnist1d") and done.code != 0:
            trial.fault("plugin", f"it breaks {' '.join(words)}", f"{described}\n{done.err}")


def _write(folder: Path, body: str, points: list[str], name: str, place: str, broken: bool) -> None:
    info = folder / "odd_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "odd_plugin.py").write_bytes(f'"""Odd."""\n{HEAD}\n{body}\n'.encode("utf-8", "surrogateescape"))
    lines = [line for kind in points for line in (f"[glebench.{kind}]", f"{name} = {place}")]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    if not broken:  # an interrupted pip leaves a folder without METADATA
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugin\nVersion: 1.0\n")


def _start(trial: Trial, folder: Path, *words: str) -> processes.Finished:
    path = f"{folder}:{processes.SUPPORT}"
    return trial.finish(trial.start(words, lambda: _install(folder), variables={"PYTHONPATH": path}))


def _install(folder: Path) -> None:
    """Puts the folder on the path, as if it had been there when this process started."""
    import importlib
    import sys

    from gle_bench import plugins, registry

    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    for function in [*vars(registry).values(), *vars(plugins).values()]:  # forgets earlier look-ups
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def _listed(trial: Trial, kind: str, folder: Path, described: str, shared: bool) -> None:
    """Checks that the plugin removes no entry of a list, but for toy entries if they share names with the plugin's."""
    done = _start(trial, folder, "list", kind, "--json", "--runs", str(trial.runs))
    if done.code is None:
        return
    try:
        rows = json.loads(done.out)
    except ValueError:
        rows = []
    lost = [row for row in _without_plugin(trial, kind) if row not in rows and not (shared and "toy" in str(row))]
    if lost:
        trial.fault("plugin", f"list {kind} lacks or changes what others bring", f"{described}\n{lost[:3]}\n{done.err}")


def _without_plugin(trial: Trial, kind: str) -> list[dict[str, Any]]:
    """The rows of a list without the plugin."""
    path = trial.shared / f"list-{kind}.json"
    if not path.exists():
        path.write_text(trial.glebench("list", kind, "--json", code=0).out)
    rows: list[dict[str, Any]] = json.loads(path.read_text())
    return rows
