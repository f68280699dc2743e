"""The torture suite's command line: `scripts/torture/run --help`."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from torture import shim
from torture.catalogue import CATALOGUE

ROOT: Final = Path(__file__).parents[2]


def main() -> int:
    """Runs the trials that the options name; returns 1 if there were faults."""
    chosen = _parser().parse_args()
    unknown = [name for name in chosen.only or () if name not in CATALOGUE]
    if unknown:
        _parser().error(f"no kind of trial {', '.join(unknown)}; there are {', '.join(CATALOGUE)}")
    if "TORTURE_WORKSPACE" not in os.environ:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # faster than a disk, which kills do not need
        with tempfile.TemporaryDirectory(prefix="torture-", dir=memory) as workspace:
            return _under_the_shim(Path(chosen.workspace or workspace).resolve())
    from torture.session import Choice, run

    kinds = chosen.only or [name for name, listed in CATALOGUE.items() if chosen.long or listed.share]
    choice = Choice(
        chosen.seed, kinds, chosen.trial, chosen.count, chosen.seconds, chosen.long, chosen.jobs, chosen.keep
    )
    return run(choice, Path(os.environ["TORTURE_WORKSPACE"]), chosen.out)


def _under_the_shim(workspace: Path) -> int:
    """Starts this program again under the layer of shim.c, which a process must load at its start."""
    workspace.mkdir(parents=True, exist_ok=True)
    library = shim.build(workspace)
    if library is None:
        print("There is no C compiler: trials of single file operations are left out.", file=sys.stderr)
    environment = {
        **os.environ,
        "TORTURE_WORKSPACE": str(workspace),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        **({} if library is None else {"LD_PRELOAD": str(library)}),
    }
    return os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-P", "-m", "torture", *sys.argv[1:]], environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/torture/run", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    parser.add_argument(
        "--only", action="append", metavar="KIND", help=f"run this kind alone; may be repeated: {', '.join(CATALOGUE)}"
    )
    parser.add_argument("--trial", type=int, help="number of a single trial, as a fault's report names it")
    parser.add_argument("--count", type=int, help="number of trials of each kind")
    parser.add_argument("--seconds", type=float, help="time limit; 120 if no other option limits the trials")
    parser.add_argument("--long", action="store_true", help="run all trials of the long form")
    parser.add_argument("--jobs", type=int, default=1, help="number of trials side by side")
    parser.add_argument("--keep", action="store_true", help="keep the folders of trials with faults")
    parser.add_argument("--workspace", type=Path, help="the folder of all trials; a temporary one by default")
    parser.add_argument("--out", type=Path, help="write counts and faults to this file, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
