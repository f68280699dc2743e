"""Time, FLOP rate and memory of every case, and the machine's sgemm rate beside each."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from gle_bench.bench.cases import Case, Missing
from gle_bench.bench.memory import peak_rise
from gle_bench.bench.networks import NETWORKS
from gle_bench.bench.runner import Runner, threads

SIDE = 1000  # of the matrices whose product is the measure
PEAK_STEPS = 10  # of the call whose memory is looked at: the same for fast and slow engines, as data and outputs count
PRODUCTS = 2  # a sample of the sgemm rate, after one that is not timed


@dataclass(frozen=True)
class Row:
    """What was measured of a case.

    Attributes:
        network, engine, threads, networks: which case.
        ms_per_step: wall milliseconds of a learning step of the whole ensemble, over the number of networks.
        gflops: of all networks together, a step taken as 6 x parameters x batch floating-point operations a network.
        sgemm_gflops: of single-thread float32 products of two 1000 x 1000 matrices, measured before and after each
            of this row's repeats.
        flops_over_sgemm: gflops / sgemm_gflops; with more than one thread it may well exceed their number.
        peak_bytes: by how much memory rose while the networks were set up and took their first 10 steps: parameters,
            moments, state, what the engine needs, and the data and outputs of these steps. None where the system does
            not tell.
    """

    network: str
    engine: str
    threads: int
    networks: int
    ms_per_step: float
    gflops: float
    sgemm_gflops: float
    flops_over_sgemm: float
    peak_bytes: int | None


@dataclass
class Series:
    """A case under way: what runs it, and what was seen so far."""

    runner: Runner
    calls: int
    peak_bytes: int | None
    seconds: list[float] = field(default_factory=list)  # a step
    sgemm: list[float] = field(default_factory=list)  # GFLOP/s


def measure(
    cases: Iterable[Case], repeats: int, steps: int | None, tick: Callable[[], None]
) -> tuple[list[Row], list[Missing]]:
    """Measures all cases, whose repeats take turns, so that what else the machine does hits them all.

    Args:
        steps: time steps of a repeat; None: as many as take a fraction of a second, in calls of a sample at most.
        tick: called as often as `ticks` says.

    Returns:
        The rows, and the cases that their engine refused when it met them.
    """
    series, missing = [], []
    for case in cases:
        try:
            series.append(_begin(case, steps))
        except NotImplementedError as refused:
            missing.append(Missing(case.network, case.engine, str(refused), case.threads, case.networks))
        tick()
    sgemm = Sgemm()
    for _ in range(repeats):
        samples = [sgemm.gflops()]
        for one in series:
            one.seconds.append(one.runner.seconds(one.calls) / (one.calls * one.runner.steps))
            samples.append(sgemm.gflops())
            tick()
        for one, around in zip(series, pairwise(samples), strict=True):
            one.sgemm += around
    return [row(one) for one in series], missing


def ticks(cases: int, repeats: int) -> int:
    """How many ticks so many cases take."""
    return cases * (1 + repeats)


def row(series: Series) -> Row:
    """Medians."""
    case = series.runner.case
    step, rate = statistics.median(series.seconds), statistics.median(series.sgemm)
    gflops = 6 * series.runner.parameters * NETWORKS[case.network]().batch * case.networks / step / 1e9
    return Row(*case, 1e3 * step / case.networks, gflops, rate, gflops / rate, series.peak_bytes)


def _begin(case: Case, steps: int | None) -> Series:
    """Sets a case up, twice: what is loaded late or allocated for good the first time is not this row's memory."""
    Runner(case, 1).seconds()

    def first_call() -> Runner:
        runner = Runner(case, PEAK_STEPS)
        runner.seconds()
        return runner

    runner, peak = peak_rise(case.device, first_call)
    calls = 1
    if steps is None:
        calls = runner.take_a_repeat()
    else:
        runner.take(steps)
    runner.seconds()  # the first call with these steps may have more to do
    return Series(runner, calls, peak)


class Sgemm:
    """The yardstick: one thread's float32 product of two matrices of 1000 x 1000."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._a, self._b = (torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
        self._product = torch.empty(SIDE, SIDE)

    def gflops(self) -> float:
        """GFLOP/s now."""
        with threads(1):
            torch.mm(self._a, self._b, out=self._product)
            began = time.perf_counter()
            for _ in range(PRODUCTS):
                torch.mm(self._a, self._b, out=self._product)
            return PRODUCTS * 2e-9 * SIDE**3 / (time.perf_counter() - began)
