"""The memory of a local learning rule: the tensors that it keeps from step to step, beside the network's state.

    K stacked layers   S networks   D delay in steps   P populations of equal time constants   B batch   N neurons

The neurons of a population share one trace of each presynaptic rate, because the trace depends on a neuron only through
its time constants. Where time constants learn or are noisy, every neuron is a population of its own.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.state import Parameters, present


class BlockMemory(NamedTuple):
    """The memory of a local learning rule for one block of layers. A tensor that the rule does not need is None."""

    rates: Tensor | None = None  # (K, S, D, B, N_in)  presynaptic rates of the last D steps, the oldest first
    slopes: Tensor | None = None  # (K, S, D - 1, B, N)  phi' of the last D - 1 steps
    u_dots: Tensor | None = None  # (K, S, D, B, N)  derivatives of the potential
    age: Tensor | None = None  # (K, S, 1, 1)  steps since the first one, so far
    trace: Tensor | None = None  # (K, S, P, B, N_in)  presynaptic rates, low-passed by tau_m
    bias_trace: Tensor | None = None  # (K, S, 1, N)  the same of the bias's input, which is 1
    tau_trace: Tensor | None = None  # (K, S, B, N)  the same of u_dot, by which tau_m learns
    instant_square: Tensor | None = None  # (K, S, B, N)  <e_inst^2>
    error_square: Tensor | None = None  # (K, S, B, N)  <e^2>
    back: Tensor | None = None  # (K, S, N, N_in)  weights that carry errors down; (K, S, N, C) from the output


Memory = tuple[BlockMemory, ...]
EMPTY = BlockMemory()
OWN_STREAM = 2**32  # of random numbers: beyond those of disturbances, which are counted from 0
OF_SAMPLES = ("rates", "slopes", "u_dots", "trace", "tau_trace", "instant_square", "error_square")


class Populations(NamedTuple):
    """The neurons of a block's layers, grouped by their time constants."""

    first: Tensor  # (K, P)  a neuron of each population
    members: Tensor  # (K, P, N)  1 where the neuron belongs to the population


def populations(network: Network, block: Block) -> Populations:
    """The populations of a block of layers. Where time constants learn or are noisy, each neuron is one of its own."""
    return _populations(block, network.learn_tau_m or network.learn_tau_r or network.own_taus)


@lru_cache(maxsize=64)  # every step asks for them
def _populations(block: Block, alone: bool) -> Populations:
    count = block.like.neurons
    groups: list[list[list[int]]] = []
    for layer in block.layers:
        same: dict[object, list[int]] = {}
        for n in range(count):
            taus = tuple(tau[n % len(tau)] for tau in (layer.tau_m, layer.tau_r))
            same.setdefault(n if alone else taus, []).append(n)
        groups.append(list(same.values()))
    most = max(map(len, groups))
    if most == count:  # trace n is then that of neuron n, in every layer
        groups = [[[n] for n in range(count)] for _ in groups]
    first, members = torch.zeros(len(groups), most, dtype=torch.long), torch.zeros(len(groups), most, count)
    for k, of_layer in enumerate(groups):
        for p, neurons in enumerate(of_layer):
            first[k, p] = neurons[0]
            members[k, p, neurons] = 1
    return Populations(first, members)


def delays(network: Network, options: LocalOptions) -> list[list[int]]:
    """The delay D of each layer, block by block: the number of steps from a rate to the arrival of its error.

    A rate takes one step for each layer on its way to the output. The error returns at once by broadcast; otherwise it
    takes one step for each layer, and none through a relay.
    """
    back = [int(block.relay is None and options.feedback != "broadcast") for block in network.blocks]
    above, in_blocks = 0, []
    for block, backward in reversed(list(zip(network.blocks, back, strict=True))):
        own = []
        for _ in block.layers:
            own.append(1 + above)
            above += 1 + backward
        in_blocks.append(own[::-1])
    return in_blocks[::-1]


def shapes(network: Network, block: Block, options: LocalOptions, delay: int, batch: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a block's memory, without its feedback weights: {name: shape without the leading (K, S)}."""
    if block.relay is not None or not block.has_errors:
        return {}
    neurons, inputs, learns = block.like.neurons, block.like.inputs, block.connection.plastic
    late, traced = options.delay != "none", options.own == "trace" and learns
    named = {
        "rates": (late and learns, (delay, batch, inputs)),
        "slopes": (options.delay == "full", (delay - 1, batch, neurons)),
        "u_dots": (late and learns and (network.learn_tau_m or network.learn_tau_r), (delay, batch, neurons)),
        "age": (late, (1, 1)),
        "trace": (traced, (populations(network, block).first.shape[1] if traced else 0, batch, inputs)),
        "bias_trace": (traced and block.like.bias, (1, neurons)),
        "tau_trace": (traced and network.learn_tau_m, (batch, neurons)),
        "instant_square": (options.sent == "gain", (batch, neurons)),
        "error_square": (options.sent == "gain", (batch, neurons)),
    }
    return {name: shape for name, (kept, shape) in named.items() if kept}


def start(
    network: Network, parameters: Parameters, options: LocalOptions, batch: int, seeds: tuple[int, ...]
) -> Memory:
    """The memory before the first step: all zero, but for random feedback weights, which depend on the seeds."""
    memories = []
    for number, (block, steps, p) in enumerate(zip(network.blocks, delays(network, options), parameters, strict=True)):
        kept = shapes(network, block, options, max(steps), batch)
        tensors = {
            name: present(p.weight).new_zeros(*present(p.weight).shape[:2], *shape) for name, shape in kept.items()
        }
        if has_back(block, options):
            tensors["back"] = _random_weights(network, block, options, present(p.weight), number, seeds)
        memories.append(BlockMemory(**tensors))
    return tuple(memories)


def has_back(block: Block, options: LocalOptions) -> bool:
    """Whether a block has feedback weights of its own, instead of W^T."""
    return options.feedback != "transpose" and block.relay is None and block.has_errors


def _random_weights(
    network: Network, block: Block, options: LocalOptions, like: Tensor, number: int, seeds: tuple[int, ...]
) -> Tensor:
    """The random feedback weights of a block, drawn for each member of the ensemble from its own seed.

    Weights in place of W^T are uniform within 1/sqrt(N_in), like the initial W. Weights from the output are normal with
    standard deviation 1/sqrt(C) (Murray 2019).
    """
    layers = len(block.layers)
    members = []
    for seed in seeds:
        generator = np.random.Generator(np.random.Philox(key=np.array([seed, OWN_STREAM + number], dtype=np.uint64)))
        if options.feedback == "broadcast":
            drawn = generator.standard_normal((layers, block.like.neurons, network.outputs)) / network.outputs**0.5
        else:
            bound = like[0, 0, 0].numel() ** -0.5
            drawn = generator.uniform(-bound, bound, (layers, *like.shape[2:]))
        members.append(torch.from_numpy(drawn).to(like))
    return torch.stack(members, 1)


def flat(memory: Memory) -> tuple[Tensor, ...]:
    """The tensors of a memory that are not None, in the form in which an engine carries them: (S, K, ...)."""
    return tuple(tensor.transpose(0, 1) for block in memory for tensor in block if tensor is not None)


def nested(network: Network, options: LocalOptions, tensors: tuple[Tensor, ...]) -> Memory:
    """The memory with the tensors of a flat list in their places, block by block: the inverse of `flat`."""
    if not tensors:  # every step asks for the memory, and `gle` has none
        return (EMPTY,) * len(network.blocks)
    rest = iter(tensors)
    memories = []
    for block, steps in zip(network.blocks, delays(network, options), strict=True):
        names = [*shapes(network, block, options, max(steps), 0), *(["back"] if has_back(block, options) else [])]
        memories.append(BlockMemory(**{name: next(rest).transpose(0, 1) for name in names}))
    return tuple(memories)


def resumed(network: Network, memory: Memory, batch: int) -> Memory:
    """The memory at the start of a batch of this size, tiled or truncated or reset exactly as the state is."""
    return tuple(
        own._replace(
            **{
                name: _resumed(tensor, batch if name in OF_SAMPLES else None, block.like.forgets)
                for name, tensor in own._asdict().items()
                if tensor is not None and name != "back"
            }
        )
        for block, own in zip(network.blocks, memory, strict=True)
    )


def _resumed(tensor: Tensor, batch: int | None, forgets: bool) -> Tensor:
    if batch is not None and tensor.shape[-2] != batch:
        tensor = tensor.index_select(-2, torch.arange(batch, device=tensor.device) % tensor.shape[-2])
    return torch.zeros_like(tensor) if forgets else tensor


def aligned(
    network: Network,
    options: LocalOptions,
    before: Parameters,
    after: Parameters,
    memory: Memory,
    rates: Tensor,
) -> Memory:
    """The memory after an update under feedback = kolen-pollack, with new feedback weights B. W decays in place.

    The gradient of B is the transpose of that of W, and the optimizer treats each number separately: B moves as W does.
    """
    memories = []
    for block, old, new, own in zip(network.blocks, before, after, memory, strict=True):
        if own.back is not None and block.connection.plastic:
            weight = present(new.weight)
            kept = 1 - options.decay * block.like.rate_factor * rates.view(1, -1, *[1] * (weight.dim() - 2))
            back = (own.back + (weight - present(old.weight))) * kept
            weight *= kept
            own = own._replace(back=back)
        memories.append(own)
    return tuple(memories)
