"""Golden gradients of learning rules: networks with frozen weights, and what independent code made of them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import Parameters, initial_parameters
from gle_bench.dynamics.window import Window


class GoldenRules(NamedTuple):
    """One file: a network, its batch, and gradients by rule and name, summed over the steps."""

    network: Network
    parameters: Parameters
    batch: Window
    outputs: Tensor  # (B, T, C)
    gradients: dict[str, Tensor]  # 'bptt/weight_0' and so on


def load(path: Path) -> GoldenRules:
    """Reads a file."""
    with np.load(path) as file:
        arrays: dict[str, Any] = dict(file)
    meta = json.loads(str(arrays.pop("meta")))
    tensors = {name: torch.as_tensor(array) for name, array in arrays.items()}
    layers = range(len(meta["phis"]))
    network = Network(
        tuple(_layer(meta, tensors, n) for n in layers),
        dt=meta["dt"],
        loss=meta["loss"],
        beta=meta["beta"],
        learn_tau_m=True,
        learn_tau_r=True,
    )
    weights, biases = ([tensors[f"{name}_{n}"] for n in layers] for name in ("weight", "bias"))
    targets = tensors["targets"]
    if meta["loss"] == "ce":
        targets = torch.nn.functional.one_hot(targets, network.outputs).double()[:, None]
    batch = Window(meta["steps"], tensors["inputs"][None], targets[None], None)
    gradients = {name: tensor for name, tensor in tensors.items() if "/" in name}
    return GoldenRules(network, initial_parameters(network, weights, biases), batch, tensors["outputs"], gradients)


def _layer(meta: dict[str, Any], tensors: dict[str, Tensor], number: int) -> Layer:
    inputs, neurons = meta["sizes"][number : number + 2]
    tau_m, tau_r = (tuple(tensors[f"{name}_{number}"].tolist()) for name in ("tau_m", "tau_r"))
    return Layer(inputs, neurons, tau_m, tau_r, phi=meta["phis"][number], gamma=meta["gamma"])
