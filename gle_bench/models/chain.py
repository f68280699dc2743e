"""Chains of single neurons without biases, whose weights and membrane time constants learn (Fig. 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gle_bench.config import Positive
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.models.initial import seeded
from gle_bench.words import Activation

if TYPE_CHECKING:
    from torch import Tensor

    from gle_bench.dynamics.network import Network
    from gle_bench.dynamics.state import Parameters
    from gle_bench.words import Loss

NEURONS: Final = 2  # of the chain, a layer each
ROLLS: Final = 200  # steps by which the input of a sample is shifted at most


class Draws(NamedTuple):
    """The random numbers of a seed: initial weights and time constants of the student, and the shifts of the inputs."""

    weights: Tensor  # (2,)
    tau_m: Tensor  # (2,)
    rolls: Tensor  # (samples,), int64


def draws(seed: int, samples: int) -> Draws:
    """The draws in the order of the released code: four modules that are not used, time constants, weights, shifts."""
    import torch
    from torch import nn

    with seeded(seed):
        for _ in range(2 * NEURONS):  # those of the student and of the teacher, which are overwritten
            nn.Linear(1, 1, bias=False)
        tau_m, weights = (torch.cat([torch.rand(1) for _ in range(NEURONS)]) for _ in range(2))
        rolls = torch.tensor([int(torch.randint(0, ROLLS, (1,))) for _ in range(samples)], dtype=torch.int64)
    return Draws(weights, tau_m, rolls)


class Chain(OnlineModel):
    """A chain of two neurons, without biases, whose weights and membrane time constants learn.

    Both start from numbers that are uniform on (0, 1), drawn from the seed; time constants start at `tau_lowest` or
    above.

    Attributes:
        tau_r: prospective time constant, which does not learn.
        tau_lowest: the lowest value of a membrane time constant, to which it is clamped after every update.
        dt: time step; it must be that of the task.
        beta, gamma: nudging strength; coupling of errors into the membrane.
        phi: activation of both neurons.
    """

    tau_r: Positive = 0.1
    tau_lowest: Positive = 0.1
    dt: Positive = 0.01
    beta: float = 0.01
    gamma: float = 1.0
    phi: Activation = "softplus"

    def network(self, shape: Shape, loss: Loss) -> Network:
        """The network, with time constants of 1; the parameters hold those that are drawn from a seed."""
        from gle_bench.dynamics.network import Layer, Network

        neuron = Layer(1, 1, (max(1.0, self.tau_lowest),), (self.tau_r,), self.phi, bias=False, gamma=self.gamma)
        lowest = max(self.tau_lowest, self.dt)
        return Network(
            (neuron,) * NEURONS, self.dt, loss, self.beta, learn_tau_m=True, tau_range=(lowest, float("inf"))
        )

    def initialise(self, network: Network, seed: int) -> Parameters:
        from gle_bench.dynamics.state import constrain

        drawn = draws(seed, 0)
        parameters = self.given(network, drawn.weights, drawn.tau_m)
        constrain(network, parameters)
        return parameters

    def given(self, network: Network, weights: Tensor, tau_m: Tensor) -> Parameters:
        """The parameters with these weights and membrane time constants, (2,) each."""
        from gle_bench.dynamics.state import initial_parameters

        (block,) = initial_parameters(network, [weight.view(1, 1) for weight in weights], [None] * NEURONS)
        return (block._replace(tau_m=tau_m.clone().view(NEURONS, 1, 1, 1)),)  # one block, since the layers are alike

    def named(self, network: Network, parameters: Parameters) -> dict[str, Tensor]:
        named: dict[str, Tensor] = {}
        for block, p in zip(network.blocks, parameters, strict=True):
            for name, values in (("w", p.weight), ("tau", p.tau_m)):
                assert values is not None
                named |= {f"{name}{block.first + k}": own.flatten(1)[:, 0] for k, own in enumerate(values)}
        return dict(sorted(named.items(), key=lambda item: item[0][0] != "w"))
