"""From a configuration to what there is to do: data, folders, and which seeds are done, to resume or to start."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.contracts import Data, OfflineModel, OnlineModel, Task
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.choice import Choice
from gle_bench.dynamics.engines.interface import Job
from gle_bench.errors import GleBenchError, UsageError, look_up
from gle_bench.models.readout import ReadoutModel
from gle_bench.plugins import guarded
from gle_bench.tracking.arithmetic import refuse_other_arithmetic
from gle_bench.tracking.provenance import Plugin, changed_files, plugins_of
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Store
from gle_bench.training.data import round_ends, sampling_weights
from gle_bench.training.modules.base import Experiment
from gle_bench.words import PluginPart, Rerun, WandbMode


@dataclass(frozen=True)
class Settings:
    """How to run, which changes nothing of what is computed but the last bits.

    Attributes:
        runs, data: the store and the folder of all data.
        offline: data that are missing are not fetched.
        accept_data: data that are not official may be used; every record says so.
        engine, device: 'auto' picks.
        wandb: mode of the mirror.
        rerun: which existing records are made anew: none, those that failed or diverged, or all.
        report: where one-line news go.
    """

    runs: Path
    data: Path
    offline: bool = False
    accept_data: bool = False
    engine: str = "auto"
    device: str = "auto"
    wandb: WandbMode = "auto"
    rerun: Rerun = "missing"
    report: Callable[[str], None] = print


@dataclass(frozen=True)
class Plan:
    """What `execute` will do.

    Attributes:
        data: each seed's own, or None's for all.
        plugins: the code of what plugins supply.
        finished: records that already say how their seeds ended.
        pending: seeds to run, with their folders.
    """

    experiment: Experiment
    engine_reason: str
    device: str
    data: Mapping[int | None, Data]
    hash: str
    plugins: Mapping[PluginPart, Plugin]
    folders: Mapping[int, RunFolder]
    finished: Mapping[int, Record]
    pending: Mapping[int, RunFolder]

    @property
    def any_data(self) -> Data:
        return next(iter(self.data.values()))

    @property
    def samples(self) -> int:
        return len(self.any_data.splits["train"])

    @property
    def watched(self) -> str:
        """The split that is evaluated while training."""
        return self.experiment.task.evaluation_split(self.experiment.config.protocol)

    @property
    def keeps_test(self) -> bool:
        """Whether there is a test split that is looked at only when training is over."""
        return self.watched != "test" and "test" in self.any_data.splits

    @property
    def ends(self) -> list[int]:
        """Batches seen at the end of each round."""
        return round_ends(self.experiment.config.training, self.samples)

    @property
    def under(self) -> dict[str, Any]:
        """What a checkpoint can only be resumed under, if the end is to be bit-identical."""
        engine = choice.make(self.experiment.engine)
        threads = {"threads": torch.get_num_threads()} if engine.threads_matter else {}
        return {"engine": engine.name, "device": self.device, **threads}


def plan(config: RunConfig, seeds: Sequence[int], settings: Settings) -> Plan:
    """Resolves all names, gets the data, and looks into the store.

    Raises:
        GleBenchError: what is unknown, does not fit together, or cannot be had.
    """
    task, rule = registry.task(config.task), registry.rule(config.rule)
    with guarded(f"Task {config.task}"):
        experiment = Experiment(config, task, rule)
    with guarded(f"Rule {config.rule}"):
        check_pair(experiment)
    refuse_other_arithmetic(os.environ)
    device = choose_device(settings.device)
    with guarded(f"Model {config.model}"):
        experiment.engine, reason = choose_engine(settings.engine, experiment, device)
    with guarded(f"Loading the data of {config.task}"):
        data = load_data(experiment, seeds, settings)
        train = next(iter(data.values())).splits["train"]
        if not len(train):
            raise GleBenchError(f"The training split of {config.task} is empty; it needs samples to learn from.")
        sampling_weights(config.training, train)  # refuses what cannot be drawn
    with guarded(f"The hash of {config.task}, {config.model} and {config.rule}"):
        digest = registry.hash_with(task, rule, config, next(iter(data.values())).fingerprint)
    code = plugins_of(config.task, config.model, config.rule)
    store, own = Store(settings.runs), default_rule(config)
    named = None if config.rule == own else config.rule
    folders = {seed: store.folder(config.task, config.model, named, digest, seed) for seed in seeds}
    finished = {}
    for seed, folder in folders.items():
        record = None if settings.rerun == "always" else folder.read()
        if record is None:
            continue
        used = data.get(seed) or data[None]
        if record.data.fingerprint != used.fingerprint:  # where seeds have data of their own, the hash is one for all
            raise GleBenchError(f"{folder.path} was learned from other data; use another --runs, or --rerun always.")
        _refuse_changed_code(folder, record, code)
        if stands(record, settings.rerun):
            finished[seed] = record
    pending = {seed: folder for seed, folder in folders.items() if seed not in finished}
    return Plan(experiment, reason, device, data, digest, code, folders, finished, pending)


def _refuse_changed_code(folder: RunFolder, record: Record, code: Mapping[PluginPart, Plugin]) -> None:
    """A record by other code of the same version is neither the result of this code nor something to go on with.

    Raises:
        GleBenchError: names the files that changed.
    """
    if changed := changed_files(record.plugins, code):
        raise GleBenchError(
            f"{', '.join(changed)} changed since {folder.path} was run, and its version did not; "
            "raise the version, or run it anew with --rerun always."
        )


def stands(record: Record, rerun: Rerun) -> bool:
    """Whether a record is the end of its run, and not the trace of one to go on with."""
    return record.status == "done" or (rerun == "missing" and record.status in ("failed", "diverged"))


def default_rule(config: RunConfig) -> str:
    """The rule that the pair's own configuration names."""
    return registry.pair(config.task, config.model).configure(config.budget).rule


def choose_engine(name: str, experiment: Experiment, device: str) -> Choice:
    """The engine of the experiment on that device, and why this one.

    Raises:
        UsageError: unknown, or one that cannot run it.
    """
    config, task, rule = experiment.config, experiment.task, experiment.rule
    if not isinstance(config.network, OnlineModel):
        return choice.choose_offline(name)
    network = config.network.network(experiment.shape, task.loss)
    feedback = task.feedback(config.options)
    return choice.choose(name, Job(network, rule, rule.engines, device, experiment.dtype, feedback))


def choose_device(name: str) -> str:
    """'cpu' or 'cuda'.

    Raises:
        UsageError: unknown, or a GPU is asked for where there is none.
    """
    look_up("device", name, {"auto": "", "cpu": "", "cuda": ""})
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch sees no GPU here; use --device cpu, or install a CUDA build of torch.")
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_pair(experiment: Experiment) -> None:
    """Refuses a rule that the model cannot learn by.

    Raises:
        UsageError: with the reason.
    """
    model, rule, config = experiment.config.network, experiment.rule, experiment.config
    if rule.online and not isinstance(model, OnlineModel):
        raise UsageError(f"Rule '{rule.name}' needs a network that learns online; {config.model} learns by backprop.")
    if not rule.online and not isinstance(model, OfflineModel):
        how = "solves for a linear readout" if rule.closed_form else "leaves gradients to autograd"
        raise UsageError(f"Rule '{rule.name}' {how}; {config.model} learns online, say by gle.")
    if not rule.online and not rule.autograd and not rule.closed_form:
        raise UsageError(f"Rule '{rule.name}' learns neither online, by autograd nor in closed form: it cannot be run.")
    if rule.closed_form and not isinstance(model, ReadoutModel):
        raise UsageError(f"Rule '{rule.name}' solves for a linear readout; {config.model} has more to learn.")
    task, training = experiment.task, config.training
    if isinstance(model, OfflineModel) and not model.closed_loop and task.feedback(config.options) is not None:
        raise UsageError(f"{task.name} is evaluated in closed loop, which {config.model} cannot be: it has no steps.")
    if training.weight_decay and not rule.autograd:
        raise UsageError(f"weight_decay = {training.weight_decay} is of learning by autograd; set it to 0.")
    if task.stream and training.sampling != "once":
        raise UsageError(f"sampling = {training.sampling} would tear {task.name} apart, which is one unbroken stream.")
    if task.stream and (training.batch_size, training.evaluation_batch_size) != (1, 1):
        raise UsageError(
            f"batch_size = {training.batch_size} and evaluation_batch_size = {training.evaluation_batch_size} "
            f"would tear {task.name} apart, which is one unbroken stream; set both to 1."
        )


def missing(task: Task, folder: Path, option: str) -> GleBenchError:
    """That the task's data are not in its folder, which `option` leaves so, and the ways to get them there."""
    ways = [f"run 'glebench prepare {task.name}'", f"drop {option}", *filter(None, [task.by_hand(folder)])]
    return GleBenchError(f"The data of {task.name} are not in {folder}; {', or '.join(ways)}.")


def load_data(experiment: Experiment, seeds: Sequence[int], settings: Settings) -> dict[int | None, Data]:
    """The task's data, prepared if need be: each seed's own, or None's for all.

    Raises:
        GleBenchError: they cannot be had, are damaged, or are not official and not accepted.
    """
    task, options = experiment.task, experiment.config.options
    folder = settings.data / task.name
    if not task.is_prepared(folder, options):
        if settings.offline:
            raise missing(task, folder, "--offline")
        task.prepare(folder, options, settings.report)
    keys: list[int | None] = [*seeds] if task.data_per_seed else [None]
    data = {key: task.load(folder, options, experiment.config.protocol, key) for key in keys}
    if not settings.accept_data and not all(part.official for part in data.values()):
        raise GleBenchError(
            f"The data in {folder} are not the official {task.name}; "
            "use them with --accept-data, which marks the results."
        )
    for note in dict.fromkeys(note for part in data.values() for note in part.notes):
        settings.report(f"{task.name}: {note}")
    return data
