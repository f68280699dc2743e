"""What a trained network costs to run: the means that tables show, and what the two counts differ in."""

from collections.abc import Sequence
from statistics import fmean
from typing import Final, NamedTuple

from gle_bench.tracking.costs import Complexity


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


class RunningCosts(NamedTuple):
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


def line(model: str, protocol: str, found: Sequence[Complexity]) -> RunningCosts:
    """The line of a table for at least one seed; None where one of them has no value."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None

    static = [mean([getattr(costs, name) for costs in found]) for name in STATIC]
    moving = [[(getattr(costs, name), costs.steps) for costs in found] for name in A_STEP]
    a_step = [mean([None if count is None else count / steps for count, steps in counts]) for counts in moving]
    return RunningCosts(model, protocol, len(found), *static, *a_step)
