#!/usr/bin/env python3
"""A benchmark of the command line: the median wall time of several commands, the check of the set-up included.

`table 2` reads the published records alone, and then 5,000 synthetic ones as well, copies of one of them. The
difference is the time of reading; the rest is the time of imports.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

GLEBENCH = Path(__file__).resolve().parent / "glebench"
MANY = " (5,000)"
LIMITS = {"--help": 0.3, "list tasks": 0.5, "table 2": 2.0, f"table 2{MANY}": 2.0}  # seconds
CONFIGURATIONS, SEEDS = 50, 100  # numbers of configurations, and of seeds of each, in the synthetic store


def fill(runs: Path) -> None:
    """Writes synthetic records, which are copies of the first published one under other hashes and seeds."""
    published = GLEBENCH.parents[1] / "leaderboards/records/mnist1d/gle-42k"
    record = json.loads(min(published.glob("*/*/record.json")).read_text())
    task, model = record["task"], record["model"]
    for number in range(CONFIGURATIONS):
        digest = f"{number:012x}"
        for seed in range(SEEDS):
            folder = runs / task / model / digest / f"seed-{seed}"
            folder.mkdir(parents=True)
            changed = {"run_id": f"{task}-{model}-{digest}-s{seed}", "config_hash": digest, "seed": seed}
            (folder / "record.json").write_text(json.dumps(record | changed))


def seconds(arguments: str) -> float:
    start = time.perf_counter()
    command = arguments.removesuffix(MANY).split()
    runs = os.environ["RUNS_5000"] if arguments.endswith(MANY) else os.devnull
    environment = os.environ | {"GLEBENCH_RUNS": runs}
    subprocess.run([GLEBENCH, *command], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def median(arguments: str, runs: int) -> float:
    seconds(arguments)  # not counted: the first run reads from a cold disk, and may set up
    return statistics.median(seconds(arguments) for _ in range(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11, help="runs of each command (default: 11)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with TemporaryDirectory() as runs:
        fill(Path(runs))
        os.environ["RUNS_5000"] = runs
        medians = {arguments: median(arguments, options.runs) for arguments in LIMITS}
    if options.json:
        print(json.dumps([{"command": c, "median_s": m, "limit_s": LIMITS[c]} for c, m in medians.items()], indent=2))
        return
    print(f"{'command':<25} {'median s':>9} {'limit s':>8}")
    for command, value in medians.items():
        verdict = "ok" if value <= LIMITS[command] else "OVER"
        print(f"glebench {command:<16} {value:>9.3f} {LIMITS[command]:>8.1f}  {verdict}")


if __name__ == "__main__":
    main()
