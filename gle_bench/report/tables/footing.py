"""Equal footing: what each configuration that was run costs, and what its method is granted."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Final, NamedTuple

from gle_bench import registry
from gle_bench.contracts import ClosedFormRule, Pair, footing
from gle_bench.report.tables.rows import Row
from gle_bench.tracking.record import Record

PASSES: Final = 3  # through each weight, to learn: for the output, for the error, for the gradient


class FootingLine(NamedTuple):
    """One configuration, over its seeds that are done. None: not known.

    Attributes:
        macs: multiply-accumulates of an inference of one sample, all its time steps together.
        learning_macs: those of learning from it once, `PASSES` times as many; None for what is solved in closed form.
        memory: bytes of the process at its peak, in which `networks` learned side by side.
        wall_s: seconds of one seed; those that learned side by side share theirs.
        tried: other settings that were tried, as the pair declares.
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


def footing_lines(rows: Sequence[Row], records: Sequence[Record], known: Mapping[str, Pair]) -> Iterator[FootingLine]:
    """A line for each configuration of the rows with a seed that is done, in their order; `known` are the pairs."""
    done: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.status == "done":
            done.setdefault((record.config_hash, record.protocol), []).append(record)
    counted = _counted(records)
    labels = {(row.config_hash, row.section.protocol): row.label for row in rows if row.config_hash}
    for (digest, protocol), label in labels.items():
        if mine := done.get((digest, protocol)):
            yield _line(label, mine, counted, known.get(mine[0].model))


def _line(label: str, mine: Sequence[Record], counted: Mapping[object, int], pair: Pair | None) -> FootingLine:
    first = mine[0]
    peaks = [record.cost.peak_memory for record in mine if record.cost.peak_memory is not None]
    macs, ground = first.cost.macs or counted.get(_network(first)), _ground(first, pair)
    return FootingLine(
        model=label,
        protocol=first.protocol,
        seeds=len(mine),
        parameters=first.parameters,
        macs=macs,
        learning_macs=None if macs is None or _solved(first) else PASSES * macs,
        memory=max(peaks, default=None),
        networks=max(record.cost.networks for record in mine),
        wall_s=fmean(record.cost.seconds_of_a_seed for record in mine),
        online=ground.get("online"),
        streamed=ground.get("streamed"),
        whole_sequence=ground.get("whole_sequence"),
        normalised=ground.get("normalised"),
        tried=pair.tried if pair else None,
    )


def _counted(records: Sequence[Record]) -> Mapping[object, int]:
    """MACs by network: a record that was made before they were counted has them from another of the same network."""
    return {_network(record): record.cost.macs for record in records if record.cost.macs is not None}


def _network(record: Record) -> object:
    changed = frozenset(mark for mark in record.marks if mark.changed)
    return record.model, record.rule, record.parameters, changed


def _ground(record: Record, pair: Pair | None) -> Mapping[str, bool]:
    """What the record says that it was granted; what it is too old to say, by today's model where that is the same."""
    if pair is None:
        return record.footing
    config = pair.configure(record.budget)
    same = record.rule == config.rule
    return {**vars(footing(registry.rule(config.rule), config.network)), **record.footing} if same else record.footing


def _solved(record: Record) -> bool:
    """Whether the rule solves for the weights, which costs otherwise than descending."""
    rule = registry.usable_rule(record.rule)
    return isinstance(rule, ClosedFormRule)
