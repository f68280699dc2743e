"""Networks, parameters, batches and a reference step for the tests of the dynamics."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import BlockParameters, Parameters, initial_parameters
from gle_bench.dynamics.window import Window

FIXED = Dense(plastic=False)
DT = 0.1
PHIS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "softplus": torch.nn.functional.softplus,
    "relu": torch.relu,
    "hard-sigmoid": lambda x: x.clamp(0, 1),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def make_network(
    sizes: Sequence[int],
    phis: Sequence[str] | None = None,
    *,
    instantaneous: bool = False,
    seed: int = 0,
    layers: Sequence[dict[str, Any]] | None = None,
    **options: Any,
) -> Network:
    """A stack with random time constants in [2 dt, 20 dt], tanh below a linear output unless `phis` says otherwise.

    Args:
        instantaneous: tau_r = tau_m.
        layers: further options of each layer; `options` are the network's.
    """
    count = len(sizes) - 1
    phis = phis or ["tanh"] * (count - 1) + ["identity"]
    draw = generator(seed)
    built = []
    for number, more in enumerate(layers or [{}] * count):
        width = sizes[number + 1]
        tau_m, tau_r = (DT * (2 + 18 * torch.rand(2, width, generator=draw, dtype=torch.float64))).tolist()
        taus = (tuple(tau_m), tuple(tau_m if instantaneous else tau_r))
        built.append(Layer(sizes[number], width, *taus, phi=phis[number], **more))
    return Network(tuple(built), **{"dt": DT, **options})


def make_parameters(network: Network, seed: int = 0, members: int = 1) -> Parameters:
    """Random weights and biases of an ensemble, float64."""
    alone = []
    for member in range(members):
        draw = generator(1000 * seed + member)
        weights = [
            torch.randn(layer.neurons, layer.inputs, generator=draw, dtype=torch.float64) / layer.inputs**0.5
            for layer in network.layers
        ]
        biases = [
            torch.randn(layer.neurons, generator=draw, dtype=torch.float64) / 3 if layer.bias else None
            for layer in network.layers
        ]
        alone.append(initial_parameters(network, weights, biases))
    return tuple(
        BlockParameters(*(None if parts[0] is None else torch.cat(parts, 1) for parts in zip(*blocks, strict=True)))
        for blocks in zip(*alone, strict=True)
    )


def make_batch(network: Network, steps: int, size: int, seed: int = 0, members: int = 1) -> Window:
    """Random inputs, and random classes (one-hot, for 'ce') or signals as targets."""
    inputs = normal(members, size, steps, network.inputs, seed=seed)
    if network.loss == "ce":
        classes = torch.randint(network.outputs, (members, size), generator=generator(seed + 1))
        target = torch.nn.functional.one_hot(classes, network.outputs).double()[:, :, None]
    else:
        target = normal(members, size, steps, network.outputs, seed=seed + 1)
    return Window(steps, inputs, target, None)


def layerwise(network: Network, blocks: Any) -> list[dict[str, Any]]:
    """Every layer's own tensors, (S, ...), by name."""
    return [
        {name: None if tensor is None else tensor[k] for name, tensor in values._asdict().items()}
        for block, values in zip(network.blocks, blocks, strict=True)
        for k in range(len(block.layers))
    ]


def member(blocks: Any, number: int) -> Any:
    """One member of an ensemble, as an ensemble of one."""
    return tuple(type(block)(*(None if x is None else x[:, number : number + 1] for x in block)) for block in blocks)


def descend(parameters: Parameters, gradients: Parameters, rate: float) -> Parameters:
    """Plain gradient descent, as a function."""
    return tuple(
        BlockParameters(*(p if p is None or g is None else p - rate * g for p, g in zip(old, new, strict=True)))
        for old, new in zip(parameters, gradients, strict=True)
    )


class Neurons(NamedTuple):
    """The state of one layer of one network, (B, N), and the weight that its error was computed with."""

    u: Tensor
    v: Tensor
    r: Tensor
    e: Tensor
    slope: Tensor
    weight: Tensor


def reference_start(network: Network, parameters: Parameters, size: int) -> list[Neurons]:
    return [
        Neurons(u=zero, v=zero, r=zero, e=zero, slope=zero, weight=p["weight"][0])
        for layer, p in zip(network.layers, layerwise(network, parameters), strict=True)
        for zero in [p["weight"].new_zeros(size, layer.neurons)]
    ]


def reference_step(
    network: Network,
    parameters: Parameters,
    state: list[Neurons],
    inputs: Tensor,
    target: Tensor | None,
    mask: Tensor | None = None,
) -> tuple[list[Neurons], list[dict[str, Tensor]]]:
    """One step of a network (S = 1), layer by layer as in facts/algorithms.md section 3, with errors in every layer."""
    new, gradients = [], []
    for number, (layer, p) in enumerate(zip(network.layers, layerwise(network, parameters), strict=True)):
        old = state[number]
        weight, tau_m, tau_r = p["weight"][0], p["tau_m"][0, 0], p["tau_r"][0, 0]
        bias = 0 if p["bias"] is None else p["bias"][0, 0]
        if number < len(state) - 1:
            above = state[number + 1].e @ state[number + 1].weight
        elif target is None:
            above = torch.zeros_like(old.r)
        else:
            above = network.beta * (target - (old.r.softmax(-1) if network.loss == "ce" else old.r))
            above = above if mask is None else above * mask
        below = inputs if number == 0 else state[number - 1].r
        i = old.slope * above
        dv = (i - old.v) / tau_r
        v, e = (old.v + network.dt * dv, old.v + tau_m * dv) if layer.prospective_errors else (i, i)
        du = (below @ weight.T + bias + layer.gamma * e - old.u) / tau_m
        potential = (old.u + tau_r * du).detach().requires_grad_()
        r = PHIS[layer.phi](potential)
        (slope,) = torch.autograd.grad(r.sum(), potential)
        if layer.phi == "softplus":
            slope = potential.detach().sigmoid()  # torch's own jumps to 1 above 20
        new.append(Neurons(old.u + network.dt * du, v, r.detach(), e, slope, weight))
        size = len(e)
        gradients.append(
            {
                "weight": -torch.einsum("bi,bj->ij", e, below) / size,
                "bias": -e.sum(0, keepdim=True) / size,
                "tau_m": (e * du).sum(0, keepdim=True) / size,
                "tau_r": -(i * du).sum(0, keepdim=True) / size,
            }
        )
    return new, gradients
