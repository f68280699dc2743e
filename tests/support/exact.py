"""The oracle of exact gradients, autograd through the network's own step, and the networks to compare it on."""

from collections.abc import Callable
from typing import Any

import torch
from networks import FIXED, make_network, make_parameters
from torch import Tensor
from torch.nn import functional

from gle_bench.dynamics.ensemble import learned, pack, unpack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State
from gle_bench.dynamics.step import Instant, step
from gle_bench.dynamics.window import Window
from gle_bench.words import Loss

BATCH, MEMBERS, STEPS = 4, 2, 25
TAUS: dict[str, Any] = {"learn_tau_m": True, "learn_tau_r": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "stacked": {"sizes": (3, 5, 5, 5, 4), **TAUS},  # two layers of one block
    "narrowing": {"sizes": (2, 6, 5, 3), "phis": ["identity", "softplus", "tanh"], "beta": 0.7, **TAUS},
    "fixed in between": {"sizes": (3, 5, 5, 4), "layers": [{}, {"connection": FIXED}, {}], **TAUS},
    "fixed below": {"sizes": (3, 5, 5, 4), "layers": [{"connection": FIXED}, {}, {}]},
    "without biases": {"sizes": (3, 5, 4), "layers": [{"bias": False}] * 2, "learn_tau_m": True},
    "one layer": {"sizes": (3, 4), "learn_tau_r": True},
}


def of(name: str, loss: Loss = "mse") -> tuple[Network, Parameters]:
    """A network of that name, and parameters of its members."""
    network = make_network(**NETWORKS[name], loss=loss)
    return network, make_parameters(network, members=MEMBERS)


def by_autograd(
    network: Network,
    parameters: Parameters,
    state: State,
    window: Window,
    seams: Seams = NO_SEAMS,
    between: Callable[[State], State] = lambda state: state,
) -> Parameters:
    """The gradient of the cost of a window from a given state, a mean over its steps and the batch.

    `between` is what the state passes through after each step, where something is to be taken from it.
    """
    size, members = state[0].u.shape[2], state[0].u.shape[1]
    flat = pack(network, parameters).requires_grad_()
    free, cost = unpack(network, flat, parameters), 0 * flat.sum()  # the cost of one step depends on nothing else
    for t in range(window.steps):
        now = window.at(t, members)
        result = step(network, free, state, now.inputs, plastic=False, errors=False, seams=seams.at(t))
        state, cost = between(result.state), cost + network.beta * _cost(network, result.signals.output, now)
    (gradient,) = torch.autograd.grad(cost / (size * window.steps), flat, materialize_grads=True)
    made, names = unpack(network, gradient, parameters), learned(network, parameters)
    return tuple(
        BlockParameters(*(x if (index, name) in names else None for name, x in block._asdict().items()))
        for index, block in enumerate(made)
    )


def _cost(network: Network, output: Tensor, now: Instant) -> Tensor:
    """Eq. 51 or 53 where the target counts, summed over members and batch."""
    assert now.target is not None
    mask = 1 if now.mask is None else now.mask
    if network.loss == "ce":
        return -(mask * now.target * functional.log_softmax(output, -1)).sum()
    return (mask * (now.target - output).square()).sum() / 2


def worst(gradients: Parameters, expected: Parameters) -> float:
    """The largest relative distance |g - g'| / |g'| of any tensor; what is None must be None in both."""
    distances = [0.0]
    for mine, theirs in zip(gradients, expected, strict=True):
        assert [x is None for x in mine] == [x is None for x in theirs]
        pairs = [(x, y) for x, y in zip(mine, theirs, strict=True) if x is not None and y is not None]
        assert all(y.norm() > 0 for _, y in pairs), "nothing to compare with"
        distances += [((x - y).norm() / y.norm()).item() for x, y in pairs]
    return max(distances)
