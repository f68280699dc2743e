"""neurobench.json: what a trained network costs to run, kept beside its run's record.

`gle_bench.costs` counts and writes it; tables and `glebench show` read it.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field, ValidationError

from gle_bench.data.files import write_text
from gle_bench.data.foreign import content
from gle_bench.tracking.entry import Entry
from gle_bench.tracking.record import Count, Moment, Record
from gle_bench.tracking.store import RunFolder

FILE: Final = "neurobench.json"

Share = Annotated[float, Field(ge=0, le=1)]
Operations = Annotated[float, Field(ge=0, lt=2**63)]


class Complexity(Entry):
    """A network's costs, those of running it a sample each.

    Attributes:
        harness: NeuroBench's version.
        ended: when the run ended whose weights these are; None: its record does not say.
        split, samples, steps: what was run: the first samples of a split, of so many time steps.
        footprint: bytes of parameters and buffers, time constants among them, without state.
        connection_sparsity, activation_sparsity: shares of zeros; None where there is nothing to count them in.
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
    """What is kept beside the record; None where there is nothing, or nothing of this very run."""
    try:
        found = Complexity.model_validate_json(content(folder.path / FILE))
    except (OSError, ValidationError):
        return None
    return found if found.ended == ended(record) else None


def kept(folder: RunFolder, record: Record) -> Complexity | str:
    """What is kept beside the record, or a sentence that nothing is; counts nothing."""
    return read(folder, record) or "NeuroBench has not counted this network."


def write(folder: RunFolder, found: Complexity) -> None:
    """Keeps it beside the record.

    Raises:
        GleBenchError: it cannot be written.
    """
    write_text(folder.path / FILE, found.model_dump_json(indent=2) + "\n")


def ended(record: Record) -> Moment | None:
    """When the run ended, which tells it from one that was made anew."""
    return record.lineage[-1].ended if record.lineage else None


def read_all(folders: Iterable[tuple[RunFolder, Record]]) -> dict[str, Complexity]:
    """What is kept beside records, {run_id: costs}; counts nothing."""
    found = {record.run_id: read(folder, record) for folder, record in folders}
    return {run: costs for run, costs in found.items() if costs is not None}
