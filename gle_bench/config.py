"""Typed, frozen configurations, whose values are checked when they are made, and their hash."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, SerializeAsAny, model_validator

from gle_bench.errors import UsageError, clipped
from gle_bench.words import Average, Budget, ErrorTaus, Loss, OptimizerName, Precision, Protocol, Sampling

MOST_SEEDS = 1000  # in one range; a longer range is taken for a typing error
LARGEST_SEED = 2**32 - 1  # the largest seed that every generator of random numbers takes

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]


class Frozen(BaseModel):
    """The base of all configurations: immutable, with finite numbers, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _no_truth_value_for_a_number(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuses true and false where a number belongs, alone or in a list; pydantic takes them for 1 and 0."""
        validated = handler(data)
        fields = type(validated).model_fields.keys() & data.keys() if isinstance(data, dict) else set()
        for name in sorted(fields):  # without those of old records that a validator has taken away
            value, made = data[name], getattr(validated, name)
            several = isinstance(value, list | tuple) and isinstance(made, tuple)
            pairs = zip(value, made, strict=True) if several else ((value, made),)
            if any(isinstance(given, bool) and not isinstance(number, bool) for given, number in pairs):
                raise ValueError(f"{name} should be a number, not true or false (got {value!r})")
        return validated


class TaskOptions(Frozen):
    """The base of a task's options, which choose its data; a task extends it with fields of its own."""


class RuleOptions(Frozen):
    """The base of a learning rule's options; a rule extends it, and gives every field a default."""


class ModelConfig(Frozen):
    """The base of a network's architecture and hyper-parameters.

    A family extends it, and adds `build`, or `network` and `initialise`. Its `version` is raised when its results
    change, so that older records are not taken for newer ones. Its `sizes` name properties that can be set like fields,
    such as a width that several fields share; `resized` says which fields then change.

    Attributes:
        loss: the loss that the network learns by, which its results report; None: the task's own.
    """

    version: ClassVar[int] = 1
    sizes: ClassVar[tuple[str, ...]] = ()
    loss: Loss | None = None

    def resized(self, sizes: Mapping[str, Any]) -> Self:
        """The same network with these of its `sizes`, {name: size}.

        Raises:
            UsageError: a size that the network cannot have.
        """
        raise NotImplementedError


class Plateau(Frozen):
    """A learning rate that is multiplied by `factor` after more than `patience` evaluations without a lower loss.

    It stays if it would fall by no more than `eps` (PyTorch's default).
    """

    kind: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: Annotated[int, Field(ge=0)] = 2
    eps: Annotated[float, Field(ge=0)] = 1e-8


class Exponential(Frozen):
    """A learning rate that falls exponentially, update by update, to `final` at the end of training."""

    kind: Literal["exponential"] = "exponential"
    final: Positive


class Phases(Frozen):
    """A learning rate for each of several phases of equal length: `rate` in the first, those of `later` afterwards."""

    kind: Literal["phases"] = "phases"
    later: Annotated[tuple[Positive, ...], Field(min_length=1)]


class Constant(Frozen):
    """A learning rate that stays the same."""

    kind: Literal["constant"] = "constant"


Schedule = Annotated[Plateau | Exponential | Phases | Constant, Field(discriminator="kind")]


class TrainingConfig(Frozen):
    """The length of training, its batches, its optimizer and its learning rate.

    Training goes in *rounds*, each of which ends with an evaluation. A round is an epoch if `epochs` is given. If
    `batches` is given, it is `evaluate_every` batches, after a first round of one, as in the reference's baselines.

    Attributes:
        rate: learning rate, of Adam with torch's defaults or of plain gradient descent.
        shuffle: False takes the samples in order, batch after batch, from the first again at the end.
        weight_decay: added to an offline model's gradient, times the weight itself.
        sampling: 'once': an epoch has each sample once; 'replacement': it draws as many with replacement, rounded up
            to whole batches; 'balanced': it draws as many with replacement, each class with the same probability.
        average: 'epoch' evaluates the mean of the weights after each batch of an epoch as well as the raw weights, on
            which alone training, its schedule and the choice of the best evaluation depend.
    """

    epochs: Count | None = None
    batches: Count | None = None
    evaluate_every: Count = 250
    batch_size: Count = 100
    evaluation_batch_size: Count = 1000
    optimizer: OptimizerName = "adam"
    rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Schedule = Constant()
    shuffle: bool = True
    sampling: Sampling = "once"
    average: Average = "none"

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingConfig":
        if (self.epochs is None) == (self.batches is None):
            raise ValueError(f"give one of epochs = {self.epochs} and batches = {self.batches}, not both or neither")
        return self

    @model_validator(mode="after")
    def _drawn_or_in_order(self) -> "TrainingConfig":
        if self.sampling != "once" and not self.shuffle:
            raise ValueError(f"sampling = {self.sampling} draws at random; set shuffle = true, or sampling = once")
        return self


LayerNumbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class RateNoiseConfig(Frozen):
    """Gaussian noise on rates, a disturbance of runs on the `torch` engine.

    By default it acts on learning alone, because a metric says what was learned: noise in evaluations would lower it
    even where learning was not disturbed at all.

    Attributes:
        std: standard deviation of the noise.
        layers: numbers of the layers whose rates are noisy, the input being layer 0; None: all layers.
        in_evaluation: whether evaluations are noisy too.
        correlation: steps from one random number to the next, between which noise changes smoothly; 1: at every step.
    """

    kind: Literal["rate-noise"]  # without a default, so that the hash always has it
    std: Positive
    layers: LayerNumbers | None = None
    in_evaluation: bool = False
    correlation: Count = 1


class FeedbackNoiseConfig(Frozen):
    """Gaussian noise on the feedback that arrives at the layers, a disturbance of runs on the `torch` engine.

    It is added to W^T e, or to what a rule has in its place, before phi'; at the output, to the nudging.

    Attributes:
        std: standard deviation of the noise.
        relative: whether its unit is the root mean square of the layer's feedback over the neurons and samples of the
            step. Errors become smaller while a network learns, and noise of a fixed size prevails in the end.
        layers: numbers of the layers at which feedback arrives with noise, from 1 on; None: all layers.
        in_evaluation: whether evaluations are noisy too, which matters where the state runs on from them.
    """

    kind: Literal["feedback-noise"]
    std: Positive
    relative: bool = False
    layers: LayerNumbers | None = None
    in_evaluation: bool = False


class TauNoiseConfig(Frozen):
    """Gaussian noise on time constants, drawn once for each seed as a fixed property of its neurons.

    Every neuron has noise of its own on tau_m and on tau_r. None of them falls below dt, so that the noise of those
    which are dt is one-sided. It is the same throughout the run and in its evaluations.

    Attributes:
        std: standard deviation of the noise, in the unit of the time constants.
        errors: with 'shared', a neuron's error neuron has the same noisy time constants, and still inverts its filter;
            with 'independent' it draws its own, which needs the `torch` engine (derived; in no paper).
        layers: numbers of the layers whose time constants are noisy, from 1 on; None: all layers.
    """

    kind: Literal["tau-noise"]
    std: Positive
    errors: ErrorTaus = "shared"
    layers: LayerNumbers | None = None


DisturbanceConfig = Annotated[RateNoiseConfig | FeedbackNoiseConfig | TauNoiseConfig, Field(discriminator="kind")]


class RunConfig(Frozen):
    """The full configuration of a run, except its seed.

    Attributes:
        rule_options: the rule's options, of the type that its attribute `options` names.
        disturbances: noise on a network while it runs; only for networks that learn online.
    """

    task: str
    model: str
    rule: str
    protocol: Protocol = "paper"
    budget: Budget = "short"
    precision: Precision = "float32"
    options: SerializeAsAny[TaskOptions] = TaskOptions()
    network: SerializeAsAny[ModelConfig]
    training: TrainingConfig
    disturbances: tuple[DisturbanceConfig, ...] = ()
    rule_options: SerializeAsAny[RuleOptions] = RuleOptions()


def meaning(config: RunConfig) -> dict[str, Any]:
    """The part of a configuration that its hash covers: what names the run, and all that differs from its default.

    A new option with a default therefore changes the hash of no record.
    """
    always = config.model_dump(mode="json", include={"task", "model", "rule", "protocol", "budget", "precision"})
    kind = {"schedule_kind": config.training.schedule.kind}  # two schedules of nothing but defaults must not look alike
    differing = config.model_dump(mode="json", exclude_defaults=True)
    if not differing.get("rule_options"):  # a rule's own defaults differ from the field's in their type alone
        differing.pop("rule_options", None)
    return always | kind | differing


def config_hash(config: RunConfig, versions: dict[str, int], fingerprint: str) -> str:
    """The hash of a run, twelve hexadecimal digits: of its configuration, its code's versions and its data."""
    content = {"config": meaning(config), "versions": versions, "data": fingerprint}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_seeds(text: str | None, paper: Sequence[int]) -> list[int]:
    """The seeds that a text such as '0-9', '3,5' or 'paper' names. Without a text, the paper's first seed.

    Raises:
        UsageError: any other text, or a seed that is named twice.
    """
    if text is None:
        return [paper[0]]
    if text == "paper":
        return list(paper)
    seeds: list[int] = []
    shown = clipped(text)
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip())
        if match is None:
            raise UsageError(f"--seeds {shown}: '{clipped(part)}' is not a seed; write 0-9, or 3,5, or paper.")
        first, last = _seed(match[1]), _seed(match[2] or match[1])
        if last < first or last - first >= MOST_SEEDS:
            raise UsageError(f"--seeds {shown}: '{clipped(part)}' must rise, over at most {MOST_SEEDS} seeds.")
        if last > LARGEST_SEED:
            raise UsageError(f"--seeds {shown}: '{clipped(part)}' is too large; seeds go up to {LARGEST_SEED}.")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {shown} names a seed twice; name each once.")
    return seeds


def _seed(digits: str) -> int:
    """The number that digits spell; of very many digits only the first are read, which are too large a seed as well."""
    return int(digits.lstrip("0")[: 2 * len(str(LARGEST_SEED))] or "0")
