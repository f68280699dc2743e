"""Noise on a running network: on rates, on the feedback that carries errors down, and on time constants.

Noise on signals is drawn anew at every step, independently for every neuron and sample. Noise on time constants is
drawn once for each member, as a fixed property of its neurons, and is the same in learning and in evaluations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gle_bench.dynamics.network import Network
from gle_bench.dynamics.seams import START, Disturbance, Moment, Signal
from gle_bench.dynamics.state import TAUS, Parameters
from gle_bench.errors import UsageError

# The purposes of random numbers. The numbers depend on a purpose's index, so that new ones are added at the end.
DRAWN: Final = ("rate", "current", "instantaneous", "error", "feedback", *TAUS, "error_tau_m", "error_tau_r")
GROUP: Final = 4  # names that share a range of places


@dataclass(frozen=True)
class SignalNoise(Disturbance):
    """Gaussian noise that is added to a signal: x + std xi, with a new xi for every neuron, sample and step.

    Attributes:
        std: its standard deviation.
        layers: the layers whose signals are noisy, where 0 is the input; None: all.
        in_evaluation: whether evaluations are noisy too.
        stream: a number of its own for each disturbance of a run, so that their random numbers are independent.
    """

    std: float
    layers: tuple[int, ...] | None = None
    in_evaluation: bool = False
    stream: int = 0

    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        if self.layers is not None and layer not in self.layers:
            return tensor
        _check_seeds(seeds, tensor)
        # Drawn in double precision, so that noise is the same in every precision.
        noise = self._noise(signal, layer, tuple(tensor.shape[1:]), moment, seeds)
        return torch.add(tensor, torch.from_numpy(noise).to(tensor) * self.amplitude(tensor), alpha=self.std)

    def _noise(
        self, signal: Signal, layer: int, shape: tuple[int, ...], moment: Moment, seeds: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """The noise of one step with a standard deviation of 1, (S, *shape)."""
        draws = generators(seeds, signal, layer, moment, self.stream)
        return np.stack([draw.standard_normal(shape) for draw in draws])

    def amplitude(self, tensor: Tensor) -> Tensor | float:
        """The factor on the standard deviation, for a given signal."""
        return 1.0


@dataclass(frozen=True)
class RateNoise(SignalNoise):
    """Gaussian noise on the rates of layers, including the input.

    Attributes:
        correlation: steps from one random number to the next. Between them noise changes smoothly, and has the same
            variance; noise of more than twice as many steps ago is independent, and so is that of another batch.
    """

    kind: ClassVar[str] = "rate-noise"
    signals: ClassVar[frozenset[Signal]] = frozenset({"rate"})

    correlation: int = 1

    def _noise(
        self, signal: Signal, layer: int, shape: tuple[int, ...], moment: Moment, seeds: tuple[int, ...]
    ) -> NDArray[np.float64]:
        knot, since = divmod(moment.step, self.correlation)
        before, after = (
            super(RateNoise, self)._noise(signal, layer, shape, moment._replace(step=step), seeds) if weight else 0.0
            for step, weight in ((knot * self.correlation, True), ((knot + 1) * self.correlation, since))
        )
        angle = np.pi / 2 * since / self.correlation  # the squares of the two weights add up to 1
        noise: NDArray[np.float64] = np.cos(angle) * before + np.sin(angle) * after
        return noise


@dataclass(frozen=True)
class FeedbackNoise(SignalNoise):
    """Gaussian noise on the feedback to each layer, before the factor phi'; at the output layer, on the nudging.

    Attributes:
        relative: whether the unit of `std` is the root mean square of the layer's feedback over the neurons and samples
            of the step, instead of 1.
    """

    kind: ClassVar[str] = "feedback-noise"
    signals: ClassVar[frozenset[Signal]] = frozenset({"feedback"})

    relative: bool = False

    def amplitude(self, tensor: Tensor) -> Tensor | float:
        return tensor.square().mean((1, 2), keepdim=True).sqrt() if self.relative else 1.0


@dataclass(frozen=True)
class TauNoise:
    """Gaussian noise on time constants: tau + std xi, but never below dt, with one xi for each tau of each neuron.

    Attributes:
        std: its standard deviation, in the unit of the time constants.
        layers: the layers whose time constants are noisy; None: all.
        stream: a number that differs for each disturbance of a run.
    """

    std: float
    layers: tuple[int, ...] | None = None
    stream: int = 0

    def perturbed(self, network: Network, parameters: Parameters, seed: int) -> Parameters:
        """The parameters of one member, (K, 1, ...), in which noisy time constants replace the layers' own ones."""
        blocks = []
        for block, p in zip(network.blocks, parameters, strict=True):
            numbers = range(block.first + 1, block.first + 1 + len(block.layers))
            new = {name: tau.clone() for name in TAUS if (tau := getattr(p, name)) is not None}
            for name, tau in new.items():
                for k, number in enumerate(numbers):
                    if self.acts_on(number):
                        tau[k] = self.taus(network, name, name, number, (seed,)).to(tau)
            blocks.append(p._replace(**new))
        return tuple(blocks)

    def acts_on(self, layer: int) -> bool:
        return self.layers is None or layer in self.layers

    def taus(self, network: Network, name: str, drawn: str, layer: int, seeds: tuple[int, ...]) -> Tensor:
        """The noisy time constants `name` of a layer, (S, 1, N); `drawn` names the random numbers that are used."""
        own = network.layers[layer - 1]
        noise = np.stack([_normal(seed, drawn, layer, self.stream, own.neurons) for seed in seeds])
        noisy = np.maximum(np.array(getattr(own, name)) + self.std * noise, network.dt)
        return torch.from_numpy(noisy[:, None])


@dataclass(frozen=True)
class ErrorTauNoise(Disturbance):
    """Noise on the time constants of error neurons, independent of the noise on the neurons they belong to.

    An error neuron then no longer inverts its neuron's filter exactly, but only on average.
    """

    kind: ClassVar[str] = "tau-noise"
    signals: ClassVar[frozenset[Signal]] = frozenset({"error_tau_m", "error_tau_r"})
    cure: ClassVar[str] = "set errors = shared of tau-noise, or choose rule 'gle'"

    noise: TauNoise
    network: Network
    in_evaluation: bool = True

    def disturb(self, signal: Signal, layer: int, tensor: Tensor, moment: Moment, seeds: tuple[int, ...]) -> Tensor:
        if not self.noise.acts_on(layer):
            return tensor
        _check_seeds(seeds, tensor)
        return self.noise.taus(self.network, signal.removeprefix("error_"), signal, layer, seeds).to(tensor)


def _check_seeds(seeds: tuple[int, ...], tensor: Tensor) -> None:
    if len(seeds) != len(tensor):
        raise UsageError(f"seeds = {seeds} of the seams must be one for each of {len(tensor)} members.")


@lru_cache(maxsize=4096)  # every step asks for them
def _normal(seed: int, drawn: str, layer: int, stream: int, size: int) -> NDArray[np.float64]:
    return generators((seed,), drawn, layer, START, stream)[0].standard_normal(size)


def generators(
    seeds: Sequence[int], drawn: str, layer: int, moment: Moment, stream: int = 0
) -> list[np.random.Generator]:
    """A random generator for each seed, determined by the arguments. Different arguments give independent numbers.

    Philox counts: its key and the upper words of its counter are the arguments, and drawing moves the lowest word.
    """
    evaluation = 0 if moment.evaluation is None else 1 + moment.evaluation
    group, index = divmod(DRAWN.index(drawn), GROUP)
    place = layer * GROUP + index + (group << 32)
    counter = np.array([0, moment.step + (evaluation << 32), moment.batch, place], dtype=np.uint64)
    keys = (np.array([seed, stream], dtype=np.uint64) for seed in seeds)
    return [np.random.Generator(np.random.Philox(key=key, counter=counter)) for key in keys]
