"""neurobench.json, the file beside a run's record with the costs of running its trained network.

`gle_bench.costs` counts and writes it; tables and `glebench show` read it.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field, ValidationError

from gle_bench.files.disk import write_text
from gle_bench.files.foreign import content
from gle_bench.tracking.entry import Entry
from gle_bench.tracking.record import Count, Moment, Record
from gle_bench.tracking.store import RunFolder

FILE: Final = "neurobench.json"

Share = Annotated[float, Field(ge=0, le=1)]
Operations = Annotated[float, Field(ge=0, lt=2**63)]


class Complexity(Entry):
    """The costs of running a trained network, per sample, as neurobench.json keeps them.

    Attributes:
        harness: NeuroBench's version.
        ended: when the run ended whose weights were counted; None: its record does not say.
        split, samples, steps: the samples that were run: the first ones of a split, of so many time steps.
        footprint: bytes of parameters and buffers, time constants included, without state.
        connection_sparsity, activation_sparsity: shares of zeros; None if there are no weights or activations.
        dense: NeuroBench's synaptic operations, those with zeros too; effective_macs, effective_acs: without, and apart
            for layers that are given 0, 1 and -1 alone.
        macs: our multiply-accumulates, state updates not counted.
        state_updates: how often a neuron's state is updated; None: it is inside a module that does not say.
        stages: how often the integrator traverses the network in a step; all the counts have them.
        traced: NeuroBench could not watch the module itself, and was shown the products that PyTorch did.
    """

    harness: str
    ended: Moment | None
    split: str
    samples: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1)]
    footprint: Count
    connection_sparsity: Share | None
    activation_sparsity: Share | None
    dense: Operations
    effective_macs: Operations
    effective_acs: Operations
    macs: Operations
    state_updates: Count | None
    stages: Annotated[int, Field(ge=1)] = 1
    traced: bool = False


def read(folder: RunFolder, record: Record) -> Complexity | None:
    """The costs in the file beside a record; None if there is no such file, or it is of another run."""
    try:
        costs = Complexity.model_validate_json(content(folder.path / FILE))
    except (OSError, ValidationError):
        return None
    return costs if costs.ended == ended(record) else None


def kept(folder: RunFolder, record: Record) -> Complexity | str:
    """The costs in the file beside a record, or a sentence that there are none."""
    return read(folder, record) or "NeuroBench has not counted this network."


def write(folder: RunFolder, costs: Complexity) -> None:
    """Writes costs into the file beside a record.

    Raises:
        GleBenchError: the file cannot be written.
    """
    write_text(folder.path / FILE, costs.model_dump_json(indent=2) + "\n")


def ended(record: Record) -> Moment | None:
    """The time when a run ended, by which it differs from a repetition under the same id."""
    return record.lineage[-1].ended if record.lineage else None


def read_all(folders: Iterable[tuple[RunFolder, Record]]) -> dict[str, Complexity]:
    """The costs in the files beside records, by run id; records without such a file are left out."""
    all_costs = {record.run_id: read(folder, record) for folder, record in folders}
    return {run: costs for run, costs in all_costs.items() if costs is not None}
