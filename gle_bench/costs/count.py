"""The count of a trained network's costs, by NeuroBench's hooks and by glebench itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from gle_bench.chosen import resolved
from gle_bench.contracts import Batch, OnlineModel
from gle_bench.costs import neurobench as harness
from gle_bench.costs.exhibits import Activated, Evaluated, gle_exhibit
from gle_bench.costs.tracing import traced_exhibit
from gle_bench.dynamics.ensemble import from_plain
from gle_bench.dynamics.network import Network
from gle_bench.errors import GleBenchError
from gle_bench.tracking.configuration import configuration_of
from gle_bench.tracking.costs import Complexity, ended, read, write
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder

if TYPE_CHECKING:  # importing Lightning takes seconds, and reading an earlier count does not need it
    from gle_bench.training.experiment import Experiment

SAMPLES: Final = 4  # samples that are run; the costs of activations hardly differ between samples


def of_run(folder: RunFolder, record: Record, data: Path) -> Complexity | str:
    """The costs of a run's network, from the file beside its record, or counted now and written there.

    If they cannot be counted, the result is a sentence that says why.

    Args:
        data: the folder of all data.
    """
    costs = read(folder, record)
    if costs is not None:
        return costs
    try:
        costs = compute(folder, record, data)
        write(folder, costs)
    except GleBenchError as error:
        return str(error)
    except Exception as error:  # NeuroBench, or a plugin's module, may fail in any way
        return f"NeuroBench cannot count this network ({type(error).__name__}: {error})."
    return costs


def compute(folder: RunFolder, record: Record, data: Path) -> Complexity:
    """The costs of a run's network, counted while the network of its last checkpoint runs on some samples.

    Raises:
        GleBenchError: the run has no result, its checkpoint or its data are missing, or this version of glebench
            computes something else than the run's did.
    """
    if record.status != "done":
        raise GleBenchError(f"The run is {record.status}: there is no trained network to count.")
    path = folder.checkpoint("last")
    if not path.exists():
        raise GleBenchError(f"There is no {path}, whose weights NeuroBench would count.")
    from gle_bench.training import checkpoints
    from gle_bench.training.experiment import Experiment

    config = configuration_of(record)
    experiment = Experiment.of(resolved(config))
    content = checkpoints.load(path)
    assert content is not None, "it exists"
    split, batch = _samples(experiment, record, data)
    count = _online if isinstance(config.network, OnlineModel) else _offline
    counts = count(experiment, record.seed, content["member"], batch)
    return Complexity(
        harness=harness.version(),
        ended=ended(record),
        split=split,
        samples=batch.inputs.shape[1],
        steps=batch.steps,
        **counts._asdict() | counts.workload._asdict(),
    )


def _samples(experiment: "Experiment", record: Record, data: Path) -> tuple[str, Batch]:
    """The name of the split that was evaluated in training, and its first samples in float64."""
    from gle_bench.training.data import side_by_side

    task, config = experiment.task, experiment.config
    folder = data / task.name
    if not task.is_prepared(folder, config.options):
        cure = f"run 'glebench prepare {task.name}', or name the folder of all data in GLEBENCH_DATA"
        raise GleBenchError(f"The data of {task.name} are not in {folder}; {cure}.")
    loaded = task.load(folder, config.options, config.protocol, record.seed if task.data_per_seed else None)
    if loaded.fingerprint != record.data.fingerprint:
        raise GleBenchError(f"The data in {folder} are not those that the run learned from.")
    split = task.evaluation_split(config.protocol)
    part = loaded.splits[split]
    batch = part.fetch(torch.arange(min(SAMPLES, len(part))), record.seed, 0)
    return split, side_by_side([batch], torch.float64)


class _Counts(NamedTuple):
    footprint: int
    connection_sparsity: float | None
    workload: harness.Workload
    macs: float
    state_updates: int | None
    stages: int = 1
    traced: bool = False


def _online(experiment: "Experiment", seed: int, member: dict[str, Any], batch: Batch) -> _Counts:
    task, network = experiment.task, experiment.network
    assert network is not None
    own = from_plain(member).parameters
    exact = tuple(type(block)(*(None if x is None else x.double() for x in block)) for block in own)
    exhibit = gle_exhibit(network, exact, task.feedback(experiment.config.options))
    watched = harness.workload(exhibit, batch.inputs[0].expand(-1, batch.steps, -1), [Activated])
    assert watched is not None, "every connection is shown what it was given"
    static = gle_exhibit(network, own)
    sparsity = harness.connection_sparsity(static)
    return _Counts(harness.footprint(static), sparsity, watched, *online_counts(network, batch.steps), network.stages)


def online_counts(network: Network, steps: int) -> tuple[int, int]:
    """The operations of an online network in `steps` steps, by our own count: multiply-accumulates, state updates."""
    updates = network.stages * sum(layer.neurons for layer in network.layers)
    return steps * network.macs, steps * updates


def _offline(experiment: "Experiment", seed: int, member: dict[str, Any], batch: Batch) -> _Counts:
    from gle_bench.training.execute import module_class
    from gle_bench.training.modules.gradient import WholeModule

    trained = module_class(experiment)(experiment, [seed])
    assert isinstance(trained, WholeModule)
    trained.restore({seed: member})
    counted = trained.macs
    if counted.number is None:
        raise GleBenchError(f"The multiply-accumulates of {experiment.config.model} are not known: {counted.missing}.")
    footprint, macs = harness.footprint(trained.model), counted.number * batch.steps / experiment.shape.steps
    samples = batch.inputs[0].expand(-1, batch.steps, -1)
    shown: nn.Module = Evaluated(trained.model.double().eval(), lambda _: trained.evaluate(batch)[0])
    traced = traced_exhibit(shown, samples)
    watched, by_trace = harness.workload(shown, samples), harness.workload(traced, samples, [Activated])
    blind = watched is None
    if watched is None:
        watched, shown = by_trace, traced
    if watched is None:
        raise GleBenchError(f"NeuroBench finds no product with weights in {experiment.config.model}.")
    if watched.activation_sparsity is None and by_trace is not None:  # activations are functions, not modules
        watched = watched._replace(activation_sparsity=by_trace.activation_sparsity)
    updates = state_updates(trained.model, batch.steps, getattr(experiment.config.network, "streamed", False))
    return _Counts(footprint, harness.connection_sparsity(shown), watched, macs, updates, traced=blind)


def state_updates(module: nn.Module, steps: int, streamed: bool) -> int | None:
    """The number of state updates of an offline module's recurrent units in `steps` steps, by our own count.

    None if it is `streamed`, but its modules do not show how it goes through time.
    """
    layers = [part for part in module.modules() if isinstance(part, nn.RNNBase)]
    cells = [part for part in module.modules() if isinstance(part, nn.RNNCellBase)]
    if layers or cells:
        directed = [part.hidden_size * part.num_layers * (2 if part.bidirectional else 1) for part in layers]
        return steps * (sum(directed) + sum(part.hidden_size for part in cells))
    if hasattr(module, "start") and getattr(module, "recurrent", True):
        memory: Tensor = module.start(1)  # type: ignore[operator]
        return steps * memory.numel()
    return None if streamed and getattr(module, "recurrent", True) else 0
