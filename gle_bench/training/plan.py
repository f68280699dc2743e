"""The plan of a run: its experiment, its folders, and its seeds that are done already."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gle_bench.chosen import Chosen, hash_with
from gle_bench.contracts import ClosedFormRule, Data, GradientRule, OfflineModel, OnlineModel, OnlineRule, Task
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.choice import Choice
from gle_bench.dynamics.engines.interface import EngineRequest
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.dynamics.seams import Observer, Seams
from gle_bench.errors import GleBenchError, UsageError, look_up
from gle_bench.models.readout import ReadoutModel
from gle_bench.plugins import guarded
from gle_bench.tracking.arithmetic import refuse_other_arithmetic
from gle_bench.tracking.provenance import Plugin, changed_files, plugins_of
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Store
from gle_bench.tracking.wandb_content import UNLABELLED, Labels
from gle_bench.training.data import sampling_weights
from gle_bench.training.experiment import Experiment, network_of, seams_of
from gle_bench.words import PluginPart, Rerun, WandbMode


@dataclass(frozen=True)
class Settings:
    """The settings of a run that its configuration leaves open. Results depend on them in their last bits at most.

    Attributes:
        runs, data: the folders of all runs and of all data.
        offline: whether missing data are refused rather than downloaded.
        accept_data: whether data that are not the official ones may be used; every record says so.
        engine, device: names; 'auto' leaves the choice to glebench.
        wandb: mode of the W&B mirror.
        labels: the project, the group and the tags of the W&B runs.
        rerun: which seeds that have a record are run again: none, those that failed or diverged, or all.
        report: the function that prints a line for the user.
        quiet: whether no progress is displayed.
        before: called with the experiment and, for each seed to run, the batches that it has learned from already;
            after the folders are locked, before anything is written.
        observers: observers of the runs of an online model; only callers from Python can give them.
    """

    runs: Path
    data: Path
    offline: bool = False
    accept_data: bool = False
    engine: str = "auto"
    device: str = "auto"
    wandb: WandbMode = "auto"
    labels: Labels = UNLABELLED
    rerun: Rerun = "missing"
    report: Callable[[str], None] = print
    quiet: bool = False
    before: Callable[[Experiment, Mapping[int, int]], None] | None = None
    observers: tuple[Observer, ...] = ()


@dataclass(frozen=True)
class Plan:
    """An experiment, and what the store already has of it. `plan` makes it, and `execute` carries it out.

    Attributes:
        hash: the hash of all its runs.
        plugins: the plugins that supply its task, model or rule, with their code's digests.
        folders: the folder of each seed's run.
        finished: the records of seeds that need no run.
        pending: the folders of seeds to run.
    """

    experiment: Experiment
    hash: str
    plugins: Mapping[PluginPart, Plugin]
    folders: Mapping[int, RunFolder]
    finished: Mapping[int, Record]

    @property
    def pending(self) -> dict[int, RunFolder]:
        return {seed: folder for seed, folder in self.folders.items() if seed not in self.finished}


def plan(chosen: Chosen, seeds: Sequence[int], settings: Settings) -> Plan:
    """The plan of a run: chooses engine and device, loads the data, and reads the store.

    Raises:
        GleBenchError: a combination that is refused, or data that are missing.
    """
    experiment = _experiment(chosen, seeds, settings)
    config, data = chosen.config, experiment.data
    with guarded(f"The hash of {config.task}, {config.model} and {config.rule}"):
        digest = hash_with(chosen.task, chosen.rule, config, experiment.any_data.fingerprint)
    code, store = plugins_of(chosen.sources), Store(settings.runs)
    folders = {seed: store.folder(config.task, config.model, chosen.named_rule, digest, seed) for seed in seeds}
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
    return Plan(experiment, digest, code, folders, finished)


def _experiment(chosen: Chosen, seeds: Sequence[int], settings: Settings) -> Experiment:
    config = chosen.config
    with guarded(f"Task {config.task}"):
        chosen.task.shape(config.options)  # a plugin's task may fail, and is named here
    with guarded(f"Rule {config.rule}"):
        check_pair(chosen)
    refuse_other_arithmetic(os.environ)
    device = choose_device(settings.device)
    with guarded(f"Model {config.model}"):
        network = network_of(chosen)
        seams = seams_of(chosen, network, settings.observers)
    if network is not None:
        with guarded(f"Rule {config.rule}"):
            check_request(chosen, network, len(seeds), seams)
    with guarded(f"Model {config.model}"):
        engine = choose_engine(settings.engine, chosen, network, device, seams)
    with guarded(f"Loading the data of {config.task}"):
        data = load_data(chosen, seeds, settings)
        train = next(iter(data.values())).splits["train"]
        if not len(train):
            raise GleBenchError(f"The training split of {config.task} is empty; it needs samples to learn from.")
        sampling_weights(config.training, train)  # refuses a way of sampling that the split does not allow
    return Experiment(chosen, network, engine, device, data, seams)


def _refuse_changed_code(folder: RunFolder, record: Record, code: Mapping[PluginPart, Plugin]) -> None:
    """Refuses a record that other code of the same version made, since this code can neither return nor resume it.

    Raises:
        GleBenchError: code has changed; the error names the files.
    """
    if changed := changed_files(record.plugins, code):
        raise GleBenchError(
            f"{', '.join(changed)} changed since {folder.path} was run, and its version did not; "
            "raise the version, or run it anew with --rerun always."
        )


def stands(record: Record, rerun: Rerun) -> bool:
    """Whether the record of a seed is final, so that the seed is not run again."""
    return record.status == "done" or (rerun == "missing" and record.status in ("failed", "diverged"))


def choose_engine(name: str, chosen: Chosen, network: Network | None, device: str, seams: Seams) -> Choice:
    """The engine that runs `network` on that device, and why this one; `network` is None for an offline model.

    Raises:
        UsageError: an unknown engine, or one that cannot run it.
    """
    if network is None:
        return choice.choose_offline(name)
    config, rule = chosen.config, chosen.rule
    assert isinstance(rule, OnlineRule)
    dtype, feedback = getattr(torch, config.precision), chosen.task.feedback(config.options)
    return choice.choose(name, EngineRequest(network, rule, device, dtype, feedback, seams))


def choose_device(name: str) -> str:
    """The device to run on, 'cpu' or 'cuda'; 'auto' takes a GPU if there is one.

    Raises:
        UsageError: an unknown device, or a GPU where there is none.
    """
    look_up("device", name, {"auto": "", "cpu": "", "cuda": ""})
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch sees no GPU here; use --device cpu, or install a CUDA build of torch.")
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_pair(chosen: Chosen) -> None:
    """Refuses a rule by which the model cannot learn, and settings that do not suit the rule or the task.

    Raises:
        UsageError: the rule or a setting is refused; the error says why.
    """
    model, rule, config = chosen.config.network, chosen.rule, chosen.config
    if isinstance(rule, OnlineRule) and not isinstance(model, OnlineModel):
        own = "readout" if isinstance(model, ReadoutModel) else "backprop"
        raise UsageError(f"Rule '{rule.name}' needs a network that learns online; {config.model} learns by {own}.")
    if not isinstance(rule, OnlineRule | GradientRule | ClosedFormRule):
        kinds = "OnlineRule, GradientRule or ClosedFormRule"
        raise UsageError(f"Rule '{rule.name}' is {type(rule).__name__}, of no kind of rule; derive it from {kinds}.")
    if not isinstance(rule, OnlineRule) and not isinstance(model, OfflineModel):
        how = "solves for a linear readout" if isinstance(rule, ClosedFormRule) else "leaves gradients to autograd"
        raise UsageError(f"Rule '{rule.name}' {how}; {config.model} learns online, say by gle.")
    if isinstance(rule, ClosedFormRule) and not isinstance(model, ReadoutModel):
        raise UsageError(f"Rule '{rule.name}' solves for a linear readout; {config.model} has more to learn.")
    if reason := rule.refusal(model):
        raise UsageError(f"Rule '{rule.name}' cannot train {config.model}: {reason}; choose another --rule.")
    task, training = chosen.task, config.training
    if isinstance(model, OfflineModel) and not model.closed_loop and task.feedback(config.options) is not None:
        raise UsageError(f"{task.name} is evaluated in closed loop, and {config.model} cannot run step by step.")
    if training.weight_decay and not isinstance(rule, GradientRule):
        raise UsageError(f"weight_decay = {training.weight_decay} needs a rule that learns by autograd; set it to 0.")
    if training.average != "none" and isinstance(rule, ClosedFormRule):
        raise UsageError(
            f"average = {training.average}: rule '{rule.name}' solves for its weights at once, "
            "so that there is no path to average over; set it to none."
        )
    if task.stream and training.sampling != "once":
        raise UsageError(
            f"sampling = {training.sampling} would reorder {task.name}, which is one stream; set it to once."
        )
    if task.stream and (training.batch_size, training.evaluation_batch_size) != (task.streams, task.streams):
        raise UsageError(
            f"batch_size = {training.batch_size} and evaluation_batch_size = {training.evaluation_batch_size} "
            f"would cut {task.name} into pieces, which is {_streams(task.streams)}; set both to {task.streams}."
        )


def _streams(count: int) -> str:
    return "one unbroken stream" if count == 1 else f"{count} unbroken streams side by side"


def check_request(chosen: Chosen, network: Network, members: int, seams: Seams) -> None:
    """Refuses an online rule that cannot train the network on the task's samples, or not under these disturbances.

    Raises:
        UsageError: with the reason.
    """
    rule, config = chosen.rule, chosen.config
    assert isinstance(rule, OnlineRule)
    steps, itemsize = chosen.task.shape(config.options).steps, getattr(torch, config.precision).itemsize
    request = RuleRequest(network, steps, config.training.batch_size, members, itemsize)
    if reason := rule.refused(request) or rule.seams_refusal(seams):
        raise UsageError(f"Rule '{rule.name}' cannot train {config.model} on {config.task}: {reason}.")


def missing(task: Task, folder: Path, option: str) -> GleBenchError:
    """The error for data that are not in their folder and may not be downloaded because of `option`, with the cures."""
    ways = [f"run 'glebench prepare {task.name}'", f"drop {option}", *filter(None, [task.by_hand(folder)])]
    return GleBenchError(f"The data of {task.name} are not in {folder}; {', or '.join(ways)}.")


def load_data(chosen: Chosen, seeds: Sequence[int], settings: Settings) -> dict[int | None, Data]:
    """The task's data, prepared if they are not yet: by seed, or under None for all seeds.

    Raises:
        GleBenchError: they are missing, damaged, or neither official nor accepted.
    """
    task, options = chosen.task, chosen.config.options
    folder = settings.data / task.name
    if not task.is_prepared(folder, options):
        if settings.offline:
            raise missing(task, folder, "--offline")
        task.prepare(folder, options, settings.report)
    keys: list[int | None] = [*seeds] if task.data_per_seed else [None]
    data = {key: task.load(folder, options, chosen.config.protocol, key) for key in keys}
    if not settings.accept_data and not all(part.official for part in data.values()):
        raise GleBenchError(
            f"The data in {folder} are not the official {task.name}; "
            "use them with --accept-data, which marks the results."
        )
    for note in dict.fromkeys(note for part in data.values() for note in part.notes):
        settings.report(f"{task.name}: {note}")
    return data
