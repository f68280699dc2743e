"""Where records come from: the user's own runs, and those that were published with glebench."""

from importlib.resources import files
from pathlib import Path

from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder, Skipped, Store


def published_runs() -> Path:
    """The folder of the published records, laid out like any store."""
    return Path(str(files("gle_bench.leaderboards"))) / "records"


def gather_folders(runs: Path) -> tuple[list[tuple[RunFolder, Record]], list[Skipped]]:
    """Every readable record of both stores with its folder, and those passed over; of equal runs the user's wins."""
    own, skipped = Store(runs).records()
    known = {record.run_id for _, record in own}
    published, more = Store(published_runs()).records()
    return own + [found for found in published if found[1].run_id not in known], skipped + more


def gather(runs: Path) -> tuple[list[Record], list[Skipped]]:
    """`gather_folders` without the folders."""
    found, skipped = gather_folders(runs)
    return [record for _, record in found], skipped
