"""The influence of parameters on a network's state, carried forward in time: real-time recurrent learning.

For a parameter theta of layer m, U = du/dtheta and R = dr/dtheta of layer m and of those above obey the membrane's own
equations, driven by J = W R instead of W r + b (docs/facts/rules.md, section 5.1). Each neuron of layer m has F
parameters: its incoming weights, its bias, and its time constants where these learn. They influence no other neuron of
their own layer, so that U and R are (S, B, N, F) there, and (S, B, N F, N_l) in a layer l above.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import neurons
from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import BlockParameters, Parameters, State, present, present_weight
from gle_bench.dynamics.step import Step

Influence = tuple[Tensor, ...]  # U and R in layer m and in each one above, for every traced layer m in turn


class _Layer(NamedTuple):
    """The values of a layer in one step from which its influences are computed."""

    weight: Tensor  # (S, N, N_in)
    tau_m: Tensor  # (S, 1, N)
    tau_r: Tensor
    rates: Tensor  # (S, B, N_in)  of the layer below, before the step
    slope: Tensor  # (S, B, N)  phi' after the step
    u_dot: Tensor | None  # (S, B, N)  None where no time constant learns


def influence_refusal(network: Network) -> str | None:
    """The reason why influences cannot be computed in this network, as a clause with the cure; None: they can."""
    for number, layer in enumerate(network.layers, 1):
        if not isinstance(layer.connection, Dense):
            kind = type(layer.connection).__name__
            return f"layer {number} is connected by {kind}, and influences go through Dense only; choose rule 'bptt'"
    return None


def traced_layers(network: Network, depth: int) -> list[int]:
    """The indices, from 0, of the layers whose parameters' influence is carried: plastic ones of the upper `depth`."""
    first = max(0, len(network.layers) - depth)
    return [number for number in range(first, len(network.layers)) if network.layers[number].connection.plastic]


def influence_size(network: Network, depth: int) -> int:
    """The size of the influence of one network for one sample, as a count of numbers."""
    total = 0
    for number in traced_layers(network, depth):
        layer, above = network.layers[number], network.layers[number + 1 :]
        total += 2 * layer.neurons * _features(network, layer) * (1 + sum(other.neurons for other in above))
    return total


def no_influence(network: Network, parameters: Parameters, batch: int, depth: int) -> Influence:
    """The influence before the first step, which is zero everywhere."""
    like, influence = present_weight(parameters), []
    for number in traced_layers(network, depth):
        layer = network.layers[number]
        sizes = (layer.neurons, _features(network, layer))
        shapes = [sizes, *((sizes[0] * sizes[1], above.neurons) for above in network.layers[number + 1 :])]
        influence += [like.new_zeros(like.shape[1], batch, *shape) for shape in shapes for _ in range(2)]
    return tuple(influence)


def advance_influence(
    network: Network,
    parameters: Parameters,
    influence: Influence,
    inputs: Tensor,
    before: State,
    step: Step,
    depth: int,
) -> Influence:
    """The influence after a step. All layers read the influence before the step, and are updated together.

    Args:
        inputs: the input of the step, (S, B, N_in).
        before: the state before the step.
    """
    layers, old, new = _layers(network, parameters, inputs, before, step), iter(influence), list[Tensor]()
    for number in traced_layers(network, depth):
        u, r = next(old), next(old)
        new += _own(network, network.layers[number], layers[number], u)
        for layer in layers[number + 1 :]:
            drive = _drive(layer, r, own=layer is layers[number + 1])
            u, r = next(old), next(old)
            u, potential = neurons.membrane_step(u, drive, layer.tau_m[:, None], layer.tau_r[:, None], network.dt)
            new += [u, layer.slope[:, :, None] * potential]
    return tuple(new)


def influence_gradients(
    network: Network, parameters: Parameters, influence: Influence, nudging: Tensor, depth: int
) -> Parameters:
    """The gradient of a step's cost from the influence before the step: a batch mean, zero where none is carried.

    Args:
        nudging: -dC/dr of the output, (S, B, C).
    """
    place, gradients = 0, list[BlockParameters]()
    traced = traced_layers(network, depth)
    for block, p in zip(network.blocks, parameters, strict=True):
        if not block.like.connection.plastic:
            gradients.append(BlockParameters(None, None, None, None))
            continue
        parts = []
        for number, layer in enumerate(block.layers, block.first):
            weight = present(p.weight)[number - block.first]
            made = weight.new_zeros(len(weight), layer.neurons, _features(network, layer))
            if number in traced:
                place += 2 * (len(network.layers) - number)
                made = _gradient(influence[place - 1], nudging, layer, own=number == len(network.layers) - 1)
            parts.append(_split(network, layer, made))
        stacks = zip(*parts, strict=True)
        gradients.append(BlockParameters(*(None if same[0] is None else torch.stack(same) for same in stacks)))
    return tuple(gradients)


def _layers(network: Network, parameters: Parameters, inputs: Tensor, before: State, step: Step) -> list[_Layer]:
    layers, rates = [], inputs
    blocks = zip(network.blocks, parameters, before, step.state, step.signals.u_dot, strict=True)
    for block, p, old, new, u_dot in blocks:
        weight, tau_m, tau_r = present(p.weight), present(p.tau_m), present(p.tau_r)
        for k in range(len(block.layers)):
            derivative = None if u_dot is None else u_dot[k]
            layers.append(_Layer(weight[k], tau_m[k], tau_r[k], rates, new.slope[k], derivative))
            rates = old.r[k]
    return layers


def _features(network: Network, layer: Layer) -> int:
    """The number F of a neuron's parameters that learn."""
    return layer.inputs + layer.bias + network.learn_tau_m + network.learn_tau_r


def _own(network: Network, layer: Layer, values: _Layer, u: Tensor) -> list[Tensor]:
    """The influences U and R of a layer's parameters on that layer itself, after the step, (S, B, N, F)."""
    tau_m, tau_r = (tau.transpose(1, 2)[:, None] for tau in (values.tau_m, values.tau_r))  # (S, 1, N, 1)
    drive = torch.zeros_like(u)
    drive[..., : layer.inputs] = values.rates[:, :, None]
    if layer.bias:
        drive[..., layer.inputs] = 1
    u, potential = neurons.membrane_step(u, drive, tau_m, tau_r, network.dt)
    column, u_dot = layer.inputs + layer.bias, values.u_dot
    if network.learn_tau_m and u_dot is not None:
        u[..., column] -= network.dt / values.tau_m * u_dot
        potential[..., column] -= values.tau_r / values.tau_m * u_dot
        column += 1
    if network.learn_tau_r and u_dot is not None:
        potential[..., column] += u_dot
    return [u, values.slope[..., None] * potential]


def _drive(layer: _Layer, r: Tensor, own: bool) -> Tensor:
    """The drive J = W R, (S, B, P, N), from R of the layer below.

    If the P parameters belong to the layer below (`own`), each of them influences one of its neurons only.
    """
    weight = layer.weight.transpose(1, 2)[:, None]  # (S, 1, N_in, N)
    return (r[..., None] * weight[:, :, :, None]).flatten(2, 3) if own else r @ weight


def _gradient(r: Tensor, nudging: Tensor, layer: Layer, own: bool) -> Tensor:
    """The gradient of a layer's parameters, (S, N, F), from their influence R on the output layer.

    With `own`, the layer is the output layer itself.
    """
    if own:
        return (r * nudging[..., None]).mean(1).neg()
    return (r @ nudging[..., None]).mean(1).neg().view(len(r), layer.neurons, -1)


def _split(network: Network, layer: Layer, gradient: Tensor) -> list[Tensor | None]:
    """The gradients of weight, bias, tau_m and tau_r, split from one tensor (S, N, F)."""
    columns = iter(gradient[..., layer.inputs :].unbind(-1))
    there = (layer.bias, network.learn_tau_m, network.learn_tau_r)
    return [gradient[..., : layer.inputs], *(next(columns)[:, None] if learns else None for learns in there)]
