"""What `import gle_bench` gives: the commands of the command line as functions, and networks for loops of one's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gle_bench.chosen import resolve
from gle_bench.config import parse_seeds
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.files.disk import data_folder
from gle_bench.report.selection import Filter, Stored, select
from gle_bench.report.tables.brief import Choice
from gle_bench.report.tables.cells import Table
from gle_bench.report.terminal import runs as listing
from gle_bench.report.terminal.compare import Compared
from gle_bench.surroundings.home import expanded
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Store
from gle_bench.words import (
    BUDGETS,
    ORIGINS,
    PROTOCOLS,
    RERUNS,
    SELECTIONS,
    WANDB_MODES,
    Budget,
    Origin,
    Protocol,
    Rerun,
    Selection,
    WandbMode,
)

if TYPE_CHECKING:  # each takes a second or more to import
    import pandas as pd
    from matplotlib.figure import Figure
    from torch import nn

    from gle_bench.contracts import Split
    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.seams import Observer

RUNS = Path("runs")
Settings = Mapping[str, Any] | Iterable[str]  # {"rate": 0.01}, or ["rate=0.01"] as on the command line


@dataclass(frozen=True)
class Runs(Sequence[Record]):
    """Recorded runs, a record each. `run` and `runs` make them; `plot` and `module` read them.

    Attributes:
        stored: each run's folder and its record.
    """

    stored: tuple[Stored, ...]

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: Any) -> Any:
        """The record of one run; of a slice, the runs."""
        return Runs(self.stored[index]) if isinstance(index, slice) else self.stored[index][1]

    def __iter__(self) -> Iterator[Record]:
        return (record for _, record in self.stored)

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each run, with a column for every setting that differs from the model's own, and every metric."""
        import pandas as pd

        return pd.DataFrame(listing.flat([listing.Listed(listing.row(*each), each[1]) for each in self.stored]))

    def history(self) -> "pd.DataFrame":
        """A row for each evaluation of each run, with the columns of history.csv and the run's id and seed."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"run": record.run_id, "seed": record.seed, **row}
                for folder, record in self.stored
                for row in folder.read_history()
            ]
        )

    def __repr__(self) -> str:
        return str(self.to_pandas().to_string())

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(notebook=True))


def run(
    task: str,
    model: str = "gle",
    *,
    rule: str | None = None,
    seeds: str | int | Sequence[int] | None = None,
    budget: Budget = "short",
    protocol: Protocol = "paper",
    set: Settings = (),
    engine: str = "auto",
    device: str = "auto",
    wandb: WandbMode = "auto",
    accept_data: bool = False,
    offline: bool = False,
    rerun: Rerun = "missing",
    quiet: bool = False,
    observers: Sequence["Observer"] = (),
    runs: str | Path = RUNS,
    data: str | Path | None = None,
) -> Runs:
    """Trains a model on a task, and returns a run for each seed: `glebench run`, with the same options.

    Args:
        seeds: as on the command line, '0-9' or 'paper', or numbers; None: the first of the paper.
        set: settings to change, {"rate": 0.01} or ["rate=0.01"].
        observers: what shall watch every step of an online model (`gle_bench.Observer`).
        runs, data: the folders of all runs and of all data.

    Raises:
        GleBenchError: what is refused, with the cure; a run that fails has a record that says so.
    """
    _check(budget=budget, protocol=protocol, wandb=wandb, rerun=rerun)
    chosen = resolve(task, model, rule, protocol, budget, assignments(set))
    numbers = parse_seeds(_seed_text(seeds), chosen.pair.seeds)
    from gle_bench.training.execute import execute
    from gle_bench.training.plan import Settings as Surroundings

    folder = expanded(str(runs))
    surroundings = Surroundings(
        runs=folder,
        data=_data(data),
        offline=offline,
        accept_data=accept_data,
        engine=engine,
        device=device,
        wandb=wandb,
        rerun=rerun,
        report=_silent if quiet else print,
        quiet=quiet,
        observers=tuple(observers),
    )
    records = execute(chosen, numbers, surroundings)
    return Runs(tuple((Store(folder).folder_of(record, chosen.named_rule), record) for record in records))


def runs(
    *names: str,
    folder: str | Path = RUNS,
    task: str | None = None,
    model: str | Sequence[str] = (),
    rule: str | None = None,
    protocol: Protocol | None = None,
    budget: Budget | None = None,
    seeds: Sequence[int] = (),
) -> Runs:
    """The recorded runs of these names, those that come with glebench included: `glebench list runs`.

    Args:
        names: tasks, beginnings of runs' ids, or folders; none: all runs in `folder`, and no others.
        task, model, rule, protocol, budget, seeds: conditions that all runs fulfil; empty ones stand for none.

    Raises:
        GleBenchError: no such run.
    """
    _check(protocol=protocol, budget=budget)
    models = (model,) if isinstance(model, str) else tuple(model)
    wanted = Filter(task, models, rule, protocol, budget, tuple(seeds))
    root = expanded(str(folder))
    if not names:
        return Runs(tuple(each for each in Store(root).records()[0] if wanted.keeps(each[1])))
    return Runs(tuple(select(names, root, wanted)[0]))


def table(
    name: str,
    *,
    every: bool = False,
    protocol: Protocol | None = None,
    selection: Selection | None = None,
    models: Sequence[str] = (),
    only: Origin | None = None,
    runs: str | Path = RUNS,
) -> Table:
    """A table of the paper or of a task: `glebench table`. `every` stands for --all.

    Raises:
        GleBenchError: no such table, task or model.
    """
    from gle_bench.report.tables.table import table as make

    _check(protocol=protocol, selection=selection, only=only)
    return make(str(name), expanded(str(runs)), Choice(every, protocol, selection, tuple(models), only))[0]


def compare(
    task: str,
    *models: str,
    protocol: Protocol = "paper",
    selection: Selection = "last",
    budget: Budget | None = None,
    runs: str | Path = RUNS,
) -> Compared:
    """The ranks of a task's models, and a test of each pair of them: `glebench compare`.

    Raises:
        GleBenchError: fewer than two models with a result, or an unknown one.
    """
    from gle_bench.report.terminal.compare import compare as make

    _check(protocol=protocol, selection=selection, budget=budget)
    if not all(isinstance(model, str) for model in models):
        raise UsageError("compare takes each model as an argument of its own: compare('mnist1d', 'gle-15k', 'gru').")
    return make(task, models, expanded(str(runs)), protocol, selection, budget)[0]


def figure(
    name: str,
    *,
    model: str | None = None,
    seed: int | None = None,
    protocol: Protocol = "paper",
    runs: str | Path = RUNS,
) -> "Figure":
    """A figure of the paper, drawn by matplotlib: `glebench figure`.

    Raises:
        GleBenchError: no such figure, a figure without data, or none of its runs is there.
    """
    from gle_bench.report.figures import figures, panels
    from gle_bench.report.figures.curves import Request

    _check(protocol=protocol)
    return panels.figure(figures.built(str(name), Request(expanded(str(runs)), model, seed, protocol))[0])


def plot(
    of: "Runs | str | Sequence[str]",
    *,
    x: str | Sequence[str] = (),
    metric: str | None = None,
    split: str | None = None,
    selection: Selection = "last",
    runs: str | Path = RUNS,
) -> "Figure":
    """Learning curves of runs, or their metric against one setting or two: `glebench plot`.

    Args:
        of: runs, or names as in `runs`.

    Raises:
        GleBenchError: there is nothing to draw, or more than a figure can show.
    """
    from gle_bench.report import plots
    from gle_bench.report.figures import panels

    _check(selection=selection)
    if not isinstance(of, Runs):
        of = Runs(tuple(select([of] if isinstance(of, str) else of, expanded(str(runs)))[0]))
    wanted = plots.Wanted((x,) if isinstance(x, str) else tuple(x), metric, split, selection)
    return panels.figure(plots.built(of.stored, wanted))


def network(task: str, model: str = "gle", *, set: Settings = ()) -> "Network":
    """The GLE network of a model on a task, for the functions of `gle_bench.dynamics`.

    Raises:
        GleBenchError: an unknown task, model or setting, or a model that is no GLE network.
    """
    from gle_bench.training.experiment import network_of

    made = network_of(resolve(task, model, None, "paper", "paper", assignments(set)))
    if made is None:
        raise UsageError(f"{model} is no GLE network; `gle_bench.module` gives the trained network of its run.")
    return made


def module(of: "Runs | Record | str", *, selection: Selection = "last", runs: str | Path = RUNS) -> "nn.Module":
    """The trained network of one run, as a module of PyTorch in evaluation mode, for a loop of one's own.

    It maps inputs (B, T, C_in) to outputs: (B, T, C_out) of a network that streams, or logits (B, C) of one that
    answers at the end. A GLE network, and every network that a closed loop suits, also has
    `start(B) -> state` and `step(x, state) -> (output, state)`.

    Args:
        of: a run, its record, or its name as in `runs`.
        selection: the weights of the last evaluation, or of the best one.

    Raises:
        GleBenchError: not exactly one run, or there are no weights of it.
    """
    from gle_bench.training.trained import trained

    _check(selection=selection)
    folder, record = _one(of, expanded(str(runs)))
    return trained(folder, record, selection)


def data(
    task: str,
    model: str = "gle",
    *,
    protocol: Protocol = "paper",
    seed: int | None = None,
    set: Settings = (),
    accept_data: bool = False,
    offline: bool = False,
    data: str | Path | None = None,
) -> "Mapping[str, Split]":
    """The splits of a task's data as a model sees them, {name: split}, for a loop of one's own; prepared if need be.

    A split has a length, and `fetch(indices, seed, epoch)` gives a batch with inputs (1, B, T, C_in) and targets.

    Args:
        seed: the seed whose data are meant, where every seed has its own; None: the first of the paper.

    Raises:
        GleBenchError: data that are missing, damaged, or neither official nor accepted.
    """
    _check(protocol=protocol)
    chosen = resolve(task, model, None, protocol, "paper", assignments(set))
    from gle_bench.training.plan import Settings as Surroundings
    from gle_bench.training.plan import load_data

    surroundings = Surroundings(RUNS, _data(data), offline=offline, accept_data=accept_data)
    (loaded,) = load_data(chosen, [chosen.pair.seeds[0] if seed is None else seed], surroundings).values()
    return loaded.splits


def assignments(settings: Settings) -> list[str]:
    """Settings as the words of `--set`, {"rate": 0.01} as ['rate=0.01']."""
    import json

    if not isinstance(settings, Mapping):
        return [settings] if isinstance(settings, str) else list(settings)
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]


def _check(**options: str | None) -> None:
    """Refuses a word that an option does not have; None stands for an option that is not given."""
    words: dict[str, tuple[str, ...]] = {
        "budget": BUDGETS,
        "only": ORIGINS,
        "protocol": PROTOCOLS,
        "rerun": RERUNS,
        "selection": SELECTIONS,
        "wandb": WANDB_MODES,
    }
    for option, value in options.items():
        if value is not None and value not in words[option]:
            raise UsageError(f"{option} = {value!r}: must be one of {', '.join(words[option])}.")


def _seed_text(seeds: str | int | Sequence[int] | None) -> str | None:
    if seeds is None or isinstance(seeds, str):
        return seeds
    return ",".join(map(str, [seeds] if isinstance(seeds, int) else seeds))


def _one(of: "Runs | Record | str", root: Path) -> tuple[RunFolder, Record]:
    """The one run that is meant, with its folder."""
    if not isinstance(of, Runs):
        of = runs(of if isinstance(of, str) else of.run_id, folder=root)
    if len(of) != 1:
        raise GleBenchError(f"{len(of)} runs are meant; give one of them: {', '.join(r.run_id for r in of)}.")
    return of.stored[0]


def _data(chosen: str | Path | None) -> Path:
    return data_folder(None if chosen is None else expanded(str(chosen)))


def _silent(_: str) -> None:
    """Prints nothing."""
