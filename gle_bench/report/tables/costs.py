"""The costs of each configuration in a table: what learning takes and is granted, and running its network."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.contracts import LearningRule, Pair, footing
from gle_bench.report.results import ConfigurationRuns
from gle_bench.report.tables.cells import Cells, Part, number_text
from gle_bench.report.tables.rows import Row
from gle_bench.tracking.costs import Complexity
from gle_bench.tracking.record import Record

FOOTING: Final = (
    "MACs: multiply-accumulates of one sample, all its time steps together, updates of neurons' states not counted; to "
    "learn from it once takes three times as many, for outputs, errors and gradients (blank: solved in closed form, or "
    "by a rule that takes more). "
    "MiB: the process at its peak, with so many networks side by side. Seconds: of one seed, on the machine that its "
    "record names, busy or not. Whole: learns or answers only once the whole sequence is there. Norm: normalises over "
    "a batch or a layer, or drops out. Tried: other settings that we know to have been tried; blank: not counted."
)
RUNNING: Final = (
    "By NeuroBench: footprint in bytes, sparsity of connections (W = 0) and of activations (r = 0), and synaptic "
    "operations: dense, or effective, without those with a zero. By our own count: MACs, and updates of neurons' "
    "states, which it leaves out. Means over the seeds counted; `glebench show RUN` counts, and says what differs."
)


class FootingLine(NamedTuple):
    """The costs of learning in one configuration, and the footing of its method, over the seeds that are done.

    None stands for what is not known.

    Attributes:
        macs: the multiply-accumulates of inference on one sample, all its time steps together.
        learning_macs: the multiply-accumulates of learning from a sample once; None if no fixed multiple.
        memory: the bytes of the process at its peak, in which `networks` learned side by side.
        wall_s: the seconds of one seed; seeds that learned side by side share their time.
        online, streamed, whole_sequence, normalised: what the method is granted, as `Footing` describes it.
        tried: how many other settings were tried, as the pair declares.
    """

    model: str
    protocol: str
    seeds: int
    parameters: int
    macs: int | None
    learning_macs: int | None
    memory: int | None
    networks: int
    wall_s: float
    online: bool | None
    streamed: bool | None
    whole_sequence: bool | None
    normalised: bool | None
    tried: int | None


class RunningCosts(NamedTuple):
    """The costs of running a network, as means over the counted seeds of one configuration.

    Operations are those of a time step. None stands for what is not known of one of the seeds.
    """

    model: str
    protocol: str
    seeds: int
    footprint: float | None
    connection_sparsity: float | None
    activation_sparsity: float | None
    dense: float | None
    effective_macs: float | None
    effective_acs: float | None
    macs: float | None
    state_updates: float | None


STATIC: Final = ("footprint", "connection_sparsity", "activation_sparsity")  # costs of the network itself
MOVING: Final = ("dense", "effective_macs", "effective_acs", "macs", "state_updates")  # costs of a sample


def _configurations(rows: Iterable[Row]) -> list[tuple[str, ConfigurationRuns]]:
    """The configurations that rows show, in the order of the rows, as (label, runs)."""
    labelled = {(row.model, row.rule, row.section.protocol, row.config_hash): row for row in rows}
    return [(row.label, row.runs) for row in labelled.values() if row.runs]


def footing_lines(rows: Iterable[Row], pairs: Mapping[str, Pair]) -> Iterator[FootingLine]:
    """A line for each configuration of the rows with a seed that is done; `pairs` are those of the task, by model.

    A record that is older than the count of MACs takes the number from another record of the same network.
    """
    configurations = _configurations(rows)
    records = [record for _, group in configurations for record in group.records]
    counted = {_network(record): record.cost.macs for record in records if record.cost.macs is not None}
    for label, group in configurations:
        if group.done:
            yield _footing_line(label, group.done, counted, pairs.get(group.first.model))


def _footing_line(label: str, done: Sequence[Record], counted: Mapping[object, int], pair: Pair | None) -> FootingLine:
    first = done[0]
    peaks = [record.cost.peak_memory for record in done if record.cost.peak_memory is not None]
    macs, granted = first.cost.macs or counted.get(_network(first)), _granted(first, pair)
    rule = registry.usable_rule(first.rule)
    passes = (
        LearningRule.passes if rule is None else rule.passes
    )  # a rule that is not installed is taken for a usual one
    return FootingLine(
        model=label,
        protocol=first.protocol,
        seeds=len(done),
        parameters=first.parameters,
        macs=macs,
        learning_macs=None if macs is None or passes is None else passes * macs,
        memory=max(peaks, default=None),
        networks=max(record.cost.networks for record in done),
        wall_s=fmean(record.cost.seconds_of_a_seed for record in done),
        online=granted.get("online"),
        streamed=granted.get("streamed"),
        whole_sequence=granted.get("whole_sequence"),
        normalised=granted.get("normalised"),
        tried=pair.tried if pair else None,
    )


def _network(record: Record) -> object:
    """A key that two records share if they are of the same network."""
    return record.model, record.rule, record.parameters, frozenset(mark for mark in record.marks if mark.changed)


def _granted(record: Record, pair: Pair | None) -> Mapping[str, bool]:
    """The footing of a record's method: the advantages that its rule and its model use.

    What an old record does not say is taken from today's model, if that learns by the same rule.
    """
    config = pair.configure(record.budget) if pair else None
    if config is None or record.rule != config.rule:
        return record.footing
    return {**vars(footing(registry.rule(config.rule), config.network)), **record.footing}


def footing_part(lines: Iterable[FootingLine]) -> Part:
    """The part of a table that shows what learning costs."""
    return Part("On equal footing", [_footing_cells(line) for line in lines], FOOTING)


def _footing_cells(line: FootingLine) -> Cells:
    return {
        "model": line.model,
        "protocol": line.protocol,
        "seeds": str(line.seeds),
        "params": f"{line.parameters:,}",
        "MACs": number_text(line.macs, ","),
        "to learn": number_text(line.learning_macs, ","),
        "MiB": "" if line.memory is None else f"{line.memory / 2**20:,.0f}",
        "nets": str(line.networks),
        "seconds": f"{line.wall_s:,.0f}",
        "online": yes_or_no(line.online),
        "stream": yes_or_no(line.streamed),
        "whole": yes_or_no(line.whole_sequence),
        "norm": yes_or_no(line.normalised),
        "tried": number_text(line.tried, ","),
    }


def yes_or_no(granted: bool | None) -> str:
    """The text of a cell that says whether a method is granted something; empty where that is not known."""
    return "" if granted is None else "yes" if granted else "no"


def running_costs(rows: Iterable[Row], complexities: Mapping[str, Complexity]) -> Iterator[RunningCosts]:
    """A line for each configuration of the rows of which a seed was counted.

    `complexities` are the costs that were counted, {run_id: costs}.
    """
    for label, group in _configurations(rows):
        counted = [complexities[record.run_id] for record in group.records if record.run_id in complexities]
        if counted:
            yield _running_costs(label, group.first.protocol, counted)


def _running_costs(label: str, protocol: str, counted: Sequence[Complexity]) -> RunningCosts:
    def mean(name: str, steps: Sequence[int]) -> float | None:
        values = [getattr(costs, name) for costs in counted]
        return None if None in values else fmean(value / step for value, step in zip(values, steps, strict=True))

    static = [mean(name, [1] * len(counted)) for name in STATIC]
    a_step = [mean(name, [costs.steps for costs in counted]) for name in MOVING]
    return RunningCosts(label, protocol, len(counted), *static, *a_step)


def running_part(lines: Iterable[RunningCosts]) -> Part:
    """The part of a table that shows what running a network costs."""
    return Part(
        "What running a network costs, operations a time step", [_running_cells(line) for line in lines], RUNNING
    )


def _running_cells(line: RunningCosts) -> Cells:
    return {
        "model": line.model,
        "protocol": line.protocol,
        "seeds": str(line.seeds),
        "bytes": number_text(line.footprint, ",.0f"),
        "W = 0": number_text(line.connection_sparsity, ".3f"),
        "r = 0": number_text(line.activation_sparsity, ".3f"),
        "dense": number_text(line.dense, ",.0f"),
        "eff. MACs": number_text(line.effective_macs, ",.0f"),
        "eff. ACs": number_text(line.effective_acs, ",.0f"),
        "MACs": number_text(line.macs, ",.0f"),
        "updates": number_text(line.state_updates, ",.0f"),
    }
