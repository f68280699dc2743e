"""The progress of a suite: the state of every seed, and the time that the missing ones would take."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, Literal

from gle_bench.chosen import Chosen, hash_with
from gle_bench.suites.matrix import Planned
from gle_bench.tracking.estimates import run_seconds, same_work, seed_seconds
from gle_bench.tracking.provenance import changed_files, plugins_of
from gle_bench.tracking.record import Record
from gle_bench.words import Protocol, Rerun

State = Literal["done", "published", "interrupted", "failed", "missing"]
STATES: Final[tuple[State, ...]] = ("done", "published", "interrupted", "failed", "missing")
LEFT: Final[tuple[State, ...]] = ("interrupted", "missing")
OF_STATUS: Final[Mapping[str, State]] = {
    "done": "done",
    "running": "interrupted",  # or running now, which the lock of its folder tells when it is run
    "interrupted": "interrupted",
    "failed": "failed",
    "diverged": "failed",
}


@dataclass(frozen=True)
class Standing:
    """The progress of one entry of a suite. `standing` makes it, and the command `suite` prints it.

    Attributes:
        states: the state of each seed; 'published': it is done, and its record came with glebench.
        seconds: the time of one seed, by records of the same work under either protocol, or else by the pace of other
            runs of the model; None: there are no such records.
        records: the records of the seeds that are done.
    """

    planned: Planned
    states: Mapping[int, State]
    seconds: float | None
    records: tuple[Record, ...] = ()

    def count(self, state: State) -> int:
        """The number of seeds in that state."""
        return Counter(self.states.values())[state]

    def to_run(self, rerun: Rerun = "missing") -> tuple[int, ...]:
        """The seeds that are missing or interrupted; those that failed, too, or all of them, if `rerun` says so."""
        left = STATES if rerun == "always" else LEFT if rerun == "missing" else (*LEFT, "failed")
        return tuple(seed for seed, state in self.states.items() if state in left)

    def estimate(self, rerun: Rerun = "missing") -> float | None:
        """The seconds of the seeds to run; None if no record tells the time of a seed."""
        left = len(self.to_run(rerun))
        return 0.0 if not left else None if self.seconds is None else left * self.seconds


def standing(planned: Planned, own: Sequence[Record], published: Sequence[Record]) -> Standing:
    """The progress of an entry, by the user's own records and the published ones, which came with glebench.

    A record counts if it has this configuration and today's versions; a published one must also be done, on official
    data.
    """
    hashes = cache(partial(_hash, planned.chosen))
    user, shipped = ([r for r in records if _of(planned.chosen, hashes, r)] for records in (own, published))
    states: dict[int, State] = dict.fromkeys(planned.seeds, "missing")
    done: dict[int, Record] = {}
    for record in user:
        if record.seed in states:
            states[record.seed] = OF_STATUS[record.status]
            done |= {record.seed: record} if record.status == "done" else {}
    for record in shipped:
        whole = record.status == "done" and record.data.official
        if record.seed in states and whole and states[record.seed] != "done":
            states[record.seed] = "published"
            done[record.seed] = record
    alike = [r for r in (*own, *published) if _alike(planned.chosen, hashes, r)]
    seconds = seed_seconds(alike) or _by_pace(planned.chosen, (*own, *published))
    return Standing(planned, states, seconds, tuple(done.values()))


def _by_pace(chosen: Chosen, records: Sequence[Record]) -> float | None:
    """Seconds of a seed by runs of the model's own settings, where those that were changed leave the work as it is."""
    config, own = chosen.config, chosen.own
    lengths = [(each.training.epochs, each.training.batches) for each in (config, own)]
    if chosen.named_rule is not None or not same_work(config, own) or lengths[0] != lengths[1]:
        return None
    return run_seconds(chosen.task, own, [record for record in records if record.task == config.task])


def _hash(chosen: Chosen, protocol: Protocol, fingerprint: str) -> str:
    """The hash of the configuration under that protocol, with today's versions of all code."""
    config = chosen.config.model_copy(update={"protocol": protocol})
    return hash_with(chosen.task, chosen.rule, config, fingerprint)


def _alike(chosen: Chosen, hashes: Callable[[Protocol, str], str], record: Record) -> bool:
    """Whether a record has the same configuration, under either protocol, so that a seed takes the same work."""
    if (record.task, record.model) != (chosen.config.task, chosen.config.model):
        return False
    return hashes(record.protocol, record.data.fingerprint) == record.config_hash


def _of(chosen: Chosen, hashes: Callable[[Protocol, str], str], record: Record) -> bool:
    """Whether the record is of this configuration, of today's versions, and of the plugins' code as it is today."""
    return (
        record.protocol == chosen.config.protocol
        and _alike(chosen, hashes, record)
        and not (record.plugins and changed_files(record.plugins, plugins_of(chosen.sources)))
    )
