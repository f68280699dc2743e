"""What a trained network costs to run: NeuroBench's count beside our own, kept beside the record as neurobench.json."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Annotated, Final, NamedTuple

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


def write(folder: RunFolder, found: Complexity) -> None:
    """Keeps it beside the record.

    Raises:
        GleBenchError: it cannot be written.
    """
    write_text(folder.path / FILE, found.model_dump_json(indent=2) + "\n")


def ended(record: Record) -> Moment | None:
    """When the run ended, which tells it from one that was made anew."""
    return record.lineage[-1].ended if record.lineage else None


def differences(found: Complexity) -> list[str]:
    """What the two counts differ in, a sentence each."""
    said = [_dense(found), _effective(found)]
    if found.stages > 1:
        said.append(f"The integrator traverses the network {found.stages} times a step; all counts have every one.")
    updates = "an unknown number of" if found.state_updates is None else f"{found.state_updates:,}"
    said.append(
        f"Neither counts what neurons do: their {updates} state updates a sample stand apart; NeuroBench knows "
        "those of snnTorch's spiking neurons only."
    )
    said.append(
        "The footprint is the bytes of parameters and buffers in the run's precision: weights, biases, time constants; "
        "not the state of GLE's neurons, nor what learning needs."
    )
    if found.traced:
        said.append(
            "NeuroBench cannot watch this module's own layers, so it was shown the products with weights that PyTorch "
            "did."
        )
    return said


def _dense(found: Complexity) -> str:
    if found.dense == found.macs:
        return "Dense operations are our MACs: every weight in every step, without biases."
    more = found.dense - found.macs
    return (
        f"Dense operations are {abs(more):,.0f} {'more' if more > 0 else 'fewer'} than our MACs: NeuroBench adds the "
        "products of a cell's gates with its state, and leaves out those with the zero state of its first step and "
        "with a convolution's padding; we count matrices and convolutions, whole."
    )


def _effective(found: Complexity) -> str:
    left = found.dense - found.effective_macs - found.effective_acs
    said = f"Effective operations leave out the {left:,.0f} with a zero in the weight or in what comes in"
    if found.effective_acs:
        return f"{said}; they are ACs where all that comes in is 0, 1 or -1."
    return f"{said}."


def read_all(folders: Iterable[tuple[RunFolder, Record]]) -> dict[str, Complexity]:
    """What is kept beside records, {run_id: costs}; counts nothing."""
    found = {record.run_id: read(folder, record) for folder, record in folders}
    return {run: costs for run, costs in found.items() if costs is not None}


class Line(NamedTuple):
    """Means over the seeds of one configuration that were counted; operations a time step."""

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


STATIC: Final = ("footprint", "connection_sparsity", "activation_sparsity")
A_STEP: Final = ("dense", "effective_macs", "effective_acs", "macs", "state_updates")


def line(model: str, protocol: str, found: Sequence[Complexity]) -> Line:
    """The line of a table for at least one seed; None where one of them has no value."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None

    static = [mean([getattr(costs, name) for costs in found]) for name in STATIC]
    moving = [[(getattr(costs, name), costs.steps) for costs in found] for name in A_STEP]
    a_step = [mean([None if count is None else count / steps for count, steps in counts]) for counts in moving]
    return Line(model, protocol, len(found), *static, *a_step)
