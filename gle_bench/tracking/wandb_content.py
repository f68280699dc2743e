"""What W&B shows of a record: its project, group, tags and configuration, rows of its history, and its summary.

Pure functions, for `gle_bench.tracking.wandb_mirror`, which talks to W&B. None of them imports it.
"""

import hashlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gle_bench.errors import UsageError, clipped
from gle_bench.tracking.record import Record

LONGEST_TAG: Final = 64  # characters, by W&B's rule
LONGEST_NAME: Final = 128  # characters of a project or a group
FORBIDDEN: Final = re.compile(r"[/\\#?%:]")  # in the name of a project
PROJECT: Final = "glebench"
AXES: Final = ("round", "update", "epoch", "rate", "wall_s")  # of a row of the history, of no split
DESCRIBED: Final = ("run_id", "task", "model", "rule", "protocol", "budget", "seed", "config_hash", "data", "footing")


@dataclass(frozen=True)
class Labels:
    """Where a user wants the W&B runs of a command: `labels` makes them, and the mirror reads them.

    Attributes:
        project, group: their names; None for those of $WANDB_PROJECT, and of the configuration.
        tags: tags that are added to those of the record.
    """

    project: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()


UNLABELLED: Final = Labels()


def labels(project: str | None, group: str | None, tags: str | None) -> Labels:
    """The labels that options of the command line spell, the tags separated by commas.

    Raises:
        UsageError: W&B would refuse them.
    """
    for option, name in (("--wandb-project", project), ("--wandb-group", group)):
        if name is not None and not 1 <= len(name) <= LONGEST_NAME:
            raise UsageError(f"{option} '{clipped(name)}': write 1 to {LONGEST_NAME} characters.")
    if project is not None and FORBIDDEN.search(project):
        raise UsageError(f"--wandb-project '{clipped(project)}': W&B allows none of / \\ # ? % : in it.")
    listed = tuple(tag.strip() for tag in (tags or "").split(",") if tag.strip())
    for tag in listed:
        if len(tag) > LONGEST_TAG:
            raise UsageError(f"--wandb-tags '{clipped(tag)}': a tag has {LONGEST_TAG} characters at most.")
    return Labels(project, group, tuple(dict.fromkeys(listed)))


def wandb_id(record: Record) -> str:
    """The id of the record's W&B run: kept when the run is resumed, another when it is started anew."""
    first = record.lineage[0].started.isoformat() if record.lineage else ""
    return hashlib.sha256(f"{record.run_id} {first}".encode()).hexdigest()[:16]


def arguments(record: Record, chosen: Labels) -> dict[str, Any]:
    """The arguments of `wandb.init` that say what the run is and where it belongs."""
    return {
        "project": chosen.project or os.environ.get("WANDB_PROJECT") or PROJECT,
        "group": (chosen.group or f"{record.task}-{record.model}-{record.rule}-{record.config_hash}")[:LONGEST_NAME],
        "job_type": os.environ.get("WANDB_JOB_TYPE") or "train",
        "name": record.run_id,
        "tags": tags(record, chosen),
        "config": config(record),
    }


def tags(record: Record, chosen: Labels) -> list[str]:
    """The tags of a record, each once: its protocol, its budget, its marks, and what the user adds."""
    named = (f"protocol {record.protocol}", f"budget {record.budget}", *map(str, record.marks), *chosen.tags)
    return list(dict.fromkeys(tag[:LONGEST_TAG] for tag in named))


def config(record: Record) -> dict[str, Any]:
    """The configuration that W&B lists: the record without its results; the checkout's state is a part of its own."""
    described = record.model_dump(mode="json", include={*DESCRIBED, "parameters", "environment", "config"})
    return {**described, "git": described["environment"].pop("git")}


def logged(row: Mapping[str, object]) -> dict[str, int | float]:
    """The numbers of a row of the history by their names in W&B.

    What the evaluation measured is `<split>/<metric>`. What was measured while learning, which follows the learning
    rate in a row, is `train/<name>`. Progress, learning rate and time belong to no split.
    """
    named: dict[str, int | float] = {}
    part = f"{row['split']}/" if row.get("split") else ""
    for name, value in row.items():
        if name == "rate":
            part = "train/"
        if isinstance(value, int | float):
            named[name if name in AXES else part + name] = value
    return named


def summary(record: Record) -> dict[str, float | int | str | None]:
    """The summary of a finished run in W&B: status, costs, and metrics as `<selection>/<split>/<metric>`."""
    values: dict[str, float | int | str | None] = {"status": record.status, "error": record.error}
    values |= {f"cost/{name}": value for name, value in record.cost.model_dump().items()}
    for selection, splits in record.metrics.items():
        for split, metrics in splits.items():
            values |= {f"{selection}/{split}/{name}": measured.value for name, measured in metrics.items()}
    return {name: value for name, value in values.items() if value is not None}


def sync_command(folders: Sequence[Path]) -> str:
    """The command that uploads W&B's offline runs in these folders."""
    program = ["wandb"] if shutil.which("wandb") else [sys.executable, "-m", "wandb"]
    return shlex.join([*program, "sync", *map(str, folders)])


def swept(environment: Mapping[str, str]) -> str | None:
    """A sentence for the user if an agent of a W&B sweep has started this process; None otherwise."""
    sweep, run = (environment.get(f"WANDB_{name}") for name in ("SWEEP_ID", "RUN_ID"))
    if not sweep:
        return None
    own = f"its own run {run}" if run else "its own run"
    return f"The agent of W&B's sweep {sweep} owns {own}, which stays empty: each seed is a W&B run beside it."
