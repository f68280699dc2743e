"""The report of a session: the number of trials of each kind, and the faults, grouped by their place in our code."""

import json
import platform
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from torture.faults import Fault
from torture.trials import Outcome

EVERY_S: Final = 10.0  # seconds between two lines of progress
EXAMPLES: Final = 3  # number of examples of each group of faults


class Report:
    """The report of trials' outcomes, printed as they come and written to a file at the end."""

    def __init__(self, seed: int, choice: dict[str, Any]) -> None:
        self.began, self._seed, self._choice = time.monotonic(), seed, choice
        self._trials: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._computed: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.faults: dict[tuple[str, str, str], list[tuple[int, Fault]]] = {}
        self._last = self.began

    def add(self, outcome: Outcome) -> None:
        """Adds a trial's outcome; prints each new group of faults, and every few seconds the progress."""
        self._trials[outcome.kind] += 1
        self._seconds[outcome.kind] += outcome.seconds
        self._computed[outcome.kind] += outcome.computed_s
        self._counts[outcome.kind].update(outcome.counts)
        for fault in outcome.faults:
            group = self.faults.setdefault((outcome.kind, fault.kind, fault.place), [])
            group.append((outcome.number, fault))
            if len(group) == 1:
                print(f"FAULT {fault.kind}: {fault.place} ({self._repeat(outcome.kind, outcome.number)})", flush=True)
        if time.monotonic() - self._last > EVERY_S:
            self._last = time.monotonic()
            print(self._progress(), file=sys.stderr, flush=True)

    def _progress(self) -> str:
        done = ", ".join(f"{count} {kind}" for kind, count in self._trials.items())
        return f"{time.monotonic() - self.began:.0f} s: {done}; {sum(map(len, self.faults.values()))} faults"

    def _repeat(self, kind: str, number: int) -> str:
        return f"scripts/torture/run --seed {self._seed} --only {kind} --trial {number}"

    def close(self, out: Path | None) -> None:
        """Prints all groups of faults, and writes the report to a file."""
        print(self._progress())
        for (kind, what, place), group in sorted(self.faults.items(), key=lambda item: -len(item[1])):
            number, first = group[0]
            print(f"\n{len(group)} x {kind}: {what}: {place}\n  {self._repeat(kind, number)}")
            print("\n".join(f"    {line}" for line in first.detail.splitlines()[-12:]))
        if out is not None:
            out.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        kinds = {
            kind: {
                "trials": count,
                "seconds": round(self._seconds[kind], 1),
                "computed_s": round(self._computed[kind], 1),
                **self._counts[kind],
            }
            for kind, count in self._trials.items()
        }
        return {
            "seed": self._seed,
            "asked": {name: value for name, value in self._choice.items() if value is not None},
            "commit": _git("rev-parse", "HEAD"),
            "changed": bool(_git("status", "--porcelain", "--", "gle_bench", "tasks", "baselines", "scripts/torture")),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "seconds": round(time.monotonic() - self.began, 1),
            "trials": self._trials.total(),
            "kinds": kinds,
            "faults": [self._group(*key, group) for key, group in self.faults.items()],
        }

    def _group(self, kind: str, what: str, place: str, group: list[tuple[int, Fault]]) -> dict[str, Any]:
        return {
            "trials": kind,
            "fault": what,
            "place": place,
            "count": len(group),
            "repeat": [self._repeat(kind, number) for number, _ in group[:EXAMPLES]],
            "detail": group[0][1].detail,
        }


def _git(*words: str) -> str:
    root = Path(__file__).parents[2]
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()
