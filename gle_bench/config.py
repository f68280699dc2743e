"""Typed, frozen configurations that refuse a wrong value at birth, and their hash."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from gle_bench.errors import UsageError, clipped
from gle_bench.words import Average, Budget, Loss, OptimizerName, Precision, Protocol, Sampling

MOST_SEEDS = 1000  # in one range: more is a slip of the finger
LARGEST_SEED = 2**32 - 1  # that every generator of random numbers takes

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]


class Frozen(BaseModel):
    """A configuration: immutable, of finite numbers, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class TaskOptions(Frozen):
    """What can be chosen about a task's data; a task extends it."""


class RuleOptions(Frozen):
    """What can be chosen about a learning rule; a rule extends it, and gives every field a default."""


class ModelConfig(Frozen):
    """The network and its hyper-parameters; a family extends it and adds `build` or `network` and `initialise`.

    `version` is raised when what a family computes changes, so that older records are not taken for newer ones.

    Attributes:
        loss: what the network learns by, and what its results call the loss; None: the task's own.
    """

    version: ClassVar[int] = 1
    loss: Loss | None = None


class Plateau(Frozen):
    """Multiply the rate by `factor` when the evaluation loss has not improved for more than `patience` evaluations.

    A rate that would fall by no more than `eps` stays; PyTorch's default.
    """

    kind: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: Annotated[int, Field(ge=0)] = 2
    eps: Annotated[float, Field(ge=0)] = 1e-8


class Exponential(Frozen):
    """Let the rate fall exponentially, update by update, to `final` at the end of training."""

    kind: Literal["exponential"] = "exponential"
    final: Positive


class Phases(Frozen):
    """Cut training into phases of equal length: the first has the rate itself, the others have those of `later`."""

    kind: Literal["phases"] = "phases"
    later: Annotated[tuple[Positive, ...], Field(min_length=1)]


class Constant(Frozen):
    """Leave the rate as it is."""

    kind: Literal["constant"] = "constant"


Schedule = Annotated[Plateau | Exponential | Phases | Constant, Field(discriminator="kind")]


class TrainingConfig(Frozen):
    """How long and how fast to learn.

    Training goes in *rounds*, each ending in an evaluation: an epoch each (`epochs`), or `evaluate_every` batches
    (`batches`), the first of which is a round of its own, as in the reference's baselines.

    Attributes:
        rate: learning rate; of Adam with torch's defaults, or of the plain gradient.
        shuffle: False takes the samples in order, batch after batch, from the first again at the end.
        weight_decay: added to an offline model's gradient, times the weight itself.
        sampling: an epoch has each sample once, or draws as many (rounded up to whole batches) with 'replacement', or
            so 'balanced' that every class has the same chance, with replacement as well.
        average: 'epoch' keeps the mean of the weights at the ends of an epoch's batches beside the weights that train,
            and evaluates both; training, its schedule and the choice of the best evaluation look at the raw weights.
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


class RateNoiseConfig(Frozen):
    """Gaussian noise on rates, a disturbance of runs on the `torch` engine.

    By default it acts on learning alone, because a metric says what was learned: noise in evaluations would lower it
    even where learning was not disturbed at all.

    Attributes:
        std: standard deviation of the noise.
        layers: numbers of the layers whose rates are noisy, the input being layer 0; None: all layers.
        in_evaluation: whether evaluations are noisy too.
    """

    kind: Literal["rate-noise"]  # without a default, so that the hash always has it
    std: Positive
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    in_evaluation: bool = False


DisturbanceConfig = RateNoiseConfig  # further kinds make it a union, discriminated by `kind`


class RunConfig(Frozen):
    """One experiment, all but the seed.

    Attributes:
        rule_options: what was chosen about the rule, of its type `options`.
        disturbances: what changes signals of a network while it runs; only for networks that learn online.
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
    """What the hash covers: what identifies the run, and the fields that differ from their defaults.

    So a new option with a default orphans no record.
    """
    always = config.model_dump(mode="json", include={"task", "model", "rule", "protocol", "budget", "precision"})
    kind = {"schedule_kind": config.training.schedule.kind}  # two schedules of nothing but defaults must not look alike
    differing = config.model_dump(mode="json", exclude_defaults=True)
    if not differing.get("rule_options"):  # a rule's own defaults differ from the field's in their type alone
        differing.pop("rule_options", None)
    return always | kind | differing


def config_hash(config: RunConfig, versions: dict[str, int], fingerprint: str) -> str:
    """Twelve hexadecimal digits over the meaning, the versions of task, model and rule, and the data's fingerprint."""
    content = {"config": meaning(config), "versions": versions, "data": fingerprint}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_seeds(text: str | None, paper: Sequence[int]) -> list[int]:
    """Seeds from '0-9', '3,5' or 'paper'; the first of the paper's for None.

    Raises:
        UsageError: anything else, or no seed, or one twice.
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
            raise UsageError(f"--seeds {shown}: '{clipped(part)}' is no seed; write 0-9, or 3,5, or paper.")
        first, last = _seed(match[1]), _seed(match[2] or match[1])
        if last < first or last - first >= MOST_SEEDS:
            raise UsageError(f"--seeds {shown}: '{clipped(part)}' must rise, over fewer than {MOST_SEEDS} seeds.")
        if last > LARGEST_SEED:
            raise UsageError(f"--seeds {shown}: '{clipped(part)}' is too large; seeds go up to {LARGEST_SEED}.")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {shown} names a seed twice; name each once.")
    return seeds


def _seed(digits: str) -> int:
    """A seed; of one that is too large no more than the beginning, which is too large as well."""
    return int(digits.lstrip("0")[: 2 * len(str(LARGEST_SEED))] or "0")
