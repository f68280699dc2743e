#!/usr/bin/env python3
"""Replays golden trajectories, every *.npz of a folder, through every engine, and compares to 1e-10 in float64."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # this checkout, whatever else is installed

try:
    import numpy as np
    import torch
    from torch import Tensor

    from gle_bench.dynamics.engines import choice
    from gle_bench.dynamics.engines.interface import Engine, start
    from gle_bench.dynamics.ensemble import Carry, join, select
    from gle_bench.dynamics.network import Layer, Network
    from gle_bench.dynamics.optimizers import Optimizer
    from gle_bench.dynamics.state import Parameters, initial_parameters
    from gle_bench.dynamics.window import Window
    from gle_bench.rules.gle import GLE
except ModuleNotFoundError:  # another Python than the checkout's: go on in .venv, made on first use
    if Path(sys.prefix) == ROOT / ".venv":
        raise
    done = subprocess.run([ROOT / "scripts/setup"], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    python = str(ROOT / ".venv/bin/python")
    os.execv(python, [python, *sys.argv])

TOLERANCE = 1e-10
COMPARED = ("weight", "bias", "tau_m", "u", "v", "r")
PHIS = {"linear": "identity"}  # where the files' names differ from ours


class Golden(NamedTuple):
    """One file: the experiment and what came out of it."""

    network: Network
    parameters: Parameters
    optimizer: Optimizer
    rate: float
    batches: list[Window]
    outputs: Tensor  # (batches, steps, batch, C)
    final: dict[str, Tensor]  # 'weight_final_0' and so on, one a layer


def load(path: Path) -> Golden:
    """Reads a file; raises whatever a broken one brings about."""
    with path.open("rb") as stream, np.load(stream) as file:  # np.load alone leaves a broken file open
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    tensors = {name: torch.as_tensor(array) for name, array in arrays.items()}
    layers = range(len(meta["phis"]))
    network = Network(
        layers=tuple(layer(meta, tensors, number) for number in layers),
        dt=meta["dt"],
        loss=meta["loss"],
        beta=meta["beta"],
        learn_tau_m=meta["learn_tau"],
        tau_range=(meta["tau_min"] or 0.0, float("inf")),
    )
    parameters = initial_parameters(
        network,
        [tensors[f"weight_init_{number}"].double() for number in layers],
        [tensors[f"bias_init_{number}"].double() if meta["bias"] else None for number in layers],
    )
    names = [name for name in COMPARED if name != "bias" or meta["bias"]]
    final = {key: tensors[key] for key in (f"{name}_final_{number}" for name in names for number in layers)}
    windows = [
        Window(meta["steps"], inputs[None].double(), target_rates(network, targets)[None], None)
        for inputs, targets in zip(tensors["inputs"], tensors["targets"], strict=True)
    ]
    return Golden(network, parameters, Optimizer(meta["optimizer"]), meta["lr"], windows, tensors["outputs"], final)


def layer(meta: dict[str, Any], tensors: dict[str, Tensor], number: int) -> Layer:
    phi = meta["phis"][number].replace("_", "-")
    return Layer(
        *meta["sizes"][number : number + 2],
        tau_m=tuple(tensors[f"tau_m_init_{number}"].tolist()),
        tau_r=tuple(tensors[f"tau_r_{number}"].tolist()),
        phi=PHIS.get(phi, phi),
        bias=meta["bias"],
        gamma=meta["gamma"],
        prospective_errors=meta["prospective_errors"],
    )


def target_rates(network: Network, targets: Tensor) -> Tensor:
    """(B, T|1, C)."""
    if network.loss == "ce":
        return torch.nn.functional.one_hot(targets, network.outputs)[:, None].double()
    return targets.double()


def run(golden: Golden, members: Sequence[Parameters], engine: Engine) -> tuple[Carry, Tensor]:
    """An ensemble through all batches: what it carries at the end, and outputs (S, batches, B, steps, C)."""
    network, optimizer = golden.network, golden.optimizer
    size = golden.batches[0].inputs.shape[1]
    carry = join(network, [start(network, parameters, optimizer, size) for parameters in members])
    rates = torch.full((len(members),), golden.rate, dtype=torch.float64)
    outputs = []
    for batch in golden.batches:
        carry, output = engine.learn(network, GLE(), optimizer, carry, batch, rates)
        outputs.append(output)
    return carry, torch.stack(outputs, 1)


def deviation(golden: Golden, carry: Carry, outputs: Tensor) -> float:
    """The worst absolute deviation of the first member from the file; NaN where anything is."""
    differences = [difference(outputs[0].transpose(1, 2), golden.outputs)]
    for block, parameters, state in zip(golden.network.blocks, carry.parameters, carry.state, strict=True):
        ours = parameters._asdict() | state._asdict()
        for key, expected in golden.final.items():
            name, number = key.split("_final_")
            if 0 <= int(number) - block.first < len(block.layers):
                differences.append(difference(ours[name][int(number) - block.first, 0], expected))
    return torch.stack(differences).max().item()


def difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Largest absolute difference; parameters (1, N) compare with (N,)."""
    return (ours.reshape(theirs.shape) - theirs).abs().max()


def ensemble_deviation(golden: Golden, engine: Engine) -> float:
    """The golden network between two others: the worst deviation from the file and from each member's lone run."""
    members = [golden.parameters, perturbed(golden.parameters, 1), perturbed(golden.parameters, 2)]
    carry, outputs = run(golden, members, engine)
    differences = [torch.tensor(deviation(golden, carry, outputs), dtype=torch.float64)]
    for number, parameters in enumerate(members):
        alone, lone_outputs = run(golden, [parameters], engine)
        together = select(golden.network, carry, [number])
        differences.append(difference(outputs[number], lone_outputs[0]))
        for ours, theirs in zip(tensors_of(together), tensors_of(alone), strict=True):
            differences.append(difference(ours, theirs))
    return torch.stack(differences).max().item()


def tensors_of(carry: Carry) -> list[Tensor]:
    return [tensor for block in (*carry.parameters, *carry.state) for tensor in block if tensor is not None]


def perturbed(parameters: Parameters, seed: int) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        block._replace(weight=block.weight + 0.1 * torch.randn(block.weight.shape, generator=generator).double())
        for block in parameters
    )


def check(path: Path, name: str, ensemble: bool) -> bool:
    """Replays a file through an engine, prints a line, and says whether it is reproduced; what cannot be is told."""
    line = f"{path.name:<32} {name:<8}"
    try:
        golden = load(path)
    except Exception as error:
        print(f"{line} unreadable: {type(error).__name__}: {error}")
        return False
    absent = choice.absence(name)
    if absent is not None:
        print(f"{line} absent: {absent}")
        return True
    try:
        worst = worst_deviation(golden, choice.make(name), ensemble)
    except NotImplementedError:
        print(f"{line} unsupported")
        return True
    except RuntimeError as error:  # arrays whose shapes do not fit each other
        print(f"{line} failed: {str(error).splitlines()[0]}")
        return False
    good = worst <= TOLERANCE  # False for NaN
    print(f"{line} {worst:8.1e}  {'ok' if good else 'DEVIATES'}")
    return good


def worst_deviation(golden: Golden, engine: Engine, ensemble: bool) -> float:
    if ensemble:
        return ensemble_deviation(golden, engine)
    return deviation(golden, *run(golden, [golden.parameters], engine))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of golden *.npz files")
    parser.add_argument("--ensemble", action="store_true", help="replay each inside an ensemble of three networks")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"no folder '{options.folder}'")
    files = sorted(options.folder.glob("*.npz"))
    if not files:
        print(f"No golden file (*.npz) in '{options.folder}'.", file=sys.stderr)
        return 1
    torch.set_num_threads(1)  # the networks are tiny: threads would wait for each other
    good = [check(path, name, options.ensemble) for path in files for name in choice.ENGINES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
