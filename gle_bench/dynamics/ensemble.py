"""The learned parameters of an ensemble as one flat vector, and functions that select and join members.

The flat vector holds what learns, block after block, so that an optimizer updates all layers of all members at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import OptimizerState
from gle_bench.dynamics.state import BlockParameters, BlockState, Parameters, State, present_weight

FIELDS = BlockParameters._fields


def learned(network: Network, parameters: Parameters) -> list[tuple[int, str]]:
    """The tensors that learn, each as (index of its block, name), in the order of the flat vector."""
    chosen = []
    for index, (block, p) in enumerate(zip(network.blocks, parameters, strict=True)):
        learns = {"weight": True, "bias": True, "tau_m": network.learn_tau_m, "tau_r": network.learn_tau_r}
        if block.like.connection.plastic:
            chosen += [(index, name) for name in FIELDS if learns[name] and getattr(p, name) is not None]
    return chosen


def pack(network: Network, parameters: Parameters) -> Tensor:
    """The flat vector (P,) of all parameters that learn, as a copy."""
    return torch.cat([getattr(parameters[i], name).reshape(-1) for i, name in learned(network, parameters)])


def pack_gradients(names: Sequence[tuple[int, str]], gradients: Parameters) -> Tensor:
    """The gradients as one flat vector, in the order of the `names` that `learned` gives."""
    return torch.cat([getattr(gradients[i], name).reshape(-1) for i, name in names])


def unpack(network: Network, flat: Tensor, like: Parameters) -> Parameters:
    """Parameters whose learned tensors are views of `flat`; the others are those of `like`."""
    new = [p._asdict() for p in like]
    start = 0
    for index, name in learned(network, like):
        shape = getattr(like[index], name).shape
        new[index][name] = flat[start : start + shape.numel()].view(shape)
        start += shape.numel()
    return tuple(BlockParameters(**fields) for fields in new)


def per_parameter(network: Network, parameters: Parameters, values: Tensor) -> Tensor:
    """The flat vector (P,) that has each member's value, from (S,), times the layer's rate factor at each parameter."""
    spread = []
    for index, name in learned(network, parameters):
        shape = getattr(parameters[index], name).shape
        own = values * network.blocks[index].like.rate_factor
        spread.append(own.view(1, -1, *[1] * (len(shape) - 2)).expand(shape).reshape(-1))
    return torch.cat(spread)


def select_flat(network: Network, flat: Tensor, like: Parameters, members: Sequence[int]) -> Tensor:
    """The flat vector of some members of an ensemble, as a copy; `like` are the parameters of the whole ensemble."""
    if flat.numel() == 0:
        return flat.clone()
    return pack(network, _take(unpack(network, flat, like), torch.as_tensor(list(members), device=flat.device)))


def join_flat(network: Network, flats: Sequence[Tensor], likes: Sequence[Parameters]) -> Tensor:
    """The flat vector of several ensembles joined into one; `likes` are their parameters."""
    if flats[0].numel() == 0:
        return flats[0].clone()
    return pack(network, concatenated([unpack(network, flat, like) for flat, like in zip(flats, likes, strict=True)]))


def ensemble_size(parameters: Parameters) -> int:
    """The number S of networks in the ensemble that has these parameters."""
    return present_weight(parameters).shape[1]


class Carry(NamedTuple):
    """The variables that an ensemble carries from batch to batch: parameters, optimizer, state and rule memory."""

    parameters: Parameters
    optimizer: OptimizerState
    state: State
    memory: tuple[Tensor, ...] = ()  # a learning rule's own, each (S, ...)


def select(network: Network, carry: Carry, members: Sequence[int]) -> Carry:
    """The carry of some members of an ensemble, in the given order, as copies."""
    index = torch.as_tensor(list(members), device=carry.optimizer.mean.device)
    old, like = carry.optimizer, carry.parameters
    mean, square = (select_flat(network, flat, like, members) for flat in (old.mean, old.square))
    return Carry(
        parameters=_take(carry.parameters, index),
        optimizer=OptimizerState(mean, square, old.updates),
        state=_take(carry.state, index),
        memory=tuple(tensor.index_select(0, index) for tensor in carry.memory),
    )


def join(network: Network, carries: Sequence[Carry]) -> Carry:
    """The carry of one ensemble that joins the members of several.

    Raises:
        ValueError: if they have made different numbers of updates.
    """
    if len({carry.optimizer.updates for carry in carries}) > 1:
        raise ValueError("ensembles that made different numbers of updates cannot be joined")
    likes = [carry.parameters for carry in carries]
    return Carry(
        parameters=concatenated(likes),
        optimizer=OptimizerState(
            join_flat(network, [carry.optimizer.mean for carry in carries], likes),
            join_flat(network, [carry.optimizer.square for carry in carries], likes),
            carries[0].optimizer.updates,
        ),
        state=concatenated([carry.state for carry in carries]),
        memory=tuple(torch.cat(parts) for parts in zip(*(carry.memory for carry in carries), strict=True)),
    )


def fit_batch(state: State, batch: int) -> State:
    """The state for another batch size, tiled or truncated, as in the reference implementation's evaluation."""
    have = state[0].u.shape[2]
    if have == batch:
        return state
    return _take(state, torch.arange(batch, device=state[0].u.device) % have, dim=2)


def to_plain(carry: Carry) -> dict[str, Any]:
    """The carry as nested lists and tensors, which `torch.load(weights_only=True)` can read."""
    return {
        "parameters": [list(block) for block in carry.parameters],
        "optimizer": list(carry.optimizer),
        "state": [list(block) for block in carry.state],
        "memory": list(carry.memory),
    }


def from_plain(plain: dict[str, Any]) -> Carry:
    """The carry made from nested lists and tensors: the inverse of `to_plain`."""
    return Carry(
        parameters=tuple(BlockParameters(*block) for block in plain["parameters"]),
        optimizer=OptimizerState(*plain["optimizer"]),
        state=tuple(BlockState(*block) for block in plain["state"]),
        memory=tuple(plain["memory"]),
    )


Blocks = TypeVar("Blocks", Parameters, State)
Nested = TypeVar("Nested")


def cloned(nested: Nested) -> Nested:
    """A copy of nested tuples in which every tensor is a copy."""
    copy: object = nested
    if isinstance(nested, Tensor):
        copy = nested.clone(memory_format=torch.contiguous_format)
    elif isinstance(nested, tuple):
        parts = [cloned(part) for part in nested]
        copy = type(nested)(*parts) if hasattr(nested, "_fields") else tuple(parts)
    copied: Nested = copy  # type: ignore[assignment]
    return copied


def _take(blocks: Blocks, index: Tensor, dim: int = 1) -> Blocks:
    return _merged([blocks], lambda tensors: tensors[0].index_select(dim, index))


def concatenated(parts: Sequence[Blocks]) -> Blocks:
    """The parameters or the state of one ensemble whose members are those of all parts, in their order."""
    return _merged(parts, lambda tensors: torch.cat(tensors, 1))


def _merged(parts: Sequence[Blocks], merge: Callable[[list[Tensor]], Tensor]) -> Blocks:
    """Blocks whose tensors are merged from the corresponding tensors of all parts; None stays None."""
    untyped: Any = tuple(
        type(same[0])(*(None if x[0] is None else merge(list(x)) for x in zip(*same, strict=True)))
        for same in zip(*parts, strict=True)
    )
    merged: Blocks = untyped
    return merged
