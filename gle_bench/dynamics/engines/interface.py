"""What an engine is: it runs whole batches with all their time steps. The engines themselves are in `engines`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gle_bench.dynamics.ensemble import Carry, fit_batch, pack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import Parameters, State, zero_state
from gle_bench.dynamics.step import Instant

# Input of step t in closed loop, (S, B, N_in), from t, the true inputs (S|1, B, T|1, N_in) and the outputs of the steps
# before t, (S, B, t, C).
Feedback = Callable[[int, Tensor, Tensor], Tensor]


class Window(NamedTuple):
    """The time steps that a rule sees at once. A time dimension of 1 stands for equal steps throughout."""

    steps: int
    inputs: Tensor  # (S|1, B, T|1, N_in)
    target: Tensor | None  # (S|1, B, T|1, C)  target rates, or one-hot classes
    mask: Tensor | None  # (S|1, B, T|1)  1 where the target counts
    following: Instant | None = None  # the instant after the last step; None: nobody knows it

    def part(self, start: int, stop: int) -> "Window":
        """Steps start to stop (exclusive): views. Not `following`, which would be a matter of the whole ensemble."""
        target = None if self.target is None else _cut(self.target, start, stop)
        mask = None if self.mask is None else _cut(self.mask, start, stop)
        return Window(stop - start, _cut(self.inputs, start, stop), target, mask)

    def at(self, t: int, ensemble: int) -> Instant:
        """The instant of step t. The one after the last is `following`, or where that is None the last one held."""
        if t == self.steps:
            if self.following is not None:
                return self.following
            t -= 1
        now = self.part(t, t + 1)
        target = None if now.target is None else now.target[:, :, 0]
        mask = None if now.mask is None else now.mask[:, :, 0, None]
        return Instant(now.inputs[:, :, 0].expand(ensemble, -1, -1), target, mask)


def _cut(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor if tensor.shape[2] == 1 else tensor[:, :, start:stop]


class Learned(NamedTuple):
    """What a rule makes of a window."""

    state: State
    gradients: Parameters
    outputs: Tensor  # (S, B, steps, C)  r_L before each step
    memory: tuple[Tensor, ...] = ()


class Learner(Protocol):
    """How gradients come about: the part of a learning rule that the engine calls, once in `window` steps."""

    @property
    def window(self) -> int: ...

    def start(self, network: Network, parameters: Parameters, batch: int) -> tuple[Tensor, ...]:
        """The rule's memory before its first window (eligibility traces, say), each tensor (S, ...)."""
        ...

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        """Runs the network over the window; the gradients' sign is such that descending along them learns.

        `seams` are those of the window's first step; step t of the window is given `seams.at(t)`.
        """
        ...


class Job(NamedTuple):
    """What an engine is asked to run."""

    network: Network
    learner: Learner
    rule_engines: frozenset[str]  # engines that the rule says it can use
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

    def refusal(self, job: Job) -> str | None:
        """Why it cannot run the job, as a clause ("there is no GPU"), or None where it can."""
        ...

    def learn(
        self,
        network: Network,
        learner: Learner,
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
            seams: what watches and disturbs the batch, as of its first step.

        A window that does not divide T leaves a shorter one at the end.

        Raises:
            NotImplementedError: this engine cannot run it; the text is the reason.
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
