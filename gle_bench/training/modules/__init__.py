"""Which kind of training an experiment is."""

from gle_bench.contracts import OnlineModel
from gle_bench.training.modules.base import BenchModule, Experiment
from gle_bench.training.modules.closed_form import ReadoutModule
from gle_bench.training.modules.gradient import OfflineModule
from gle_bench.training.modules.online import OnlineModule


def kind(experiment: Experiment) -> type[BenchModule]:
    """Online, offline by gradients, or offline in closed form."""
    if isinstance(experiment.config.network, OnlineModel):
        return OnlineModule
    return ReadoutModule if experiment.rule.closed_form else OfflineModule
