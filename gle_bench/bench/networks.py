"""The standard networks, which `glebench bench` measures and to which all statements on speed refer."""

from collections.abc import Callable
from typing import NamedTuple

from gle_bench.config import RunConfig
from gle_bench.contracts import OnlineModel, Shape
from gle_bench.dynamics.network import Network
from gle_bench.recipes.gsc import gsc_gle
from gle_bench.recipes.mnist1d import mnist1d_gle_15k, mnist1d_gle_42k


class Standard(NamedTuple):
    """A standard network as its task trains it: by GLE, with cross-entropy and Adam.

    Attributes:
        model: the model, which makes the network and its first weights.
        shape: the task's time steps of a sample, channels and classes.
        batch: number of samples in a batch.
        rate: learning rate.
        ensemble, gpu_ensemble: number of networks in an ensemble on the CPU, and on a GPU.
    """

    model: OnlineModel
    shape: Shape
    batch: int
    rate: float
    ensemble: int
    gpu_ensemble: int = 10

    def network(self) -> Network:
        """The network of the model, for the task's shape."""
        return self.model.network(self.shape, "ce")


def _standard(config: RunConfig, shape: Shape, ensemble: int) -> Standard:
    assert isinstance(config.network, OnlineModel)
    return Standard(config.network, shape, config.training.batch_size, config.training.rate, ensemble)


NETWORKS: dict[str, Callable[[], Standard]] = {
    "gle-15k": lambda: _standard(mnist1d_gle_15k(), Shape(360, 1, 10), ensemble=10),
    "gle-42k": lambda: _standard(mnist1d_gle_42k(), Shape(360, 1, 10), ensemble=10),
    # 32-750-750-750-12, five populations (1,160,262 parameters); a batch of one-second clips has 820 steps.
    "gsc": lambda: _standard(gsc_gle(), Shape(820, 32, 12), ensemble=2),
}
