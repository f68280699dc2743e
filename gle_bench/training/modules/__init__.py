"""Which kind of training an experiment is."""

from gle_bench.protocols import OnlineModel
from gle_bench.training.module import BenchModule, Experiment
from gle_bench.training.offline import OfflineModule
from gle_bench.training.online import OnlineModule
from gle_bench.training.readout import ReadoutModule


def kind(experiment: Experiment) -> type[BenchModule]:
    """Online, offline by gradients, or offline in closed form."""
    if isinstance(experiment.config.network, OnlineModel):
        return OnlineModule
    return ReadoutModule if experiment.rule.closed_form else OfflineModule
