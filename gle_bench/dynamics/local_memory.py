"""What a local learning rule remembers from step to step, beside the network's own state: tensors, a block each.

    K stacked layers   S networks   D delay in steps   P populations of equal time constants   B batch   N neurons

A population shares one trace of each presynaptic rate: the trace depends on the neuron through its time constants
alone. Where time constants learn or are noisy, every neuron is a population of its own.
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
    """The memory of a block. What its rule does not need is None."""

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
    """The populations of a block; each neuron alone where time constants learn or are its own."""
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
    """D of each block's layers: the steps by which an error is later than the rate that it belongs to.

    A rate reaches the output by one step a layer. The error takes none to come back by broadcast; else one a layer, and
    none through a relay.
    """
    back = [int(block.relay is None and options.feedback != "broadcast") for block in network.blocks]
    above, found = 0, []
    for block, backward in reversed(list(zip(network.blocks, back, strict=True))):
        own = []
        for _ in block.layers:
            own.append(1 + above)
            above += 1 + backward
        found.append(own[::-1])
    return found[::-1]


def shapes(network: Network, block: Block, options: LocalOptions, delay: int, batch: int) -> dict[str, tuple[int, ...]]:
    """What a block remembers, without its feedback weights: name -> shape after (K, S)."""
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
    """The memory before the first step, all zero but for the random weights, which are made from the seeds."""
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
    """Whether a block has weights of its own that carry errors down."""
    return options.feedback != "transpose" and block.relay is None and block.has_errors


def _random_weights(
    network: Network, block: Block, options: LocalOptions, like: Tensor, number: int, seeds: tuple[int, ...]
) -> Tensor:
    """Random feedback weights, of each member by its own seed.

    Those that take the place of W^T are uniform within 1/sqrt(N_in), as W is at first; those from the output are normal
    with standard deviation 1/sqrt(C) (Murray 2019).
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
    """The tensors that are there, as a rule hands them to its engine: (S, K, ...)."""
    return tuple(tensor.transpose(0, 1) for block in memory for tensor in block if tensor is not None)


def nested(network: Network, options: LocalOptions, tensors: tuple[Tensor, ...]) -> Memory:
    """Inverse of `flat`."""
    rest = iter(tensors)
    memories = []
    for block, steps in zip(network.blocks, delays(network, options), strict=True):
        names = [*shapes(network, block, options, max(steps), 0), *(["back"] if has_back(block, options) else [])]
        memories.append(BlockMemory(**{name: next(rest).transpose(0, 1) for name in names}))
    return tuple(memories)


def resumed(network: Network, memory: Memory, batch: int) -> Memory:
    """The memory at the start of a batch of that size: tiled or truncated, as the state is, and forgotten with it."""
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
    """The memory after an update under feedback = kolen-pollack; W decays in place.

    The gradient of B is that of W, transposed, and the optimizer takes every number by itself: B moves as W does.
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
