"""What the task MNIST-1D and its models agree on: the length of a sample, and the recipe of the offline baselines."""

from typing import Literal

from gle_bench.config import Budget, RunConfig, TaskOptions, TrainingConfig
from gle_bench.protocols import OfflineModel, Pair

Steps = Literal[40, 72, 120, 360, 400]

# Update 0 is a round of its own, so a length is 1 + a multiple of the distance between evaluations.
LENGTHS: dict[Budget, tuple[int, int]] = {"smoke": (101, 50), "short": (1501, 250), "paper": (6001, 250)}


class MNIST1DOptions(TaskOptions):
    """Time steps that a sample is generated with: 360 as the paper streams it, 40 as MNIST-1D was published."""

    steps: Steps = 360


def offline_pair(
    model: str, network: OfflineModel, steps: Steps, rate: float, summary: str, notes: tuple[str, ...] = ()
) -> Pair:
    """A baseline of Table 2, trained as the reference's loss traces show.

    Adam, 6001 updates on batches of 100 in the order of the data, evaluated after update 0 and every 250 from there;
    seeds 1-10.
    """

    def configure(budget: Budget) -> RunConfig:
        batches, evaluate_every = LENGTHS[budget]
        training = TrainingConfig(batches=batches, evaluate_every=evaluate_every, rate=rate, shuffle=False)
        options = MNIST1DOptions(steps=steps)
        return RunConfig(
            task="mnist1d",
            model=model,
            rule="backprop",
            budget=budget,
            options=options,
            network=network,
            training=training,
        )

    return Pair("mnist1d", model, configure, tuple(range(1, 11)), summary, notes)
