"""The recipes of Fig. 6: the teacher, the input, and how GLE and the adjoint method learn from it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from gle_bench.config import Positive, RunConfig, TaskOptions, TrainingConfig
from gle_bench.contracts import Pair
from gle_bench.dynamics.choices import AdjointOptions
from gle_bench.models.small_nets import SmallNet
from gle_bench.words import Budget

DT: Final = 0.01  # time step
STEPS: Final = 100_100  # of the stream that is learned from, 1,001 units of time
STILL: Final = 8_000  # steps without learning, at the beginning
CHUNK: Final = 300  # steps of a sample, at whose end the adjoint method learns
BATCHES: Final[dict[Budget, int]] = {"smoke": 29, "short": 167, "paper": STEPS // CHUNK}
FREQUENCIES: Final = (0.49, 1.07, 1.98)  # angular, of the paper's input


class SmallNetsOptions(TaskOptions):
    """The options of Fig. 6: the teacher's weights from the input, and the input's angular frequencies."""

    weights: tuple[float, float] = (-0.5, 1.0)
    frequencies: Annotated[tuple[Positive, ...], Field(min_length=1)] = FREQUENCIES


def _configure(model: str, rule: str, network: SmallNet, rate: float, budget: Budget) -> RunConfig:
    training = TrainingConfig(
        batches=BATCHES[budget],
        evaluate_every=1,
        batch_size=1,
        evaluation_batch_size=1,
        optimizer="sgd",
        rate=rate,
        shuffle=False,
    )
    config = RunConfig(
        task="small-nets",
        model=model,
        rule=rule,
        budget=budget,
        options=SmallNetsOptions(),
        network=network,
        training=training,
    )
    return config if rule == "gle" else config.model_copy(update={"rule_options": AdjointOptions(scheme="paper")})


def small_nets_gle(budget: Budget = "paper") -> RunConfig:
    """The network 1-2-2-1 that learns its two weights at every step."""
    return _configure("gle", "gle", SmallNet(), 2e-3, budget)


def small_nets_adjoint(budget: Budget = "paper") -> RunConfig:
    """The same network without nudging of its membranes, which learns by the adjoint method every 300 steps."""
    return _configure("adjoint-method", "adjoint", SmallNet(gamma=0.0), 7e-2 * DT * CHUNK * 10, budget)


_NOTES: Final = (
    "The released code descends with momentum 0.9, which the paper does not mention; here it is plain descent at ten "
    "times the rate, which is the same where weights change slowly.",
)
PAIRS = (
    Pair("small-nets", "gle", small_nets_gle, (5,), "1-2-2-1, whose two first weights learn at every step", _NOTES),
    Pair(
        "small-nets",
        "adjoint-method",
        small_nets_adjoint,
        (5,),
        "the same without gamma, by the adjoint method every 300 steps",
        (
            *_NOTES,
            "Errors end at the last step of a window by the boundary condition of the variation, in every layer; the "
            "released code guesses those of hidden layers.",
        ),
    ),
)
