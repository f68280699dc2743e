"""The paper's Table 1: the settings of its GLE networks, beside those of ours, read off their configurations."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

import torch

from gle_bench import registry
from gle_bench.config import Plateau, RunConfig
from gle_bench.contracts import OnlineModel, Pair, Task
from gle_bench.dynamics.network import Layer, Network
from gle_bench.paper import COLUMNS, SETTINGS, Column
from gle_bench.report.output import csv_cells
from gle_bench.report.tables.cells import Part, Sheet, superscript
from gle_bench.report.tables.layouts import LAYOUTS
from gle_bench.words import TableFormat

TITLE: Final = "Table 1 - Neurons, networks and training of the GLE networks"
CAPTION: Final = (
    "Paper: as printed in Table 1, arXiv:2403.16933. Ours: from the configuration of a full run under protocol paper.\n"
    "Time constants are those of the populations of each hidden layer; what stands below a LagNet is fixed."
)
UNIFORM: Final = "U(-√k, √k), k = 1/fan-in"


class ComparedSetting(NamedTuple):
    """One setting of one network; `notes` are footnotes."""

    column: Column
    parameter: str
    paper: str
    ours: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Hyperparameters:
    """Table 1, network by network; footnotes are numbered from 1."""

    lines: tuple[ComparedSetting, ...]

    @property
    def footnotes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(note for line in self.lines for note in line.notes))

    def numbers(self, line: ComparedSetting) -> tuple[int, ...]:
        return tuple(self.footnotes.index(note) + 1 for note in line.notes)


def build() -> Hyperparameters:
    """The table, from the pairs that are registered.

    Raises:
        GleBenchError: if one of its networks cannot be loaded.
    """
    return Hyperparameters(tuple(line for column in COLUMNS for line in _lines(column)))


def _lines(column: Column) -> Iterator[ComparedSetting]:
    key = f"{column.task}/{column.model}"
    ours = described(registry.task(column.task), registry.pair(column.task, column.model))
    for setting in SETTINGS:
        note = setting.notes.get(key)
        yield ComparedSetting(column, setting.name, setting.printed[key], ours[setting.name], (note,) if note else ())


def described(task: Task, pair: Pair) -> dict[str, str]:
    """Our side of `SETTINGS`, of the pair's full run: {name of the setting: as printed}."""
    config = pair.configure("paper")
    shape = task.shape(config.options)
    assert isinstance(config.network, OnlineModel)
    network = config.network.network(shape, task.learned_by(config.network).loss)
    training, *held_out = task.sizes(
        config
    ).values()  # where nothing is held out, the paper validates by the test split
    return {
        "dt": str(network.dt),
        "T": f"{shape.steps * network.dt:g} = {shape.steps} dt",
        **_layers(network),
        "output activation": {"ce": "softmax", "mse": "none"}[network.loss],
        "cost": {"ce": "cross-entropy", "mse": "mean squared error"}[network.loss],
        "output size": str(network.outputs),
        "beta": str(network.beta),
        "initial weights, biases": _initial(config.network, network),
        **_training(config),
        "training samples": f"{training:,}",
        "validation samples": f"{held_out[0]:,}",
        "seeds": str(len(pair.seeds)),
    }


def _layers(network: Network) -> dict[str, str]:
    plastic = [layer for layer in network.layers if layer.connection.plastic]
    *hidden, _ = plastic
    populations = _populations(hidden[0])
    sizes = [len(neurons) for neurons in populations] if len(populations) > 1 else [layer.neurons for layer in hidden]
    instantaneous = all(layer.tau_m == layer.tau_r for layer in hidden)
    lags = len(plastic) < len(network.layers)
    return {
        "tau_m": _listed([neurons[0][0] for neurons in populations]),
        "tau_r": _listed([neurons[0][1] for neurons in populations]),
        "activation": ", then ".join(dict.fromkeys(layer.phi for layer in hidden)),
        "architecture": f"{'LagNet + ' if lags else ''}{'LE-MLP' if instantaneous else 'GLE FC'}",
        "hidden layers": str(len(hidden)),
        "input size": str(plastic[0].inputs),
        "hidden layer size": " + ".join(map(str, sizes)),
        "gamma": ", ".join(dict.fromkeys(str(layer.gamma) for layer in plastic)),
    }


def _populations(layer: Layer) -> list[list[tuple[float, float]]]:
    """Runs of neurons with the same time constants: (tau_m, tau_r) of each."""
    return [list(run) for _, run in groupby(zip(layer.tau_m, layer.tau_r, strict=True))]


def _listed(values: Sequence[float]) -> str:
    return str(values[0]) if len(values) == 1 else f"[{', '.join(map(str, values))}]"


def _initial(model: OnlineModel, network: Network) -> str:
    """Whether weights are as the paper's distribution would have them: within its bounds, and up to them."""
    parts = zip(network.blocks, model.initialise(network, 0), strict=True)
    drawn = [(b.like.inputs, p.weight) for b, p in parts if b.connection.plastic and p.weight is not None]
    reached = [float(torch.max(weight.abs())) * inputs**0.5 for inputs, weight in drawn]
    return UNIFORM if all(0.8 < bound <= 1.0 + 1e-6 for bound in reached) else "other"


def _training(config: RunConfig) -> dict[str, str]:
    training, schedule = config.training, config.training.schedule
    plateau = isinstance(schedule, Plateau)
    return {
        "learning rate": f"{training.rate:.3g}",
        "optimizer": {"adam": "Adam", "sgd": "gradient descent"}[training.optimizer],
        "scheduler": "ReduceOnPlateau" if plateau else schedule.kind,
        "scheduler: gamma, patience": f"{schedule.factor}, {schedule.patience}"
        if isinstance(schedule, Plateau)
        else "",
        "batch size": str(training.batch_size),
        "epochs": str(training.epochs or ""),
    }


def sheet(built: Hyperparameters) -> Sheet:
    """One part a network."""
    parts = []
    for column, lines in groupby(built.lines, key=lambda line: line.column):
        cells = [
            {
                "parameter": " ".join([line.parameter, *map(superscript, built.numbers(line))]),
                "in the paper": line.paper,
                "in glebench": line.ours,
            }
            for line in lines
        ]
        parts.append(Part(f"{column.heading}: {column.model} on {column.task}", cells))
    return Sheet(TITLE, CAPTION, parts, built.footnotes, ())


def render(built: Hyperparameters, format: TableFormat = "md") -> str:
    """The table laid out, or as CSV, one setting of one network a line."""
    if format != "csv":
        return LAYOUTS[format](sheet(built))
    file = io.StringIO(newline="")
    plain = as_json(built)["rows"]
    writer = csv.DictWriter(file, list(plain[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv_cells(row | {"footnotes": "; ".join(map(str, row["footnotes"]))}) for row in plain)
    return file.getvalue()


def as_json(built: Hyperparameters) -> dict[str, Any]:
    """Plain data."""
    return {
        "title": TITLE,
        "caption": CAPTION,
        "rows": [
            {
                "task": line.column.task,
                "model": line.column.model,
                "parameter": line.parameter,
                "paper": line.paper,
                "ours": line.ours,
                "footnotes": list(built.numbers(line)),
            }
            for line in built.lines
        ],
        "footnotes": list(built.footnotes),
    }
