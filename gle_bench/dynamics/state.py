"""The parameters and the state of a GLE network, as tensors of each block of layers, and their initial values.

    S networks (ensemble)   B batch   N neurons   K stacked layers (a block, see `gle_bench.dynamics.network`)
    weight (K, S, N, N_in)   bias, tau_m, tau_r (K, S, 1, N)   u, v, r, e (K, S, B, N)

A convolution's weight is (K, S, C_out, C, k, k), its bias (K, S, 1, C_out). A relay (pooling) has no parameters and no
neurons: its state is only r, the rates that it passed on; the other tensors are empty, (K, S, B, 0).

`tensor[k]` is a view of layer k, with the shapes of the paper: W (S, N, N_in), u (S, B, N).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics.network import Block, Network
from gle_bench.errors import UsageError


class BlockParameters(NamedTuple):
    """The parameters of a block of layers, or their gradients. What a block does not have is None."""

    weight: Tensor | None  # (K, S, N, N_in)
    bias: Tensor | None  # (K, S, 1, N)
    tau_m: Tensor | None  # (K, S, 1, N)
    tau_r: Tensor | None  # (K, S, 1, N)


class BlockState(NamedTuple):
    """The dynamical variables of a block of layers at step n, each (K, S, B, N) unless noted."""

    u: Tensor
    v: Tensor
    r: Tensor
    e: Tensor
    slope: Tensor  # phi'
    feedback: Tensor  # (K, S, B, N_in)  W^T e, with the weights W at the time when e was computed


TAUS = ("tau_m", "tau_r")
Parameters = tuple[BlockParameters, ...]
State = tuple[BlockState, ...]


def zero_state(network: Network, parameters: Parameters, batch: int) -> State:
    """The state before the first step: all variables are zero, including phi', so that the first errors vanish."""
    like = present_weight(parameters)
    states = []
    for block in network.blocks:
        shape = (len(block.layers), like.shape[1], batch)
        neurons, inputs = (0, 0) if block.relay else (block.like.neurons, block.like.inputs)
        u, v, e, slope = (like.new_zeros(*shape, neurons) for _ in range(4))
        r, feedback = like.new_zeros(*shape, block.like.neurons), like.new_zeros(*shape, inputs)
        states.append(BlockState(u, v, r, e, slope, feedback))
    return tuple(states)


def silent(state: State) -> bool:
    """Whether all errors in a state are zero. Without a target they then stay zero, and need not be computed."""
    return not any(bool(x.any()) for block in state for x in (block.v, block.e, block.feedback))


def present_weight(parameters: Parameters) -> Tensor:
    """The weight of the first block that has weights, (K, S, ...). Every network has one."""
    return next(p.weight for p in parameters if p.weight is not None)


def constrain(network: Network, parameters: Parameters) -> None:
    """Clamps learned time constants to `network.tau_range`, in place. Those of fixed layers do not change."""
    for block, p in zip(network.blocks, parameters, strict=True):
        for learns, tau in ((network.learn_tau_m, p.tau_m), (network.learn_tau_r, p.tau_r)):
            if learns and block.like.connection.plastic and tau is not None:
                tau.clamp_(*network.tau_range)


def present(tensor: Tensor | None) -> Tensor:
    """The given tensor, after an assertion for type checkers that it is not None."""
    assert tensor is not None, "a block with neurons has weights and time constants; only gradients may be None"
    return tensor


def initial_parameters(
    network: Network, weights: Sequence[Tensor | None], biases: Sequence[Tensor | None]
) -> Parameters:
    """The parameters of one network (S = 1), made from each layer's weight and bias, with their dtype and device.

    Args:
        weights: (N, N_in), or the shape that the layer's connection has; None for a relay.
        biases: (N), or as many as the layer's connection has; None for a layer without biases.

    Raises:
        UsageError: a tensor of another shape.
    """
    parameters = []
    for block in network.blocks:
        layers = range(block.first, block.first + len(block.layers))
        if block.relay is not None:
            parameters.append(BlockParameters(None, None, None, None))
            continue
        for i in layers:
            _check_shapes(i + 1, block, weights[i], biases[i])
        stack = torch.stack([present(weights[i]) for i in layers])[:, None]
        biased = [b for i in layers if (b := biases[i]) is not None]
        bias = torch.stack(biased)[:, None, None] if biased else None
        tau_m, tau_r = (_taus([getattr(layer, name) for layer in block.layers], block, stack) for name in TAUS)
        parameters.append(BlockParameters(stack.clone(), bias, tau_m, tau_r))
    return tuple(parameters)


def _check_shapes(number: int, block: Block, weight: Tensor | None, bias: Tensor | None) -> None:
    connection, like = block.connection, block.like
    expected_shapes = {
        "weight": (weight, connection.weight_shape(like.inputs, like.neurons)),
        "bias": (bias, (connection.biases(like.neurons),) if like.bias else None),
    }
    for name, (tensor, expected) in expected_shapes.items():
        shape = None if tensor is None else tuple(tensor.shape)
        if shape != expected:
            raise UsageError(f"{name} of layer {number} has shape {shape}; {connection} needs {expected}.")


def _taus(values: list[tuple[float, ...]], block: Block, like: Tensor) -> Tensor:
    rows = [like.new_tensor(taus).expand(block.like.neurons) for taus in values]
    return torch.stack(rows)[:, None, None].clone()
