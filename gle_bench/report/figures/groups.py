"""Which runs a figure draws: of each model those of one meaning, nothing mixed, the fullest that there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gle_bench import registry
from gle_bench.contracts import Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import GleBenchError, look_up
from gle_bench.report.results import gather_folders
from gle_bench.report.tables.rows import UNFINISHED, grouped
from gle_bench.tracking.record import Mark, Record
from gle_bench.tracking.store import RunFolder, Skipped
from gle_bench.words import Protocol


class Request(NamedTuple):
    """What a figure may be asked for.

    Attributes:
        runs: the folder of the user's runs, beside which the published records count.
        model: this one alone; None: those that the figure has by itself.
        seed: of the run that is shown alone, where the figure does that; None: the best.
    """

    runs: Path
    model: str | None = None
    seed: int | None = None
    protocol: Protocol = "paper"


@dataclass(frozen=True)
class Group:
    """Runs of one model that differ in their seed alone.

    Attributes:
        marks: why they cannot be compared with what was published.
        done: {seed: record and folder} of those that have ended well; never empty.
        notes: sentences on what is not drawn.
    """

    model: str
    marks: tuple[Mark, ...]
    done: Mapping[int, tuple[Record, RunFolder]]
    notes: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Its marks, changed settings as one word."""
        return tuple(dict.fromkeys(mark.word for mark in self.marks))

    @property
    def label(self) -> str:
        """The model, and its marks."""
        return f"{self.model} [{', '.join(self.words)}]" if self.words else self.model


class Found(NamedTuple):
    """The runs of a task's models: {model: group}, without the models that have none; and what was passed over."""

    groups: Mapping[str, Group]
    skipped: Sequence[Skipped]


def find(task: Task, models: Sequence[str], request: Request) -> Found:
    """The runs of these models under the request's protocol.

    Raises:
        UnknownName: a model that the task does not have. GleBenchError: none of them has a run that is done.
    """
    known = {pair.model: pair for pair in registry.pairs() if pair.task == task.name}
    for model in models:
        look_up("model", model, known)
    everything, skipped = gather_folders(request.runs)
    folders = {record.run_id: folder for folder, record in everything}
    mine = [r for _, r in everything if (r.task, r.protocol) == (task.name, request.protocol) and r.model in models]
    found: dict[str, Group] = {}
    for group in sorted(grouped(task, mine, known), key=lambda group: (len(group.marks), -_done(group.records))):
        if _done(group.records) and group.first.model not in found:
            done = {r.seed: (r, folders[r.run_id]) for r in group.records if r.status == "done"}
            notes = (*_changed(group.marks), *_unfinished(group.records), *group.first.data.notes)
            told = tuple(f"{group.first.model}: {note.removesuffix('.')}." for note in notes)
            found[group.first.model] = Group(group.first.model, group.marks, done, told)
    if not found:
        raise GleBenchError(
            f"No run of {task.name} by {' or '.join(models)} under protocol {request.protocol} is done; make some with "
            f"`{RunCommand(task.name, models[0], protocol=request.protocol)}`."
        )
    return Found(found, skipped)


def _done(records: Sequence[Record]) -> int:
    return sum(record.status == "done" for record in records)


def _changed(marks: Sequence[Mark]) -> list[str]:
    changed = [str(mark) for mark in marks if mark.changed]
    return [f"changed settings: {', '.join(changed)}."] if changed else []


def _unfinished(records: Sequence[Record]) -> list[str]:
    counts = Counter(record.status for record in records)
    missing = [f"{counts[status]} {status}" for status in UNFINISHED if counts[status]]
    return [f"of {len(records)} seeds, {' and '.join(missing)}: not drawn."] if missing else []
