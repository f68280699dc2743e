#!/usr/bin/env python3
"""How long a user waits for the command line: medians of wall seconds over several runs, set-up check included."""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

GLEBENCH = Path(__file__).resolve().parent / "glebench"
LIMITS = {"--help": 0.3, "list tasks": 0.5}  # seconds


def seconds(arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([GLEBENCH, *arguments.split()], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def median(arguments: str, runs: int) -> float:
    seconds(arguments)  # the first one reads from a cold disk, and may set up
    return statistics.median(seconds(arguments) for _ in range(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11, help="runs of each command (default: 11)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    medians = {arguments: median(arguments, options.runs) for arguments in LIMITS}
    if options.json:
        print(json.dumps([{"command": c, "median_s": m, "limit_s": LIMITS[c]} for c, m in medians.items()], indent=2))
        return
    print(f"{'command':<20} {'median s':>9} {'limit s':>8}")
    for command, value in medians.items():
        verdict = "ok" if value <= LIMITS[command] else "OVER"
        print(f"glebench {command:<11} {value:>9.3f} {LIMITS[command]:>8.1f}  {verdict}")


if __name__ == "__main__":
    main()
