"""The number of learned parameters of a configuration's network."""

from gle_bench.config import RunConfig
from gle_bench.contracts.model import OfflineModel, OnlineModel
from gle_bench.contracts.task import Task
from gle_bench.errors import GleBenchError


def parameter_count(task: Task, config: RunConfig) -> int:
    """The number of learned parameters of the configuration's network, without building the whole experiment.

    Raises:
        GleBenchError: if the model is neither online nor offline.
    """
    shape = task.shape(config.options)
    if isinstance(config.network, OnlineModel | OfflineModel):
        count = config.network.learned_parameters(shape)
        if count is not None:
            return count
    return counted(task, config)


def counted(task: Task, config: RunConfig) -> int:
    """The number of learned parameters of the configuration's network, which is built for it. Raises the same."""
    shape = task.shape(config.options)
    if isinstance(config.network, OnlineModel):
        from gle_bench.dynamics.ensemble import pack

        network = config.network.network(shape, task.learned_by(config.network).loss)
        return pack(network, config.network.initialise(network, 0)).numel()
    if isinstance(config.network, OfflineModel):
        module = config.network.build(shape, 0)
        return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    raise GleBenchError(f"Model '{config.model}' is neither an OnlineModel nor an OfflineModel.")
