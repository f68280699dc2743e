#!/usr/bin/env python3
"""A benchmark of `le` and `bp-matched` on CIFAR-10: images per second on one thread, and the limit of the arithmetic.

The limit counts three passes (forward, error and gradient) through every connection, at the rate of a float32 product
of two 1000 x 1000 matrices: in each of the 50 steps in which le sees an image, and once for bp-matched.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gle_bench import registry
from gle_bench.bench.measure import Sgemm
from gle_bench.contracts import OfflineModel, Shape
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.window import Window
from gle_bench.models.le import LE
from gle_bench.rules.gle import GLE

SHAPE = Shape(50, 3072, 10)
BATCH = 128
STEPS = 5  # steps in one repeat, of the 50, which all take the same time
PASSES = 3


def le() -> tuple[Callable[[], object], int]:
    """A function that runs some learning steps of `le`, and the multiplications of a forward step for one image."""
    network = LE().network(SHAPE, "mse")
    optimizer = Optimizer("sgd")
    carry = start(network, LE().initialise(network, 1), optimizer, BATCH)
    window = Window(STEPS, torch.rand(1, BATCH, 1, 3072).expand(-1, -1, STEPS, -1), _targets()[None, :, None], None)
    rates = torch.tensor([0.16], dtype=torch.float64)
    return lambda: TorchEngine().learn(network, GLE(), optimizer, carry, window, rates), network.macs


def matched() -> Callable[[], object]:
    """A function that runs one update of `bp-matched`."""
    model = registry.pair("cifar10", "bp-matched").configure("paper").network
    assert isinstance(model, OfflineModel)
    module = model.build(SHAPE._replace(steps=1), 1)
    groups = [{"params": group.parameters, "lr": 0.1 * group.factor} for group in model.rate_groups(module)]
    descent, images, targets = torch.optim.SGD(groups), torch.rand(BATCH, 1, 3072), _targets()

    def update() -> None:
        descent.zero_grad()
        ((module(images) - targets).square().sum(1).mean() / 2).backward()
        descent.step()

    return update


def _targets() -> torch.Tensor:
    return torch.eye(10)[torch.arange(BATCH) % 10]


def measured(repeats: int) -> dict[str, float]:
    """The medians of interleaved repeats of both models and of the matrix product."""
    torch.set_num_threads(1)
    (steps, macs), update, sgemm = le(), matched(), Sgemm()
    seconds: dict[str, list[float]] = {"le": [], "bp-matched": []}
    rates = []
    for number in range(repeats + 1):  # the first is not counted
        rates.append(sgemm.gflops())
        for name, work in (("le", steps), ("bp-matched", update)):
            began = time.perf_counter()
            work()
            seconds[name] += [time.perf_counter() - began] if number else []
    step, whole = statistics.median(seconds["le"]) / STEPS, statistics.median(seconds["bp-matched"])
    limit = PASSES * 2 * macs * BATCH / (statistics.median(rates) * 1e9)  # seconds a step
    return {
        "sgemm_gflops": statistics.median(rates),
        "limit_ms": 1e3 * limit,
        "le_step_ms": 1e3 * step,
        "le_over_limit": step / limit,
        "le_images_per_s": BATCH / (SHAPE.steps * step),
        "bp_matched_update_ms": 1e3 * whole,
        "bp_matched_over_limit": whole / limit,
        "bp_matched_images_per_s": BATCH / whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11, help="repeats of each measurement (default: 11)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a list")
    options = parser.parse_args()
    values = measured(options.repeats)
    print(json.dumps(values, indent=2) if options.json else "\n".join(f"{k:<24} {v:>9.2f}" for k, v in values.items()))


if __name__ == "__main__":
    main()
