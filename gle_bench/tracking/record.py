"""record.json, the record of a run: its configuration, its results, its costs and its environment."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from gle_bench.config import LARGEST_SEED
from gle_bench.files import foreign
from gle_bench.files.foreign import Malformed
from gle_bench.tracking.entry import Entry
from gle_bench.tracking.environment import Environment
from gle_bench.tracking.provenance import Plugin
from gle_bench.words import Budget, MarkKind, PluginPart, Protocol, RunStatus, Selection

# It is raised if a field's meaning changes, or a field without a default is added, but not for one with a default.
SCHEMA_VERSION: Final = 1

LARGEST: Final = 1e150  # largest value of a metric that can be averaged


class UnreadableRecord(Malformed):
    """The error for a text that is no record of this version; it says why, without the file's name."""


def _printable(value: Any) -> Any:
    """The text without characters that UTF-8 cannot encode, such as raw bytes in a file name that an error quotes."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _is_bounded(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    foreign.check_bounds(config)
    for name in ("options", "network", "training"):
        if not isinstance(config.get(name), dict):
            raise ValueError(f"it has no table '{name}'")
    return config


Config = Annotated[dict[str, JsonValue], AfterValidator(_is_bounded)]
Name = Annotated[str, Field(pattern=r"\A\w[\w.-]*\z", max_length=200)]  # each names a folder in the store
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, lt=1e12)]
Networks = Annotated[int, Field(ge=1, lt=2**31)]
# A time that any clock may have shown, and that exists in any time zone.
Moment = Annotated[AwareDatetime, Field(ge=datetime(1980, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
Message = Annotated[str, BeforeValidator(_printable)]


class Measured(Entry):
    """The value of a metric in its own unit, averaged over `n` samples; NaN if the run diverged."""

    value: float
    n: Annotated[int, Field(ge=1, lt=2**63)]

    @property
    def usable(self) -> bool:
        """Whether the value can be averaged: it and its square are finite."""
        return abs(self.value) < LARGEST


class DataUsed(Entry):
    """The data of a run: the SHA-256 of their content, whether they are the official ones, and a SHA-256 of each split.

    `notes` say how the data differ from what the task's rules ask for; `sizes` are the samples of each split.
    """

    fingerprint: str
    official: bool
    digests: dict[str, str]
    notes: tuple[str, ...] = ()
    sizes: dict[str, Count] = Field(default_factory=dict)


class Cost(Entry):
    """The costs of a run, all its parts together. None: not measured.

    Attributes:
        wall_s: seconds of wall-clock time.
        steps: time steps simulated while learning, of one network (updates, for one that learns offline).
        networks: number of seeds that learned side by side in the same wall-clock time, in the last part.
        seed_s: seconds of this seed alone: those of each part, divided by the networks of that part.
        ms_per_step: milliseconds a step of all of them, evaluations included.
        peak_memory: bytes, the process's or the GPU's.
        macs: multiply-accumulates of one network's forward pass over one sample, state updates not counted.
        macs_missing: the reason if `macs` is None.
    """

    wall_s: Seconds
    steps: Count
    networks: Networks = 1
    seed_s: Seconds | None = None
    ms_per_step: Seconds | None = None
    peak_memory: Count | None = None
    macs: Count | None = None
    macs_missing: Message | None = None

    @property
    def seconds_of_a_seed(self) -> float:
        """The seconds of one seed; seeds that learned side by side share their time."""
        return self.wall_s / self.networks if self.seed_s is None else self.seed_s  # older records have no seed_s


class Part(Entry):
    """One part of a run, from its start or resumption to its end; a resumed run has several.

    Attributes:
        ended: the time of its end; None while it runs, and for ever if it was killed.
        from_round: the round after which it continued; 0 for a fresh start.
        wall_s: seconds of wall-clock time.
        networks: number of seeds that learned side by side.
    """

    started: Moment
    ended: Moment | None = None
    from_round: Count = 0
    wall_s: Seconds = 0.0
    networks: Networks = 1
    host: str
    pid: Count


@dataclass(frozen=True)
class Mark:
    """One reason why a result must not be compared with a published one.

    Attributes:
        value: the budget, the rule, or 'field=value' of a setting; 'other' for data, a version and code.
    """

    kind: MarkKind
    value: str

    @property
    def changed(self) -> bool:
        """Whether the configuration differs from the pair's own, in its rule or in another setting."""
        return self.kind in ("rule", "setting")

    @property
    def word(self) -> str:
        """The mark in labels, where all changed settings have the same word."""
        return "changed" if self.changed else "other data" if self.kind == "data" else str(self)

    def __str__(self) -> str:
        """The text of the mark in record.json and in footnotes, which `read_mark` reads."""
        texts = {"budget": f"budget {self.value}", "rule": f"rule={self.value}", "data": f"{self.value} {_DATA}"}
        texts |= {kind: f"{self.value} {kind}" for kind in ("version", "code")}
        return texts.get(self.kind, self.value)


_DATA: Final = "data than the official"
OTHER_DATA: Final = Mark("data", "other")
OTHER_VERSION: Final = Mark("version", "other")
OTHER_CODE: Final = Mark("code", "other")


def read_mark(text: str) -> Mark:
    """The mark of a text in record.json."""
    if text.startswith("rule="):
        return Mark("rule", text.removeprefix("rule="))
    if "=" in text:
        return Mark("setting", text)
    if text.startswith("budget "):
        return Mark("budget", text.removeprefix("budget "))
    return next((mark for mark in (OTHER_DATA, OTHER_VERSION, OTHER_CODE) if str(mark) == text), Mark("other", text))


def _mark(value: Any) -> Mark:
    if isinstance(value, Mark):
        return value
    if isinstance(value, str):
        return read_mark(value)
    raise ValueError("a mark must be a text")


WrittenMark = Annotated[Mark, PlainValidator(_mark), PlainSerializer(str, return_type=str)]


class Record(Entry):
    """The record of one run of one seed, whatever its status. Training writes it; reports and suites read it.

    Attributes:
        config: the whole configuration, as JSON; config_hash: its hash (`gle_bench.config.config_hash`).
        metrics: selection -> split -> name -> value; empty until there is a result.
        parameters: number of parameters that the network learns.
        footing: what the method was granted (`gle_bench.contracts.Footing`).
        best_round: the round that selection 'best' took.
        plugins: the code of plugins that supplied its task, model or rule; empty if all are built in.
        marks: reasons not to compare it with published results, such as a reduced budget or other data.
        error: the reason if it failed or diverged.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    status: RunStatus
    task: Name
    model: Name
    rule: Name
    protocol: Protocol
    budget: Budget
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)]
    config: Config
    config_hash: Name
    data: DataUsed
    metrics: dict[Selection, dict[str, dict[str, Measured]]] = Field(default_factory=dict)
    best_round: Count | None = None
    parameters: Count
    cost: Cost
    footing: dict[str, bool]
    environment: Environment
    lineage: tuple[Part, ...] = ()
    plugins: dict[PluginPart, Plugin] = Field(default_factory=dict)
    marks: tuple[WrittenMark, ...] = ()
    error: Message | None = None

    @model_validator(mode="after")
    def _done_with_results(self) -> "Record":
        if self.status == "done" and not any(self.metrics.get("last", {}).values()):
            raise ValueError("its status is 'done', but it has no result")
        return self


def run_id(task: str, model: str, rule: str | None, config_hash: str, seed: int) -> str:
    """The id of a run, unique because the hash covers task, model and rule. `rule` is None for the model's own."""
    return f"{task}-{model}{'' if rule is None else f'+{rule}'}-{config_hash}-s{seed}"


def parse(content: bytes) -> Record:
    """The record in a file's content.

    Raises:
        UnreadableRecord: the content is truncated, no record, or of another schema version.
    """
    try:
        return Record.model_validate_json(content)
    except ValidationError as error:
        version = _version(content)
        if version is not None and version != SCHEMA_VERSION:
            made_by = "an older" if version < SCHEMA_VERSION else "a newer"
            text = f"{made_by} glebench wrote it (schema_version {version}, this one reads {SCHEMA_VERSION})"
            raise UnreadableRecord(text) from error
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnreadableRecord(f"{place}: {first['msg']}" if place else first["msg"]) from error


def _version(content: bytes) -> int | None:
    """The schema version that a record of any version states; None if it is no record at all."""
    try:
        fields = foreign.json_value(content)
    except Malformed:
        return None
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    return version if isinstance(version, int) else None
