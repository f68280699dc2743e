"""What can be watched and changed in a run while it steps: an `Observer` sees signals, a `Disturbance` replaces them.

    signal          of layers   shape        what it is
    rate            0 to L      (S, B, N)    r, which drives the layer above; of layer 0 the input, of L the output
    current         1 to L      (S, B, N)    W r + b (+ gamma e), which u is drawn to
    feedback        1 to L      (S, B, N)    W^T e or B e, as it arrives from above; at the output the nudging
    instantaneous   1 to L      (S, B, N)    phi' o feedback, which v is drawn to
    error           1 to L      (S, B, N)    e, which Eqs. 21-24 learn by
    error_tau_m     1 to L      (S, 1, N)    tau_m of the error neurons, by which e looks ahead of v
    error_tau_r     1 to L      (S, 1, N)    tau_r of the error neurons, by which v is low-passed

Layers are counted as in the paper: the input is layer 0, `network.layers[0]` is layer 1. Layers that are stacked in a
block are seen one by one, and a relay (pooling) is a layer with a rate and nothing else. Each signal passes once a
step. Where layers are traversed in order, 'rk4' passes through them four times in one step: a disturbance changes each
traversal, by the same random numbers, and an observer sees the first one, which is that of t. Errors that nothing needs
are not computed, and nobody sees them. A disturbance of the rate leaves phi' as it was.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

Signal = Literal["rate", "current", "feedback", "instantaneous", "error", "error_tau_m", "error_tau_r"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
Pass = Callable[[Signal, int, Tensor], Tensor]  # what a signal of a layer, or of a block from that layer on, becomes


class Moment(NamedTuple):
    """The time of a step within a run."""

    batch: int = 0  # batches that the run learned before, over all its sittings
    step: int = 0  # of the batch, counted from 0
    evaluation: int | None = None  # the batch's number within an evaluation; None: the network learns


START = Moment()


class Observer(ABC):
    """What watches a run. It is given copies, so that it cannot change the run, and is no part of a run's identity."""

    @abstractmethod
    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        """Called with every signal of every layer, as the disturbances left it."""


class Disturbance(ABC):
    """What changes signals of a run, and is part of the run's identity.

    It must be a function of its arguments alone, member by member: then a member's result does not depend on its
    company, and a resumed run gives the same bits. `noise.generators` makes random numbers of this kind.

    Attributes:
        signals: those it is called for.
        cure: what a user can do whose rule does not have them, as a clause.
        in_evaluation: whether it acts in evaluations too.
    """

    signals: ClassVar[frozenset[Signal]]
    cure: ClassVar[str] = "leave it out, or choose rule 'gle'"
    in_evaluation: bool = False

    @abstractmethod
    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        """What takes the tensor's place, in its shape; the tensor itself must stay as it is.

        Args:
            seeds: one for each of the S members.
        """


@dataclass(frozen=True)
class Seams:
    """The observers and disturbances of an ensemble at one moment. Without any it is false, and costs nothing.

    Whoever trains makes it for each batch; the engine hands it to the rule as it is at the window's first step, and the
    rule hands it to `step` or `advance`, `at` the step in question.
    """

    observers: tuple[Observer, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    seeds: tuple[int, ...] = ()  # of the members
    moment: Moment = START

    def __bool__(self) -> bool:
        return bool(self.observers or self.disturbances)

    def at(self, steps: int) -> "Seams":
        """The seams so many steps later."""
        return replace(self, moment=self.moment._replace(step=self.moment.step + steps)) if self else self

    def in_evaluation(self, number: int) -> "Seams":
        """The seams of an evaluation's batch of that number: without the disturbances that act on learning alone."""
        acting = tuple(disturbance for disturbance in self.disturbances if disturbance.in_evaluation)
        return replace(self, disturbances=acting, moment=self.moment._replace(evaluation=number))

    @property
    def unobserved(self) -> "Seams":
        """The disturbances alone."""
        return replace(self, observers=()) if self.observers else self

    def pass_layer(self, signal: Signal, layer: int, tensor: Tensor) -> Tensor:
        """What the disturbances make of a layer's signal, which the observers then see."""
        for disturbance in self.disturbances:
            if signal in disturbance.signals:
                tensor = disturbance.disturb(signal, layer, tensor, self.moment, self.seeds)
        for observer in self.observers:
            observer.see(signal, layer, tensor.detach().clone(), self.moment)
        return tensor

    def pass_block(self, signal: Signal, first: int, tensor: Tensor) -> Tensor:
        """The same for K stacked layers, (K, S, ...), the lowest of them layer number `first`."""
        layers = [self.pass_layer(signal, first + k, own) for k, own in enumerate(tensor)]
        return torch.stack(layers) if self.disturbances else tensor

    def refusal(self) -> str | None:
        """Why an engine that computes no signal by itself cannot run with them, as a clause; None: there are none."""
        names = [type(part).__name__ for part in (*self.disturbances, *self.observers)]
        return f"{' and '.join(names)} must be passed each signal, which only engine 'torch' does" if names else None


NO_SEAMS = Seams()
