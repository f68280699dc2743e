#!/usr/bin/env python3
"""Milliseconds a learning step takes, against the naive step in the same run.

The naive step goes layer by layer as the reference implementation does: a [B, N, N] outer product a layer, averaged
over the batch, and torch.optim.Adam after every time step. Networks are those of MNIST-1D, float32, batch 100.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout

import torch

from gle_bench.dynamics import engine
from gle_bench.dynamics.engine import Window
from gle_bench.dynamics.network import BlockParameters, initial_parameters
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.structure import Layer, Network
from gle_bench.rules.gle import GLE

BATCH, DT, ENSEMBLE = 100, 0.2, 10
SIZES = {"gle-15k": [1, *[53] * 6, 10], "gle-42k": [1, *[90] * 6, 10]}
Run = Callable[[int], object]  # runs that many steps


def batched(sizes: list[int], members: int) -> Run:
    """The `torch` engine with an ensemble of `members`."""
    widths = list(pairwise(sizes))
    phis = ["identity", *["tanh"] * (len(widths) - 2), "identity"]
    tau_r = [(0.2,)] * (len(widths) - 1) + [(1.2,)]
    layers = [Layer(*width, (1.2,), tau, phi) for width, tau, phi in zip(widths, tau_r, phis, strict=True)]
    network = Network(tuple(layers), DT)
    linears = [torch.nn.Linear(*width) for width in widths]
    alone = initial_parameters(network, [x.weight.detach() for x in linears], [x.bias.detach() for x in linears])
    parameters = tuple(BlockParameters(*(x.expand(-1, members, -1, -1) for x in block)) for block in alone)
    carry = engine.start(network, parameters, Optimizer("adam"), BATCH)
    rates, target = torch.full((members,), 1e-3), torch.eye(10).repeat(BATCH // 10, 1)[None, :, None]
    x = torch.randn(1, BATCH, 1, 1)
    return lambda steps: engine.learn(network, GLE(), Optimizer("adam"), carry, Window(steps, x, target, None), rates)


def naive(sizes: list[int]) -> Run:
    """The formulas, one layer after the other."""
    linears = [torch.nn.Linear(n, m) for n, m in pairwise(sizes)]
    optimizer = torch.optim.Adam([p for x in linears for p in x.parameters()], lr=1e-3)
    tau_m = [torch.full((n,), 1.2) for n in sizes[1:]]
    tau_r = [torch.full((n,), 0.2) for n in sizes[1:-1]] + [tau_m[-1]]
    u, v, r, e, slope = ([torch.zeros(BATCH, n) for n in sizes[1:]] for _ in range(5))
    old = [x.weight.detach().clone() for x in linears]
    x, target, last = torch.randn(BATCH, 1), torch.eye(10).repeat(BATCH // 10, 1), len(linears) - 1

    @torch.no_grad()
    def run(steps: int) -> None:
        for _ in range(steps):
            before, errors = [x, *r], list(e)  # all layers read step n
            above = [errors[n + 1] @ old[n + 1] for n in range(last)] + [target - r[last].softmax(1)]
            for n, linear in enumerate(linears):
                dv = (slope[n] * above[n] - v[n]) / tau_r[n]
                e[n] = v[n] + tau_m[n] * dv
                v[n] = v[n] + DT * dv
                du = (before[n] @ linear.weight.T + linear.bias - u[n]) / tau_m[n]
                potential = u[n] + tau_r[n] * du
                u[n] = u[n] + DT * du
                r[n] = potential.tanh() if 0 < n < last else potential
                slope[n] = 1 - r[n] ** 2 if 0 < n < last else torch.ones_like(potential)
                old[n] = linear.weight.clone()
                linear.weight.grad = -(e[n][:, :, None] * before[n][:, None, :]).mean(0)
                linear.bias.grad = -e[n].mean(0)
            optimizer.step()

    return run


def measure(sizes: list[int], steps: int, repeats: int) -> dict[str, float]:
    """Median ms a step of each variant; their repeats take turns, so that what else the machine does hits all."""
    runs = {"naive": naive(sizes), "batched": batched(sizes, 1), f"batched x{ENSEMBLE}": batched(sizes, ENSEMBLE)}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(steps)
            if repeat:  # the first warms up
                times[name].append(1000 * (time.perf_counter() - start) / steps)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="time steps a repeat (default: 30)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each variant (default: 7)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = []
    for model, sizes in SIZES.items():
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = measure(sizes, options.steps, options.repeats)
            ratios = [times["naive"] / times["batched"], ENSEMBLE * times["naive"] / times[f"batched x{ENSEMBLE}"]]
            rows.append(
                {
                    "model": model,
                    "threads": threads,
                    "ms_per_step": times,
                    "speed_up": ratios[0],
                    "speed_up_ensemble": ratios[1],
                }
            )
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print("model    threads   naive ms  batched ms  speed-up   ten networks ms  speed-up")
    for row in rows:
        naive_ms, one, ten = row["ms_per_step"].values()
        print(
            f"{row['model']:<8} {row['threads']:>7} {naive_ms:>10.2f} {one:>11.2f} {row['speed_up']:>8.1f}x "
            f"{ten:>17.2f} {row['speed_up_ensemble']:>8.1f}x"
        )


if __name__ == "__main__":
    main()
