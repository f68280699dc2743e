"""The runner of one case: an ensemble that learns in an engine and is timed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gle_bench.bench.cases import Case, online_rule
from gle_bench.bench.networks import NETWORKS
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.ensemble import Carry, join, pack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import BlockParameters
from gle_bench.dynamics.window import Window

REPEAT_S = 0.3  # seconds of a repeat: long compared with a call, short compared with changes of the machine's load
ENOUGH_S = 0.03  # seconds of a trial that is long enough to estimate the time of a step


class Runner:
    """An ensemble in training, in float32. It learns noise, because the time does not depend on the data.

    Attributes:
        case: the case that is measured.
        steps: time steps in one call of the engine, each with another input.
        parameters: number of parameters of one network.
    """

    steps: int

    def __init__(self, case: Case, steps: int) -> None:
        standard = NETWORKS[case.network]()
        self.case, self._batch, self._sample = case, standard.batch, standard.shape.steps
        self._network, self._optimizer, self._rule = standard.network(), Optimizer("adam"), online_rule(case.rule)
        self._engine = choice.make(case.engine)
        self._seams = Seams(seeds=tuple(range(case.networks)))
        members = [standard.model.initialise(self._network, seed) for seed in self._seams.seeds]
        self.parameters = pack(self._network, members[0]).numel()
        placed = [tuple(_placed(block, case.device) for block in member) for member in members]
        carries = [start(self._network, member, self._optimizer, standard.batch) for member in placed]
        self._carry = join(self._network, carries)
        self._rates = torch.full((case.networks,), standard.rate, dtype=torch.float64)  # as training gives them
        self.take(steps)

    def take(self, steps: int) -> None:
        """Sets the number of time steps in a call, and makes the noise for them."""
        self.steps = steps
        self._window = _noise(self._network, self.case, self._batch, steps)

    def seconds(self, calls: int = 1) -> float:
        """Runs so many calls; returns their wall time in seconds."""
        with threads(self.case.threads):
            began = self._now()
            for _ in range(calls):
                self._carry = self._learn()
            return self._now() - began

    def take_a_repeat(self) -> int:
        """Sets the steps of a call to those of a sample, or fewer if a repeat is shorter; returns calls per repeat."""
        per_step = self._per_step()
        self.take(max(1, min(self._sample, round(REPEAT_S / per_step))))
        return max(1, round(REPEAT_S / (per_step * self.steps)))

    def _per_step(self) -> float:
        """An estimate of the seconds of a step, from calls with more and more steps."""
        taken = self.seconds()
        while taken < ENOUGH_S and self.steps < self._sample:
            self.take(min(4 * self.steps, self._sample))
            taken = self.seconds()
        return taken / self.steps

    def _learn(self) -> Carry:
        carry, _ = self._engine.learn(
            self._network, self._rule, self._optimizer, self._carry, self._window, self._rates, seams=self._seams
        )
        return carry

    def _now(self) -> float:
        """The time when all work is done; for a GPU it waits until that has finished."""
        if self.case.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Sets the number of threads of torch, and of the engines that use its setting, inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _placed(block: BlockParameters, device: str) -> BlockParameters:
    return BlockParameters(*(None if x is None else x.to(device, torch.float32) for x in block))


def _noise(network: Network, case: Case, batch: int, steps: int) -> Window:
    """A window of noise, different for each network, with the classes in turn as targets."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(case.networks, batch, steps, network.inputs, generator=generator)
    classes = torch.arange(batch) % network.outputs
    target: Tensor = torch.eye(network.outputs)[classes][None, :, None].expand(case.networks, -1, -1, -1)
    return Window(steps, inputs.to(case.device), target.contiguous().to(case.device), None)
