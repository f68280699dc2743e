"""Tests of the torture suite: it kills at the operations that it names, and trials can be repeated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shared import ROOT

SCRIPTS = ROOT / "scripts"
RUN = SCRIPTS / "torture" / "run"
WORDS = """
from pathlib import Path
from random import Random
from torture.lines import words_of
from torture.mutations import csv_mutated, json_mutated
for number in range(300):
    print(ascii(words_of(Random(number), Path("runs"), Path("store"))))
    print(json_mutated(Random(number), b'{"a": [1, 2], "b": {"c": 0.5}}')[:99])
    print(csv_mutated(Random(number), b"a,b")[:99])
"""


def test_what_is_random_is_a_function_of_the_seed_alone() -> None:
    """It does not depend on the order of Python's sets, which differs from process to process."""
    texts = [
        subprocess.run(
            [sys.executable, "-P", "-c", WORDS],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts[0].splitlines())) > 300


@pytest.mark.systems
def test_kills_at_file_operations_hit(tmp_path: Path) -> None:
    """All kills hit, because a run has as many operations, in the same order, as the run in which they were counted."""
    out = tmp_path / "report.json"
    done = subprocess.run(
        [RUN, "--only", "operations", "--count", "4", "--out", out], capture_output=True, text=True, check=False
    )
    assert out.exists(), done.stderr
    report = json.loads(out.read_text())
    assert report["kinds"]["operations"]["kills that hit"] == report["trials"] == 4
    assert done.returncode == (1 if report["faults"] else 0)


@pytest.mark.parametrize("kind", ["odd", ""])
def test_an_unknown_kind_of_trial_is_refused(kind: str) -> None:
    done = subprocess.run([RUN, "--only", kind], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no kind of trial" in done.stderr
