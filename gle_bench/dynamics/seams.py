"""Observers and disturbances of a running network: an `Observer` sees its signals, a `Disturbance` replaces them.

    signal          of layers   shape        what it is
    rate            0 to L      (S, B, N)    r, which drives the layer above; of layer 0 the input, of L the output
    current         1 to L      (S, B, N)    W r + b (+ gamma e), the drive of u
    feedback        1 to L      (S, B, N)    W^T e or B e, as it arrives from above; at the output the nudging
    instantaneous   1 to L      (S, B, N)    phi' o feedback, the drive of v
    error           1 to L      (S, B, N)    e, which Eqs. 21-24 learn by
    error_tau_m     1 to L      (S, 1, N)    tau_m of the error neurons, by which e looks ahead of v
    error_tau_r     1 to L      (S, 1, N)    tau_r of the error neurons, by which v is low-passed

Layers are counted as in the paper: the input is layer 0, `network.layers[0]` is layer 1. Layers that are stacked in a
block are passed one by one, and a relay (pooling) is a layer with a rate only. Each signal is passed once in a step.
The integrator 'rk4' traverses the layers four times in one step: a disturbance acts on each traversal, with the same
random numbers, and an observer sees the first one, at time t. Errors that are not needed are neither computed nor
passed. A disturbance of the rate does not change phi'.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

Signal = Literal["rate", "current", "feedback", "instantaneous", "error", "error_tau_m", "error_tau_r"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
Pass = Callable[[Signal, int, Tensor], Tensor]  # passes a signal of a layer, or of a block from that layer on


class Moment(NamedTuple):
    """The time of a step within a run."""

    batch: int = 0  # batches that the run has learned before, also before an interruption
    step: int = 0  # step within the batch, counted from 0
    evaluation: int | None = None  # the batch's number within an evaluation; None: the network learns


START = Moment()


class Observer(ABC):
    """An object that is shown the signals of a run, as copies, so that it changes neither the run nor its identity."""

    @abstractmethod
    def see(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment) -> None:
        """Receives one signal of one layer, after the disturbances; called for every signal and layer."""


class Disturbance(ABC):
    """An object that changes signals of a run, such as noise, and is part of the run's identity.

    It must be a function of its arguments alone, separately for each member of the ensemble. A member's result then
    does not depend on the other members, and a resumed run gives the same bits. `noise.generators` makes suitable
    random numbers.

    Attributes:
        kind: its word in settings, such as 'rate-noise'; empty: it has none.
        signals: the signals that it changes.
        cure: the advice to a user whose rule does not have these signals, as a clause.
        in_evaluation: whether it acts in evaluations too.
    """

    kind: ClassVar[str] = ""
    signals: ClassVar[frozenset[Signal]]
    cure: ClassVar[str] = "leave it out, or choose rule 'gle'"
    in_evaluation: bool = False

    @abstractmethod
    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        """The tensor that replaces the signal, of the same shape; the given tensor must not be changed.

        Args:
            seeds: one for each of the S members.
        """


@dataclass(frozen=True)
class Seams:
    """The observers and disturbances of an ensemble at one moment. Its truth value is False if there are none.

    The trainer makes one for each batch. The engine passes it to the rule as it is at the window's first step, and the
    rule passes it on to `step` or `advance`, moved to their step by `at`.
    """

    observers: tuple[Observer, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    seeds: tuple[int, ...] = ()  # of the members
    moment: Moment = START

    def __bool__(self) -> bool:
        return bool(self.observers or self.disturbances)

    def at(self, steps: int) -> "Seams":
        """The same observers and disturbances, `steps` steps later."""
        return replace(self, moment=self.moment._replace(step=self.moment.step + steps)) if self else self

    def in_evaluation(self, number: int) -> "Seams":
        """The seams for batch `number` of an evaluation, without the disturbances that act during learning only."""
        acting = tuple(disturbance for disturbance in self.disturbances if disturbance.in_evaluation)
        return replace(self, disturbances=acting, moment=self.moment._replace(evaluation=number))

    @property
    def unobserved(self) -> "Seams":
        """The same seams with the disturbances only, without observers."""
        return replace(self, observers=()) if self.observers else self

    def pass_layer(self, signal: Signal, layer: int, tensor: Tensor) -> Tensor:
        """A layer's signal after the disturbances. The observers see the result."""
        for disturbance in self.disturbances:
            if signal in disturbance.signals:
                tensor = disturbance.disturb(signal, layer, tensor, self.moment, self.seeds)
        for observer in self.observers:
            observer.see(signal, layer, tensor.detach().clone(), self.moment)
        return tensor

    def pass_block(self, signal: Signal, first: int, tensor: Tensor) -> Tensor:
        """The signal of K stacked layers, (K, S, ...), after the disturbances; the lowest is layer number `first`."""
        layers = [self.pass_layer(signal, first + k, own) for k, own in enumerate(tensor)]
        return torch.stack(layers) if self.disturbances else tensor

    def refusal(self) -> str | None:
        """Why an engine that computes no signal by itself cannot run with them, as a clause; None: there are none."""
        names = [type(part).__name__ for part in (*self.disturbances, *self.observers)]
        return f"{' and '.join(names)} must be passed each signal, which only engine 'torch' does" if names else None


NO_SEAMS = Seams()
