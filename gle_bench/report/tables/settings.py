"""The settings that the paper prints, beside ours: its Table 1, and the part of Table 3 that lists settings."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gle_bench import registry
from gle_bench.config import Plateau, RunConfig
from gle_bench.contracts import OnlineModel, Pair, Task
from gle_bench.contracts.parameters import parameter_count
from gle_bench.paper import COLUMNS, SETTINGS, Column
from gle_bench.report.tables.cells import Part, published_text, sample_text, superscript
from gle_bench.report.tables.rows import Row, Section

if TYPE_CHECKING:  # importing them takes a second, and a table of results needs no network
    from gle_bench.dynamics.network import Layer, Network

UNIFORM: Final = "U(-√k, √k), k = 1/fan-in"
FULL: Final = Section("paper", "last")  # the section whose results stand beside settings
DECIMALS: Final = 2  # of these results

# Table 1 --------------------------------------------------------------------------------------------------------------


class ComparedSetting(NamedTuple):
    """One setting of one network in Table 1: the paper's, ours, and a footnote, which may be empty."""

    column: Column
    parameter: str
    paper: str
    ours: str
    note: str


def compared_settings() -> Iterator[ComparedSetting]:
    """The lines of Table 1, network by network; our settings are those of the registered pairs.

    Raises:
        GleBenchError: one of its networks cannot be loaded.
    """
    for column in COLUMNS:
        key = f"{column.task}/{column.model}"
        ours = described(registry.task(column.task), registry.pair(column.task, column.model))
        for setting in SETTINGS:
            note = setting.notes.get(key, "")
            yield ComparedSetting(column, setting.name, setting.printed[key], ours[setting.name], note)


def described(task: Task, pair: Pair) -> dict[str, str]:
    """The settings of a pair's full run as Table 1 names and prints them, {name: text}."""
    config = pair.configure("paper")
    shape = task.shape(config.options)
    assert isinstance(config.network, OnlineModel)
    network = config.network.network(shape, task.learned_by(config.network).loss)
    training, held_out, *_ = task.sizes(config).values()  # by the test split where the paper holds nothing out
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
        "validation samples": f"{held_out:,}",
        "seeds": str(len(pair.seeds)),
    }


def _layers(network: "Network") -> dict[str, str]:
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


def _populations(layer: "Layer") -> list[list[tuple[float, float]]]:
    """The populations of a layer: neurons (tau_m, tau_r) that follow each other and have equal time constants."""
    return [list(run) for _, run in groupby(zip(layer.tau_m, layer.tau_r, strict=True))]


def _listed(values: Sequence[float]) -> str:
    return str(values[0]) if len(values) == 1 else f"[{', '.join(map(str, values))}]"


def _initial(model: OnlineModel, network: "Network") -> str:
    """The distribution of a network's initial weights: the paper's uniform one if they fit it, else 'other'."""
    parts = zip(network.blocks, model.initialise(network, 0), strict=True)
    drawn = [(b.like.inputs, p.weight) for b, p in parts if b.connection.plastic and p.weight is not None]
    reached = [float(weight.abs().max()) * inputs**0.5 for inputs, weight in drawn]
    return UNIFORM if all(0.8 < bound <= 1.0 + 1e-6 for bound in reached) else "other"


def _training(config: RunConfig) -> dict[str, str]:
    training, schedule = config.training, config.training.schedule
    plateau = schedule if isinstance(schedule, Plateau) else None
    return {
        "learning rate": f"{training.rate:.3g}",
        "optimizer": {"adam": "Adam", "sgd": "gradient descent"}[training.optimizer],
        "scheduler": "ReduceOnPlateau" if plateau else schedule.kind,
        "scheduler: gamma, patience": f"{plateau.factor}, {plateau.patience}" if plateau else "",
        "batch size": str(training.batch_size),
        "epochs": str(training.epochs or ""),
    }


# The settings that a table of results begins with ---------------------------------------------------------------------


class PrintedSettings(NamedTuple):
    """The settings and results of one model, from the paper or from glebench: a line of a table.

    Attributes:
        cells: {column: text}.
        notes: the footnotes, {column: text}.
    """

    model: str
    of: Literal["paper", "ours"]
    cells: Mapping[str, str]
    notes: Mapping[str, str]


def printed_settings(task: Task, pairs: Mapping[str, Pair], rows: Sequence[Row]) -> list[PrintedSettings]:
    """The settings that the paper's table of a task prints: for each model the paper's line, then ours.

    Our settings are those of a full run, our results those of the full runs among the rows. Nothing is returned where
    the paper has no such table.
    """
    models = dict.fromkeys(model for setting in task.setup for model in setting.printed)
    return [line for model in models for line in _printed(task, model, pairs.get(model), rows)]


def _printed(task: Task, model: str, pair: Pair | None, rows: Sequence[Row]) -> Iterator[PrintedSettings]:
    settings = {setting.name: setting.printed.get(model, "") for setting in task.setup}
    notes = {setting.name: setting.notes[model] for setting in task.setup if model in setting.notes}
    measured = [row for row in rows if row.section == FULL and row.model == model and not row.marks]
    splits = dict.fromkeys((task.evaluation_split("paper"), "test"))
    columns = {split: f"{split} {task.metric.unit}".rstrip() for split in splits}
    published = {cell.split: cell for cell in task.published if (cell.model, cell.selection) == (model, "last")}
    notes |= {columns[split]: cell.caveat for split, cell in published.items() if cell.caveat}
    results = {name: published_text(published[split]) if split in published else "" for split, name in columns.items()}
    yield PrintedSettings(model, "paper", settings | results, notes)
    if pair is not None:
        ours = _our_settings(task, pair.configure("paper"), measured)
        results = {column: _our_result(split, measured) for split, column in columns.items()}
        yield PrintedSettings(model, "ours", {name: ours.get(name, "") for name in settings} | results, {})


def _our_settings(task: Task, config: RunConfig, measured: Sequence[Row]) -> dict[str, str]:
    recorded = [row.parameters for row in measured if row.parameters is not None]
    count = recorded[0] if recorded else parameter_count(task, config)
    return {**task.describe(config), "parameters": f"{count:,}"}


def _our_result(split: str, rows: Sequence[Row]) -> str:
    for row in rows:
        if row.split == split and row.ours:
            return sample_text(row.ours, DECIMALS)
        if row.watched and row.watched.split == split:
            return sample_text(row.watched.ours, DECIMALS)
    return "not run"


def settings_part(lines: Sequence[PrintedSettings], numbers: Mapping[str, int]) -> Part:
    """The part of a table that shows these settings; `numbers` are those of its footnotes, {text: number}."""
    cells = []
    for line in lines:
        notes = {column: f" {superscript(numbers[note])}" for column, note in line.notes.items()}
        texts = {column: f"{text}{notes.get(column, '')}" for column, text in line.cells.items()}
        cells.append({"model": line.model, "of": line.of, **texts})
    return Part("As the paper's table has it, and as it is here", cells)
