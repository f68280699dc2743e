"""The store of runs: plain files, one folder for each run.

    RUNS/<task>/<model>[+<rule>]/<config hash>/seed-<n>/
        record.json  history.csv  predictions.npz  traces.npz  last.ckpt  best.ckpt  log.txt

Files are complete or absent, so that readers need no lock; writers hold `gle_bench.tracking.lock`.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gle_bench.errors import NAME, GleBenchError, UsageError
from gle_bench.files import foreign
from gle_bench.files.disk import append, write_atomically, write_text
from gle_bench.files.foreign import Malformed, sentence_if_unreadable
from gle_bench.tracking.history import Row, from_csv, to_csv
from gle_bench.tracking.record import Record, parse
from gle_bench.words import Selection

if TYPE_CHECKING:  # numpy costs a tenth of a second, and listing runs needs none of it
    import numpy as np
    from numpy.typing import ArrayLike

RECORD = "record.json"
WANDB = "wandb"  # W&B's own folder inside RUNS, which is never searched for records


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. Every method raises GleBenchError if a file cannot be read or written."""

    path: Path

    def read(self) -> Record | None:
        """The record; None if there is none.

        Raises:
            GleBenchError: it cannot be read: truncated, no record, of another version, or without permission.
        """
        with self._one_sentence(RECORD):
            try:
                return parse(foreign.content(self.path / RECORD))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, record: Record) -> None:
        """Writes the record, atomically, in the place of an earlier one."""
        write_text(self.path / RECORD, record.model_dump_json(indent=2) + "\n")

    def write_history(self, rows: list[Row]) -> None:
        """Writes history.csv, one row per evaluation, in the place of an earlier one."""
        write_text(self.path / "history.csv", to_csv(rows))

    def read_history(self) -> list[Row]:
        """The rows of history.csv; none if there is no such file."""
        with self._one_sentence("history.csv"):
            try:
                return from_csv(foreign.text(foreign.content(self.path / "history.csv")))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def write_predictions(self, **arrays: "ArrayLike") -> None:
        """Writes the final outputs to predictions.npz."""
        self._write_arrays("predictions.npz", arrays)

    def read_predictions(self) -> dict[str, "np.ndarray"]:
        """The arrays of predictions.npz; none if there is no such file."""
        return self._read_arrays("predictions.npz")

    def add_traces(self, **arrays: "ArrayLike") -> None:
        """Adds named time series to those of traces.npz; those of the same names are replaced."""
        self._write_arrays("traces.npz", {**self.read_traces(), **arrays})

    def read_traces(self) -> dict[str, "np.ndarray"]:
        """The arrays of traces.npz; none if there is no such file."""
        return self._read_arrays("traces.npz")

    def checkpoint(self, name: Selection) -> Path:
        """The path of a checkpoint, which need not exist."""
        return self.path / f"{name}.ckpt"

    def clear(self) -> None:
        """Removes all files of an earlier run but its record and its log, before the run starts anew."""
        for name in ("last.ckpt", "best.ckpt", "history.csv", "predictions.npz", "traces.npz"):
            try:
                (self.path / name).unlink(missing_ok=True)
            except OSError as error:
                raise GleBenchError(
                    f"Cannot remove {self.path / name}: {error.strerror}. Choose another folder."
                ) from error

    def log(self, line: str) -> None:
        """Appends a line to log.txt, with the time (UTC)."""
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        path = self.path / "log.txt"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with append(path) as file:  # one write, so that lines of several processes do not mix
                file.write(f"{stamp} {line}\n".encode("utf-8", "replace"))
        except OSError as error:
            raise GleBenchError(f"Cannot write {path}: {error.strerror}. Choose another folder.") from error

    def _one_sentence(self, name: str) -> AbstractContextManager[None]:
        return sentence_if_unreadable(self.path / name, "move it away to run this seed anew")

    def _write_arrays(self, name: str, arrays: "Mapping[str, ArrayLike]") -> None:
        import numpy as np

        write_atomically(self.path / name, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def _read_arrays(self, name: str) -> "dict[str, np.ndarray]":
        from gle_bench.files.foreign_arrays import arrays

        with self._one_sentence(name):
            try:
                with foreign.opened(self.path / name) as file:
                    return arrays(file)
            except (FileNotFoundError, NotADirectoryError):
                return {}


class Skipped(NamedTuple):
    """A record that was skipped, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Store:
    """All runs under one folder, which need not exist."""

    root: Path

    def folder(self, task: str, model: str, rule: str | None, config_hash: str, seed: int) -> RunFolder:
        """The folder of one run. `rule` is None if the model learns by its default rule.

        Raises:
            UsageError: a name is not valid as the name of a folder.
        """
        for name in (task, model, *([] if rule is None else [rule]), config_hash):
            if not NAME.fullmatch(name):
                raise UsageError(f"'{name}' cannot name a folder of runs; use letters, digits, '_', '-' and '.'.")
        method = model if rule is None else f"{model}+{rule}"
        return RunFolder(self.root / task / method / config_hash / f"seed-{seed}")

    def folder_of(self, record: Record, rule: str | None) -> RunFolder:
        """The folder of a record's run. `rule` is None if the model learns by its default rule."""
        return self.folder(record.task, record.model, rule, record.config_hash, record.seed)

    def records(self) -> tuple[list[tuple[RunFolder, Record]], list[Skipped]]:
        """All readable records under the root, sorted by path, and those that were skipped.

        Of two records of the same run (in a copied folder) the second is skipped, because the run would count twice.
        """
        records: list[tuple[RunFolder, Record]] = []
        skipped: list[Skipped] = []
        places: dict[str, Path] = {}
        for path, record in _record_files(self.root, {WANDB}):
            if isinstance(record, str):
                skipped.append(Skipped(path, record))
            elif record.run_id in places:
                skipped.append(Skipped(path, f"a copy of {places[record.run_id]}"))
            else:
                places[record.run_id] = path
                records.append((RunFolder(path.parent), record))
        return records, skipped


def _record_files(folder: Path, closed: Collection[str] = ()) -> Iterator[tuple[Path, Record | str]]:
    """The record of every record.json in a folder or below it, in order, or why it cannot be read.

    Subfolders named in `closed`, directly below, are not searched. Folders that vanish or cannot be listed count as
    empty. Folders with a record are not searched further: most have one, and listing them takes longer than reading it.
    Links to folders are followed; each folder is visited once, so that links may lead in circles.
    """
    waiting, visited = [folder], set()
    while waiting:
        current = waiting.pop()
        path = current / RECORD
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            record = parse(foreign.content(path))
        except (FileNotFoundError, IsADirectoryError):
            inside = [name for name in _folders(current) if current != folder or name not in closed]
            waiting += [current / name for name in reversed(inside)]
        except NotADirectoryError:  # only the root can be a file
            continue
        except (OSError, Malformed) as error:
            yield path, foreign.reason(error)
        else:
            yield path, record


def _folders(folder: Path) -> list[str]:
    """The names of all subfolders, and of links to folders, in a folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_folder(entry))
    except OSError:
        return []


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
