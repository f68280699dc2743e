"""What there is of a suite already: the state of every seed, and how long the others would take."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, Literal

from gle_bench import registry
from gle_bench.config import RunConfig
from gle_bench.suites.matrix import Planned
from gle_bench.tracking.estimates import full_seconds
from gle_bench.tracking.provenance import changed_since
from gle_bench.tracking.record import Record
from gle_bench.words import Protocol

State = Literal["done", "published", "interrupted", "failed", "missing"]
STATES: Final[tuple[State, ...]] = ("done", "published", "interrupted", "failed", "missing")
OF_STATUS: Final[Mapping[str, State]] = {
    "done": "done",
    "running": "interrupted",  # or running now, which its lock will say
    "interrupted": "interrupted",
    "failed": "failed",
    "diverged": "failed",
}


@dataclass(frozen=True)
class Standing:
    """How far an entry is.

    Attributes:
        states: of each seed. 'published': done, and its record came with glebench.
        seconds: of one seed, by the records of the same work under either protocol, wherever it was done, or by the
            rate of shorter runs; None: there are none.
    """

    planned: Planned
    states: Mapping[int, State]
    seconds: float | None

    def count(self, state: State) -> int:
        """How many seeds are in that state."""
        return Counter(self.states.values())[state]

    def to_run(self, again: bool) -> tuple[int, ...]:
        """Seeds that are neither done nor, unless `again`, failed."""
        left: tuple[State, ...] = ("interrupted", "missing", *(("failed",) if again else ()))
        return tuple(seed for seed, state in self.states.items() if state in left)

    def estimate(self, again: bool) -> float | None:
        """Seconds for what is to run; None if there is nothing to tell them from."""
        left = len(self.to_run(again))
        return 0.0 if not left else None if self.seconds is None else left * self.seconds


def standing(planned: Planned, own: Sequence[Record], published: Sequence[Record]) -> Standing:
    """Where an entry stands, by the user's records and those that came with glebench.

    A record counts if it was made by this configuration and these versions; one that came with glebench, if it is done
    and of official data.
    """
    hashes = cache(partial(_hash, planned.config))
    mine, theirs = ([r for r in records if _of(planned.config, hashes, r)] for records in (own, published))
    states: dict[int, State] = dict.fromkeys(planned.seeds, "missing")
    for record in mine:
        if record.seed in states:
            states[record.seed] = OF_STATUS[record.status]
    for record in theirs:
        whole = record.status == "done" and record.data.official
        if record.seed in states and whole and states[record.seed] != "done":
            states[record.seed] = "published"
    alike = [r for r in (*own, *published) if _alike(planned.config, hashes, r)]
    return Standing(planned, states, _seconds(alike) or _by_rate(planned, (*own, *published)))


def _by_rate(planned: Planned, records: Sequence[Record]) -> float | None:
    """Seconds of a full seed by the rate of recorded runs of other length, as tables estimate it."""
    config, pair = planned.config, registry.pair(planned.config.task, planned.config.model)
    if config.model_copy(update={"protocol": "paper"}) != pair.configure("paper"):
        return None
    whole = full_seconds(registry.task(config.task), pair, [r for r in records if r.task == config.task])
    return None if whole is None else whole / len(pair.seeds)


def _hash(config: RunConfig, protocol: Protocol, fingerprint: str) -> str:
    """Today's, of the configuration under that protocol; it knows which settings have their defaults."""
    return registry.run_hash(config.model_copy(update={"protocol": protocol}), fingerprint)


def _alike(config: RunConfig, hashes: Callable[[Protocol, str], str], record: Record) -> bool:
    """Whether a seed of the configuration is as much work as the record's was: the same, under either protocol."""
    if (record.task, record.model) != (config.task, config.model):
        return False
    return hashes(record.protocol, record.data.fingerprint) == record.config_hash


def _of(config: RunConfig, hashes: Callable[[Protocol, str], str], record: Record) -> bool:
    """Whether the record is of this configuration, of today's versions, and of the plugins' code as it is today."""
    return (
        record.protocol == config.protocol
        and _alike(config, hashes, record)
        and not changed_since(record.plugins, config.task, config.model, config.rule)
    )


def _seconds(records: Sequence[Record]) -> float | None:
    """Mean seconds of a seed that is done; networks that learned side by side share their time."""
    done = [r.cost.seconds_of_a_seed for r in records if r.status == "done" and r.cost.wall_s > 0]
    return sum(done) / len(done) if done else None
