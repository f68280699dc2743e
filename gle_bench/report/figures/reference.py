"""The mean curves of the authors' released runs, for overlays; scripts/reference_curves.py made them."""

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

PATH: Final = Path(__file__).with_name("reference.csv")
COLUMNS: Final = ("task", "model", "split", "epoch", "mean", "sd", "n")
SOURCE: Final = (
    "Accuracy (%): means over the seeds of the runs that the authors released with gle-code@e0b4408 "
    "(results/), epochs that all of them have; sd: ddof 1."
)


class Reference(NamedTuple):
    """One network of the release, evaluated on one split over its training."""

    split: str
    epochs: tuple[float, ...]
    means: tuple[float, ...]
    seeds: int


def reference(task: str, model: str) -> Reference | None:
    """The curve of one of our models' counterpart; None where none was released."""
    return _all().get((task, model))


@cache
def _all() -> dict[tuple[str, str], Reference]:
    found: defaultdict[tuple[str, str, str, int], list[tuple[float, float]]] = defaultdict(list)
    lines = [line for line in PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        key = (row["task"], row["model"], row["split"], int(row["n"]))
        found[key].append((float(row["epoch"]), float(row["mean"])))
    curves = {}
    for (task, model, split, seeds), points in found.items():
        epochs, means = zip(*points, strict=True)
        curves[task, model] = Reference(split, epochs, means, seeds)
    return curves
