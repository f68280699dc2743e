"""An experiment: a chosen pair with its task, rule, network, engine, device and data, each resolved once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from gle_bench.chosen import Chosen
from gle_bench.config import DisturbanceConfig, FeedbackNoiseConfig, RateNoiseConfig, RunConfig, TauNoiseConfig
from gle_bench.contracts import Data, LearningRule, OnlineModel, OnlineRule, Shape, Task
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.choice import Choice
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.noise import ErrorTauNoise, FeedbackNoise, RateNoise, TauNoise
from gle_bench.dynamics.seams import NO_SEAMS, Disturbance, Observer, Seams
from gle_bench.errors import UsageError
from gle_bench.training.data import batches_per_epoch, round_ends


@dataclass(frozen=True)
class Experiment:
    """A user's choice with all that its training needs, each resolved once. `plan` makes it; all of training reads it.

    Attributes:
        chosen: the pair, its configuration, its task and its rule.
        network: the network of an online model; None for an offline model, which builds a module for each seed.
        engine: the name of the engine, and the reason for its choice.
        device: 'cpu' or 'cuda'.
        data: each seed's own data, or under None those of all seeds; empty where nothing is trained.
        seams: the observers and disturbances of all its runs.
    """

    chosen: Chosen
    network: Network | None
    engine: Choice
    device: str
    data: Mapping[int | None, Data]
    seams: Seams = NO_SEAMS

    @classmethod
    def of(cls, chosen: Chosen) -> "Experiment":
        """An experiment that trains nothing, on the CPU: its networks can be built, counted and evaluated."""
        return cls(chosen, network_of(chosen), Choice("torch", ""), "cpu", {})

    @property
    def config(self) -> RunConfig:
        return self.chosen.config

    @property
    def task(self) -> Task:
        return self.chosen.task

    @property
    def rule(self) -> LearningRule:
        return self.chosen.rule

    @cached_property
    def shape(self) -> Shape:
        return self.task.shape(self.config.options)

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.config.precision)  # type: ignore[no-any-return]

    @property
    def clean(self) -> bool:
        return self.config.protocol == "clean"

    @property
    def any_data(self) -> Data:
        return next(iter(self.data.values()))

    @property
    def samples(self) -> int:
        """The number of samples that each seed learns from."""
        return len(self.any_data.splits["train"])

    @property
    def watched(self) -> str:
        """The split that is evaluated while training."""
        return self.task.evaluation_split(self.config.protocol)

    @property
    def keeps_test(self) -> bool:
        """Whether there is a test split that is looked at only when training is over."""
        return self.watched != "test" and "test" in self.any_data.splits

    @cached_property
    def ends(self) -> list[int]:
        """The number of batches learned from by the end of each round."""
        return round_ends(self.config.training, self.samples)

    @property
    def batches_per_epoch(self) -> int:
        return batches_per_epoch(self.config.training, self.samples)

    @property
    def steps_per_batch(self) -> int:
        """The steps that a record counts for a batch: time steps of an online rule, one update of any other."""
        return self.shape.steps if isinstance(self.rule, OnlineRule) else 1

    @cached_property
    def under(self) -> dict[str, Any]:
        """The engine, device and threads under which a resumed run ends bit-identical to an uninterrupted one."""
        engine = choice.make(self.engine.engine)
        threads = {"threads": torch.get_num_threads()} if engine.threads_matter else {}
        return {"engine": engine.name, "device": self.device, **threads}


def network_of(chosen: Chosen) -> Network | None:
    """The network of an online model; None for an offline model."""
    model, task = chosen.config.network, chosen.task
    if not isinstance(model, OnlineModel):
        return None
    network = model.network(task.shape(chosen.config.options), task.loss)
    return replace(network, own_taus=True) if tau_noises(chosen.config) else network


def seams_of(chosen: Chosen, network: Network | None, observers: tuple[Observer, ...]) -> Seams:
    """The seams of a run: its observers, and the disturbances that its configuration names.

    Raises:
        UsageError: the model learns offline and can have none, or has not what a disturbance acts on.
    """
    configs = chosen.config.disturbances
    if network is None:
        if configs or observers:
            raise UsageError(
                f"{chosen.config.model} learns offline, without steps of its own that could be "
                f"{'disturbed; set disturbances to []' if configs else 'watched; leave the observers out'}, "
                "or choose a model that learns online, such as gle."
            )
        return NO_SEAMS
    disturbances: list[Disturbance] = []
    for stream, config in enumerate(configs):
        _check_layers(config, network)
        if isinstance(config, RateNoiseConfig):
            given = config.std, config.layers, config.in_evaluation, stream
            disturbances.append(RateNoise(*given, correlation=config.correlation))
        elif isinstance(config, FeedbackNoiseConfig):
            given = config.std, config.layers, config.in_evaluation, stream
            disturbances.append(FeedbackNoise(*given, relative=config.relative))
    for noise, config in tau_noises(chosen.config):
        _check_taus(config, network)
        if config.errors == "independent":
            disturbances.append(ErrorTauNoise(noise, network))
    return Seams(observers, tuple(disturbances))


def tau_noises(config: RunConfig) -> list[tuple[TauNoise, TauNoiseConfig]]:
    """The noise on time constants that a configuration names; at most one.

    Raises:
        UsageError: it names more.
    """
    noises = [
        (TauNoise(noise.std, noise.layers, stream), noise)
        for stream, noise in enumerate(config.disturbances)
        if isinstance(noise, TauNoiseConfig)
    ]
    if len(noises) > 1:
        raise UsageError(
            f"disturbances name {len(noises)} of kind tau-noise, but a time constant is drawn once; give one of them."
        )
    return noises


def _check_layers(config: DisturbanceConfig, network: Network) -> None:
    """Refuses layer numbers of a noise for which the network has no signal or time constant."""
    where = f"0, its input, to {len(network.layers)}"
    numbers = set(range(len(network.layers) + 1))
    if not isinstance(config, RateNoiseConfig):
        learning = isinstance(config, FeedbackNoiseConfig)
        fit = [block for block in network.blocks if block.relay is None and (block.has_errors or not learning)]
        numbers = {block.first + 1 + k for block in fit for k in range(len(block.layers))}
        where = f"{', '.join(map(str, sorted(numbers)))}, which have {'feedback' if learning else 'time constants'}"
    if config.layers is not None and not numbers.issuperset(config.layers):
        raise UsageError(
            f"layers = {list(config.layers)} of disturbance {config.kind}: the network has layers {where}; "
            "name some of these, or none for all."
        )


def _check_taus(config: TauNoiseConfig, network: Network) -> None:
    if network.learn_tau_m or network.learn_tau_r:
        raise UsageError(
            "tau-noise is drawn once, but the network's time constants learn and would lose it; "
            "leave tau-noise out, or choose a model whose time constants are fixed."
        )
    if config.errors == "independent" and not any(layer.prospective_errors for layer in network.layers):
        raise UsageError(
            "errors = independent of tau-noise: the network's errors pass no filter that has time constants; "
            "set errors = shared."
        )
