"""The interface of the engines, which run networks over whole batches with all their time steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.ensemble import Carry, fit_batch, pack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import Parameters, State, zero_state
from gle_bench.dynamics.window import Window

# Input of step t in closed loop, (S, B, N_in), from t, the true inputs (S|1, B, T|1, N_in) and the outputs of the steps
# before t, (S, B, t, C).
Feedback = Callable[[int, Tensor, Tensor], Tensor]


class EngineRequest(NamedTuple):
    """A request to an engine: the network and the rule to run, the device, the precision and the feedback."""

    network: Network
    rule: OnlineRule
    device: str  # 'cpu' or 'cuda'
    dtype: torch.dtype
    feedback: Feedback | None  # closes the loop in evaluation; passed to `infer`
    seams: Seams = NO_SEAMS  # the observers and disturbances of the run


class Engine(Protocol):
    """A backend that runs networks over whole batches with all their time steps.

    Each run makes one engine, which may keep buffers between batches.
    """

    @property
    def name(self) -> str: ...

    @property
    def threads_matter(self) -> bool:
        """Whether the number of threads may change the last bits of the engine's results."""
        ...

    def condition(self) -> tuple[bool, str]:
        """Whether the engine is installed correctly, and a clause that says what it runs on or what is missing."""
        ...

    def refusal(self, request: EngineRequest) -> str | None:
        """The reason why the engine cannot run a request, as a clause ("there is no GPU"); None: it can."""
        ...

    def learn(
        self,
        network: Network,
        rule: OnlineRule,
        optimizer: Optimizer,
        carry: Carry,
        batch: Window,
        rates: Tensor,
        decay: float = 1.0,
        seams: Seams = NO_SEAMS,
    ) -> tuple[Carry, Tensor]:
        """Learns from a batch with one update per window; returns the new carry and the outputs (S, B, T, C).

        If the window's length does not divide T, the last window is shorter.

        Args:
            carry: is not changed; its state is tiled or truncated to the size of the batch.
            rates: learning rate of each member, (S,).
            decay: factor on the rates after each update.
            seams: the observers and disturbances as of the batch's first step, and the seeds of the members.

        Raises:
            NotImplementedError: this engine cannot run it; the text is the reason.
        """
        ...

    def gradients(
        self,
        network: Network,
        rule: OnlineRule,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        memory: tuple[Tensor, ...] = (),
        every: int | None = None,
        seams: Seams = NO_SEAMS,
    ) -> Gradients:
        """The gradients that a rule computes on a batch, with frozen weights.

        Args:
            memory: the rule's memory of earlier steps; empty: it starts anew.
            every: if given, means over windows of `every` steps are computed, too; the last one may be shorter.
            seams: the observers and disturbances as of the batch's first step, and the seeds of the members.

        Raises:
            NotImplementedError: this engine cannot run it; the text is the reason.
            UsageError: `every` cuts the rule's own windows, and the rule gives only one gradient for each of them.
        """
        ...

    def infer(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        errors: bool = True,
        feedback: Feedback | None = None,
        seams: Seams = NO_SEAMS,
    ) -> tuple[State, Tensor]:
        """Runs the network with frozen weights and no target; returns the new state and the outputs (S, B, T, C).

        Args:
            errors: whether error potentials continue to decay, which matters only if the state is used afterwards.
            feedback: the function that makes each step's input in closed loop; None: the loop is open.
            seams: the observers and disturbances as of the batch's first step.

        Raises:
            NotImplementedError: this engine cannot run it; the text is the reason.
        """
        ...


def start(network: Network, parameters: Parameters, optimizer: Optimizer, batch: int) -> Carry:
    """The initial carry of an ensemble: its parameters, with optimizer and state as before the first batch."""
    return Carry(parameters, optimizer.start(pack(network, parameters)), zero_state(network, parameters, batch))


def begin(
    rule: OnlineRule,
    network: Network,
    parameters: Parameters,
    state: State,
    memory: tuple[Tensor, ...],
    batch: int,
    seeds: tuple[int, ...],
) -> tuple[Tensor, ...]:
    """The memory of a rule at the start of a batch of this size, from the state and the memory after the last one."""
    if not memory:
        return rule.start(network, parameters, batch, seeds)
    return rule.resume(network, parameters, memory, state[0].u.shape[2], batch, seeds)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """A context in which denormal numbers count as zero; moments and decaying errors become denormal, which is slow.

    Afterwards PyTorch's default is restored, because PyTorch does not tell the earlier setting.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def prepare_state(network: Network, state: State, batch: int) -> State:
    """The state at the start of a batch: fitted to the batch's size, and zero in layers with `forgets`."""
    fitted = fit_batch(state, batch)
    return tuple(
        type(old)(*(torch.zeros_like(x) for x in old)) if block.like.forgets else old
        for block, old in zip(network.blocks, fitted, strict=True)
    )
