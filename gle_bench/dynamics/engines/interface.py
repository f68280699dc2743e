"""What an engine is: it runs whole batches with all their time steps. The engines themselves are in `engines`."""

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
    """What an engine is asked to run."""

    network: Network
    rule: OnlineRule
    device: str  # 'cpu' or 'cuda'
    dtype: torch.dtype
    feedback: Feedback | None  # what evaluation closes the loop with: it is given to `infer`
    seams: Seams = NO_SEAMS  # what watches and disturbs the run


class Engine(Protocol):
    """Runs whole batches with all their time steps. Made once a run, so that it may keep buffers between batches."""

    @property
    def name(self) -> str: ...

    @property
    def threads_matter(self) -> bool:
        """Whether the number of threads may change the last bits of what it computes."""
        ...

    def condition(self) -> tuple[bool, str]:
        """Whether its installation is as it should be, and in a clause what it runs on or what is missing."""
        ...

    def refusal(self, request: EngineRequest) -> str | None:
        """Why it cannot run the request, as a clause ("there is no GPU"), or None where it can."""
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
        """Learns from a batch, one update a window, and returns the new carry and the outputs (S, B, T, C).

        Args:
            carry: untouched; state is tiled or truncated to the batch.
            rates: learning rate of each member, (S,).
            decay: factor on the rates after each update.
            seams: what watches and disturbs the batch, as of its first step, and the seeds of the members.

        A window that does not divide T leaves a shorter one at the end.

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
        """The gradients that the rule would learn by on a batch, with frozen weights.

        Args:
            memory: the rule's memory from the steps before; empty: it starts anew.
            every: steps of the windows over which means are wanted, too; the last one may be shorter.
            seams: what watches and disturbs the batch, as of its first step, and the seeds of the members.

        Raises:
            NotImplementedError: this engine cannot run it; the text is the reason.
            UsageError: `every` cuts the rule's own windows, and the rule knows their gradient as a whole only.
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
            errors: whether error potentials go on decaying, which matters only where the state is used afterwards.
            feedback: closes the loop: gives each step's input.
            seams: what watches and disturbs the batch, as of its first step.

        Raises:
            NotImplementedError: this engine cannot run it; the text is the reason.
        """
        ...


def start(network: Network, parameters: Parameters, optimizer: Optimizer, batch: int) -> Carry:
    """What an ensemble carries before its first batch."""
    return Carry(parameters, optimizer.start(pack(network, parameters)), zero_state(network, parameters, batch))


def begin(rule: OnlineRule, network: Network, carry: Carry, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
    """The rule's memory at the start of a batch of that size."""
    if not carry.memory:
        return rule.start(network, carry.parameters, batch, seeds)
    return rule.resume(network, carry.parameters, carry.memory, carry.state[0].u.shape[2], batch, seeds)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Numbers too small to be normal count as zero inside: moments and fading errors reach them, and they are slow.

    PyTorch does not say what was set before, so its default is what is restored.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def prepare_state(network: Network, state: State, batch: int) -> State:
    """The state at the start of a batch: fitted to its size, with the layers that forget at zero."""
    fitted = fit_batch(state, batch)
    return tuple(
        type(old)(*(torch.zeros_like(x) for x in old)) if block.like.forgets else old
        for block, old in zip(network.blocks, fitted, strict=True)
    )
