"""Stacks of linear recurrent units, which learn by backpropagation or by their own online rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from gle_bench.config import Count, Exponential, Positive, RunConfig, TrainingConfig
from gle_bench.contracts import OfflineModel, Pair, RateGroup, Shape
from gle_bench.models.initial import seeded
from gle_bench.recipes.mackey_glass import last_value, offline_pair
from gle_bench.recipes.mnist1d import LENGTHS, MNIST1DOptions
from gle_bench.words import Budget

if TYPE_CHECKING:
    from torch import nn

# On Mackey-Glass, sMAPE (%) of sequence 0 on the validation of `clean` after 1000 updates, without washout 5.0 (after
# 2000; 4.1 after 600); with 0.9 Lyapunov times of it 7.8, with r_max = 0.9 besides 4.5, r_min = 0 and r_max = 0.8 7.9,
# rate 5e-4 10.8, one layer of 43 7.6, max_phase = 0.5 4.8.


class LRU(OfflineModel):
    """A stack of linear recurrent units (Orvieto et al., arXiv 2303.06349) that is read at every time step.

    A linear encoder; blocks of a recurrent layer, GELU and a linear layer, each beside a connection that skips it; and
    a linear decoder. The eigenvalues of a layer start uniform on a ring of the complex plane.

    Attributes:
        hidden: width of the stack, the number of inputs and outputs of every block.
        states: complex states of every recurrent layer.
        layers: number of blocks.
        r_min, r_max: radii of the ring on which eigenvalues start.
        max_phase: largest angle of eigenvalues at the start, in radians.
        recurrent_rate: factor on the learning rate of nu, theta and gamma.
    """

    streamed: ClassVar[bool] = True
    closed_loop: ClassVar[bool] = True
    traces: ClassVar[bool] = True

    hidden: Count = 26
    states: Count = 26
    layers: Count = 4
    r_min: Annotated[float, Field(ge=0, lt=1)] = 0.5
    r_max: Annotated[float, Field(gt=0, le=1)] = 0.99
    max_phase: Positive = 6.28
    recurrent_rate: Positive = 0.25

    @model_validator(mode="after")
    def _a_ring(self) -> Self:
        if self.r_min >= self.r_max:
            raise ValueError(f"r_min = {self.r_min} must be less than r_max = {self.r_max}; lower r_min or raise r_max")
        return self

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """A module (B, T, C_in) -> (B, T, C_out), also for classes: a task sums their logits over time."""
        from .modules.lru import LRU as Layer
        from .modules.lru import Stack

        radii = (self.r_min, self.r_max)
        with seeded(seed):
            layers = [Layer(self.hidden, self.states, radii, self.max_phase) for _ in range(self.layers)]
            return Stack(shape, self.hidden, layers)

    def rate_groups(self, module: nn.Module) -> tuple[RateGroup, ...]:
        """Eigenvalues and the input's gain learn more slowly than the rest, as is usual for these networks."""
        slow = ("nu", "theta", "gamma")
        groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
        for name, parameter in module.named_parameters():
            groups[name.rpartition(".")[2] in slow].append(parameter)
        return RateGroup(tuple(groups[False])), RateGroup(tuple(groups[True]), self.recurrent_rate)


def mnist1d_lru(budget: Budget = "paper") -> RunConfig:
    """Four blocks of 26 units with 26 states on 72 time steps, the generator's own resolution: 14,362 parameters."""
    batches, evaluate_every = LENGTHS[budget]
    return RunConfig(
        task="mnist1d",
        model="lru",
        rule="backprop",
        budget=budget,
        options=MNIST1DOptions(steps=72),
        network=LRU(),
        training=TrainingConfig(
            batches=batches, evaluate_every=evaluate_every, rate=4e-3, schedule=Exponential(final=1e-4)
        ),
    )


PAIRS = (
    Pair(
        "mnist1d",
        "lru",
        mnist1d_lru,
        tuple(range(1, 11)),
        "linear recurrent units, 4 blocks of 26 on 72 steps: 14,362 parameters",
        (
            "It also learns by its own online rule: --rule lru-online.",
            "The rate was hardly tuned: 4e-3 is the first that was tried, on the validation split of clean (79 % after "
            "750 updates, seed 1). It falls exponentially; that of nu, theta and gamma is a quarter, as in the LRU's "
            "paper, and there is no weight decay.",
        ),
    ),
    offline_pair(
        "lru",
        LRU(hidden=30, states=30, layers=2, r_max=0.9),
        last_value(washout=0.9),
        1000,
        2e-3,
        "linear recurrent units, 2 blocks of 30 on NeuroBench's grid: 9,391 parameters",
        (
            "It predicts one point ahead, and the loop closes after 9 Lyapunov times, as for NeuroBench's LSTM.",
            "The first 0.9 Lyapunov times, in which the states leave zero, do not count in its loss, and eigenvalues "
            "start within a radius of 0.9: both were chosen on the validation of clean, by sequence 0.",
        ),
        tried=7,
    ),
)
