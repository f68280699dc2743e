#!/usr/bin/env python3
"""A choice of settings for protocol clean on Mackey-Glass, by the mean sMAPE on the part held out for validation.

Each candidate is a full run of some sequences, scored at its best epoch on the held-out Lyapunov time; the test half
is not used. The first candidate of a model is its present configuration.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gle_bench.chosen import resolve
from gle_bench.training.execute import execute
from gle_bench.training.plan import Settings
from gle_bench.words import BUDGETS, Budget


def _at(rate: float, *others: str) -> tuple[str, ...]:
    """The settings of a first rate and of the rate at the end, a thousandth of it."""
    return (f"rate={rate}", f"schedule.final={rate / 1000}", *others)


CANDIDATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "linear": ((), ("horizon=2.6",)),
    "nvar": ((), ("ridge=0",), ("ridge=1e-6",), ("ridge=1e-4",), ("ridge=1e-2",), ("degree=3",), ("degree=4",)),
    "esn": (
        (),
        *((f"spectral_radius={radius}",) for radius in (0.6, 0.8, 1.0, 1.2)),
        *((f"ridge={ridge}",) for ridge in (1e-10, 1e-8, 1e-6, 1e-4)),
        *((f"leak={leak}",) for leak in (0.3, 0.6, 1.0)),
    ),
    "mlp": ((), *(_at(rate, "phi=tanh") for rate in (3e-3, 1e-2, 3e-2))),
    "mlp-window": ((), _at(1e-3), _at(1e-2)),
    "tcn": (
        (),
        _at(3e-3),
        _at(3e-2),
        *(_at(rate, "residual=false") for rate in (3e-3, 1e-2)),
        _at(3e-3, "phi=relu"),
    ),
    "gle": ((), ("horizon=1.0",), ("horizon=4.0",), ("tau_m=3.0", "tau_r=1.0"), ("tau_m=12.0", "tau_r=4.0")),
}


def score(model: str, overrides: tuple[str, ...], budget: Budget, seeds: list[int], runs: Path) -> list[float]:
    """The sMAPE of each sequence on its held-out part."""
    chosen = resolve("mackey-glass", model, None, "clean", budget, overrides)
    records = execute(chosen, seeds, Settings(runs, runs / "data", wandb="off"))
    return [record.metrics["best"]["validation"]["smape"].value for record in records]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=CANDIDATES)
    parser.add_argument("--every", type=int, default=5, help="use every N-th of the 30 sequences (default: 5)")
    parser.add_argument("--budget", choices=BUDGETS, default="paper", help="(default: paper)")
    options = parser.parse_args()
    seeds = list(range(0, 30, options.every))
    with tempfile.TemporaryDirectory() as runs:
        for overrides in CANDIDATES[options.model]:
            values = score(options.model, overrides, options.budget, seeds, Path(runs))
            changes = ", ".join(overrides) or "as it is"
            print(f"{options.model:<10} {changes:<36} {statistics.fmean(values):8.3f} (n = {len(values)})", flush=True)


if __name__ == "__main__":
    main()
