"""The measurement of every case: time, FLOP rate and memory, with the machine's sgemm rate for comparison."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch

from gle_bench.bench.cases import PAPER_RULE, Case, Missing
from gle_bench.bench.memory import peak_rise
from gle_bench.bench.networks import NETWORKS
from gle_bench.bench.runner import Runner, threads

SIDE = 1000  # rows and columns of the matrices of the sgemm rate
PEAK_STEPS = 10  # time steps of the call whose memory is measured: the same for all engines, as data and outputs count
PRODUCTS = 2  # products in a sample of the sgemm rate, after one that is not timed


@dataclass(frozen=True)
class Row:
    """The measurements of one case.

    Attributes:
        network, engine, threads, networks: the case.
        ms_per_step: wall milliseconds of a learning step of the whole ensemble, over the number of networks.
        gflops: of all networks together, a step taken as 6 x parameters x batch floating-point operations a network.
        sgemm_gflops: of single-thread float32 products of two 1000 x 1000 matrices, measured before and after each
            of this row's repeats.
        flops_over_sgemm: gflops / sgemm_gflops; with several threads it may exceed their number.
        peak_bytes: rise of memory while the networks were set up and took their first 10 steps: parameters, moments,
            state, the engine's own memory, and the data and outputs of these steps. None if the system does not
            report it.
        rule: the learning rule of the case.
        over_gle: ms_per_step over that of rule `gle` by the same engine in the same layout; None for `gle` itself.
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
    rule: str = PAPER_RULE
    over_gle: float | None = None


@dataclass
class Series:
    """A case that is being measured: its runner, and the measurements so far."""

    runner: Runner
    calls: int
    peak_bytes: int | None
    seconds: list[float] = field(default_factory=list)  # per step
    sgemm: list[float] = field(default_factory=list)  # GFLOP/s


def measure(
    cases: Iterable[Case], repeats: int, steps: int | None, tick: Callable[[], None]
) -> tuple[list[Row], list[Missing]]:
    """Measures all cases. Their repeats take turns, so that other load of the machine affects all of them.

    Args:
        steps: time steps of a repeat; None: as many as take a fraction of a second, in calls of at most one sample.
        tick: called `ticks` times, for the progress bar.

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
    return with_ratios([row(one) for one in series]), missing


def ticks(cases: int, repeats: int) -> int:
    """The number of ticks in the measurement of so many cases."""
    return cases * (1 + repeats)


def row(series: Series) -> Row:
    """The row of a case: medians over its repeats."""
    case = series.runner.case
    step, rate = statistics.median(series.seconds), statistics.median(series.sgemm)
    gflops = 6 * series.runner.parameters * NETWORKS[case.network]().batch * case.networks / step / 1e9
    times = (1e3 * step / case.networks, gflops, rate, gflops / rate)
    return Row(case.network, case.engine, case.threads, case.networks, *times, series.peak_bytes, case.rule)


def with_ratios(rows: list[Row]) -> list[Row]:
    """The rows, each beside that of `gle` by the same engine in the same layout."""

    def place(one: Row) -> tuple[object, ...]:
        return one.network, one.engine, one.threads, one.networks

    paper = {place(one): one.ms_per_step for one in rows if one.rule == PAPER_RULE}
    return [
        replace(one, over_gle=one.ms_per_step / paper[place(one)])
        if one.rule != PAPER_RULE and place(one) in paper
        else one
        for one in rows
    ]


def _begin(case: Case, steps: int | None) -> Series:
    """Sets up a case twice: the first time loads libraries and buffers that are not part of this row's memory."""
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
    """The sgemm rate, for comparison: float32 products of two 1000 x 1000 matrices on one thread."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._a, self._b = (torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
        self._product = torch.empty(SIDE, SIDE)

    def gflops(self) -> float:
        """The present rate in GFLOP/s."""
        with threads(1):
            torch.mm(self._a, self._b, out=self._product)
            began = time.perf_counter()
            for _ in range(PRODUCTS):
                torch.mm(self._a, self._b, out=self._product)
            return PRODUCTS * 2e-9 * SIDE**3 / (time.perf_counter() - began)
