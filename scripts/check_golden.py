#!/usr/bin/env python3
"""A replay of golden trajectories, every *.npz of a folder, by every engine, compared to 1e-10 in float64."""

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

    from gle_bench.contracts import OnlineRule
    from gle_bench.dynamics.choices import LocalOptions
    from gle_bench.dynamics.engines import choice
    from gle_bench.dynamics.engines.interface import Engine, start
    from gle_bench.dynamics.ensemble import Carry, join, select
    from gle_bench.dynamics.network import Layer, Network
    from gle_bench.dynamics.optimizers import Optimizer
    from gle_bench.dynamics.seams import Seams
    from gle_bench.dynamics.state import BlockParameters, Parameters, initial_parameters, zero_state
    from gle_bench.dynamics.window import Window
    from gle_bench.rules.bptt import BPTT, BPTTOptions
    from gle_bench.rules.gle import GLE
except ModuleNotFoundError:  # this Python is not the checkout's: start again in .venv, which is made on first use
    if Path(sys.prefix) == ROOT / ".venv":
        raise
    setup = subprocess.run([ROOT / "scripts/setup"], check=False)
    if setup.returncode:
        sys.exit(setup.returncode)
    python = str(ROOT / ".venv/bin/python")
    os.execv(python, [python, *sys.argv])

TOLERANCE = 1e-10
COMPARED = ("weight", "bias", "tau_m", "u", "v", "r")
PHIS = {"linear": "identity"}  # activations whose names in the files differ from ours


class Golden(NamedTuple):
    """The content of one golden file: an experiment, its outputs and its final parameters and state."""

    network: Network
    parameters: Parameters
    optimizer: Optimizer
    rate: float
    batches: list[Window]
    outputs: Tensor  # (batches, steps, batch, C)
    final: dict[str, Tensor]  # 'weight_final_0' and so on, one for each layer


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the arrays of a file; raises whatever a broken one brings about."""
    with path.open("rb") as stream, np.load(stream) as file:  # np.load alone leaves a broken file open
        arrays = {name: file[name] for name in file.files}
    meta: dict[str, Any] = json.loads(str(arrays.pop("meta")))
    return meta, {name: torch.as_tensor(array) for name, array in arrays.items()}


def trajectory(meta: dict[str, Any], tensors: dict[str, Tensor]) -> Golden:
    """The golden experiment in a file of a trajectory: network, data, outputs and final state."""
    layers, lowest = range(len(meta["phis"])), meta["tau_min"] or 0.0
    network, parameters = start_of(
        meta, tensors, "_init", learn_tau_m=meta["learn_tau"], tau_range=(lowest, float("inf"))
    )
    names = [name for name in COMPARED if name != "bias" or meta["bias"]]
    final = {key: tensors[key] for key in (f"{name}_final_{number}" for name in names for number in layers)}
    windows = [
        Window(meta["steps"], inputs[None].double(), target_rates(network, targets)[None], None)
        for inputs, targets in zip(tensors["inputs"], tensors["targets"], strict=True)
    ]
    return Golden(network, parameters, Optimizer(meta["optimizer"]), meta["lr"], windows, tensors["outputs"], final)


def start_of(
    meta: dict[str, Any], tensors: dict[str, Tensor], when: str = "", **options: Any
) -> tuple[Network, Parameters]:
    """The network of a file and the parameters that it starts from; `when` is part of the names of their arrays."""
    layers = range(len(meta["phis"]))
    network = Network(
        layers=tuple(layer(meta, tensors, number, when) for number in layers),
        dt=meta["dt"],
        loss=meta["loss"],
        beta=meta["beta"],
        **options,
    )
    weights = [tensors[f"weight{when}_{number}"].double() for number in layers]
    biases = [tensors[f"bias{when}_{number}"].double() if network.layers[number].bias else None for number in layers]
    return network, initial_parameters(network, weights, biases)


def layer(meta: dict[str, Any], tensors: dict[str, Tensor], number: int, when: str = "") -> Layer:
    phi = meta["phis"][number].replace("_", "-")
    tau_r = tensors[f"tau_r_{number}"]
    return Layer(
        *meta["sizes"][number : number + 2],
        tau_m=tuple(tensors[f"tau_m{when}_{number}"].flatten().tolist()),
        tau_r=tuple(tau_r.flatten().tolist()),
        phi=PHIS.get(phi, phi),
        bias=meta.get("bias", f"bias{when}_{number}" in tensors),
        gamma=meta["gamma"],
        prospective_errors=meta.get("prospective_errors", True),
    )


def target_rates(network: Network, targets: Tensor) -> Tensor:
    """The rates that the output neurons should have, (B, T|1, C)."""
    if network.loss == "ce":
        return torch.nn.functional.one_hot(targets, network.outputs)[:, None].double()
    return targets.double()


def run(golden: Golden, members: Sequence[Parameters], engine: Engine) -> tuple[Carry, Tensor]:
    """An ensemble's parameters and state after all batches, and its outputs (S, batches, B, steps, C)."""
    network, optimizer = golden.network, golden.optimizer
    size = golden.batches[0].inputs.shape[1]
    carry = join(network, [start(network, parameters, optimizer, size) for parameters in members])
    rates = torch.full((len(members),), golden.rate, dtype=torch.float64)
    outputs, seams = [], Seams(seeds=tuple(range(len(members))))
    for batch in golden.batches:
        carry, output = engine.learn(network, GLE(), optimizer, carry, batch, rates, seams=seams)
        outputs.append(output)
    return carry, torch.stack(outputs, 1)


def deviation(golden: Golden, carry: Carry, outputs: Tensor) -> float:
    """The largest absolute deviation of the first member from the file; NaN if any value is NaN."""
    differences = [difference(outputs[0].transpose(1, 2), golden.outputs)]
    for block, parameters, state in zip(golden.network.blocks, carry.parameters, carry.state, strict=True):
        tensors = parameters._asdict() | state._asdict()
        for key, expected in golden.final.items():
            name, number = key.split("_final_")
            if 0 <= int(number) - block.first < len(block.layers):
                differences.append(difference(tensors[name][int(number) - block.first, 0], expected))
    return torch.stack(differences).max().item()


def difference(computed: Tensor, expected: Tensor) -> Tensor:
    """The largest absolute difference; parameters (1, N) may be compared with (N,)."""
    return (computed.reshape(expected.shape) - expected).abs().max()


def ensemble_deviation(golden: Golden, engine: Engine) -> float:
    """The largest deviation of an ensemble of the golden network and two others.

    The golden network is compared with the file, and each member with a run of that member alone.
    """
    members = [golden.parameters, perturbed(golden.parameters, 1), perturbed(golden.parameters, 2)]
    carry, outputs = run(golden, members, engine)
    differences = [torch.tensor(deviation(golden, carry, outputs), dtype=torch.float64)]
    for number, parameters in enumerate(members):
        alone, lone_outputs = run(golden, [parameters], engine)
        together = select(golden.network, carry, [number])
        differences.append(difference(outputs[number], lone_outputs[0]))
        pairs = zip(tensors_of(together), tensors_of(alone), strict=True)
        differences += [difference(in_ensemble, by_itself) for in_ensemble, by_itself in pairs]
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
    """Replays a file through an engine, prints a line for each part, and says whether all of them are reproduced."""
    line = f"{path.name:<32} {name:<8}"
    absent = choice.absence(name)
    if absent is not None:
        print(f"{line} absent: {absent}")
        return True
    try:
        meta, tensors = read(path)
        parts = rule_checks(meta, tensors) if "rules" in meta else {"": trajectory(meta, tensors)}
    except Exception as error:
        print(f"{line} unreadable: {type(error).__name__}: {error}")
        return False
    good = True
    for part, golden in parts.items():
        called = f"{line} {part:<32}" if part else line
        try:
            worst = worst_deviation(golden, choice.make(name), ensemble)
        except NotImplementedError as reason:
            print(f"{called} unsupported{f': {reason}' if part else ''}")
            continue
        except RuntimeError as error:  # arrays whose shapes do not fit each other
            print(f"{called} failed: {str(error).splitlines()[0]}")
            good = False
            continue
        reproduced = worst <= TOLERANCE  # False for NaN
        print(f"{called} {worst:8.1e}  {'ok' if reproduced else 'DEVIATES'}")
        good = good and reproduced
    return good


def worst_deviation(golden: "Golden | RuleCheck", engine: Engine, ensemble: bool) -> float:
    if isinstance(golden, RuleCheck):
        return gradient_deviation(golden, engine)
    if ensemble:
        return ensemble_deviation(golden, engine)
    return deviation(golden, *run(golden, [golden.parameters], engine))


class RuleCheck(NamedTuple):
    """One rule of a file: the network with frozen weights, the data, and the gradients that belong to them."""

    network: Network
    parameters: Parameters
    rule: OnlineRule
    batch: Window
    outputs: Tensor  # (B, T, C)
    gradients: dict[str, Tensor]  # 'weight_0' and so on, summed over the steps


def rule_checks(meta: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, RuleCheck]:
    """All rules of a file, by their names there."""
    checks = {}
    for name, choices in meta["rules"].items():
        gradients = {key.partition("/")[2]: x for key, x in tensors.items() if key.startswith(f"{name}/")}
        taus = any(key.startswith("tau") for key in gradients)
        network, parameters = start_of(meta, tensors, learn_tau_m=taus, learn_tau_r=taus)
        batch = Window(
            meta["steps"], tensors["inputs"][None].double(), target_rates(network, tensors["targets"])[None], None
        )
        checks[name] = RuleCheck(network, parameters, rule_of(name, choices), batch, tensors["outputs"], gradients)
    return checks


def rule_of(name: str, choices: dict[str, Any] | None) -> OnlineRule:
    """The learning rule with the name and the options that a golden file gives: `bptt`, else a local rule."""
    if name.startswith("bptt"):
        return BPTT().with_options(BPTTOptions(**(choices or {})))
    return GLE().with_options(LocalOptions(**(choices or {})))


def gradient_deviation(golden: RuleCheck, engine: Engine) -> float:
    """The worst deviation of a rule's gradients, each relative to the largest of its tensor, and of the outputs."""
    network, parameters, rule, batch = golden.network, golden.parameters, golden.rule, golden.batch
    state = zero_state(network, parameters, batch.inputs.shape[1])
    found = engine.gradients(network, rule, parameters, state, batch, seams=Seams(seeds=(1,)))
    differences = [difference(found.outputs[0], golden.outputs)]
    for block, own in zip(network.blocks, found.accumulated, strict=True):
        differences += [
            relative(own, key, block.first, expected)
            for key, expected in golden.gradients.items()
            if 0 <= int(key.rpartition("_")[2]) - block.first < len(block.layers)
        ]
    return torch.stack(differences).max().item()


def relative(ours: BlockParameters, key: str, first: int, expected: Tensor) -> Tensor:
    """The largest difference of a layer's gradient from the expected one, relative to the latter's largest number.

    Where all of the latter is zero, the difference is an absolute one.
    """
    name, _, number = key.rpartition("_")
    largest = expected.abs().max()
    return difference(getattr(ours, name)[int(number) - first, 0], expected) / (largest if largest > 0 else 1)


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
    torch.set_num_threads(1)  # the networks are too small for several threads
    good = [check(path, name, options.ensemble) for path in files for name in choice.ENGINES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
