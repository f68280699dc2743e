"""The standard networks, which `glebench bench` measures and to which all statements on speed refer."""

from collections.abc import Callable
from typing import NamedTuple

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


def _mnist1d_15k() -> Standard:
    return Standard(_online(mnist1d_gle_15k().network), Shape(360, 1, 10), batch=100, rate=1e-3, ensemble=10)


def _mnist1d_42k() -> Standard:
    return Standard(_online(mnist1d_gle_42k().network), Shape(360, 1, 10), batch=100, rate=5e-4, ensemble=10)


def _gsc() -> Standard:
    """The standard network of Google Speech Commands: 32-750-750-750-12, five populations, 1,160,262 parameters."""
    return Standard(_online(gsc_gle().network), Shape(820, 32, 12), batch=256, rate=1.953e-5, ensemble=2)


def _online(model: object) -> OnlineModel:
    assert isinstance(model, OnlineModel)
    return model


NETWORKS: dict[str, Callable[[], Standard]] = {"gle-15k": _mnist1d_15k, "gle-42k": _mnist1d_42k, "gsc": _gsc}
