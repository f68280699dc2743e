"""The contracts: the interfaces that every task, model, learning rule and batch of data fulfils.

Shapes, everywhere:

    S networks (ensemble)   B batch   T time steps   N neurons   C channels or classes
    inputs (S|1, B, T, C_in)   targets (S|1, B) classes or (S|1, B, T, C_out) signals
    u, v, r, e   (S, B, N)     W (S, N_out, N_in)   b, tau_m, tau_r (S|1, N)

Inside the dynamics K layers of one shape lie side by side: W (K, S, N_out, N_in), b and the time constants
(K, S, 1, N), the state (K, S, B, N); see `gle_bench.dynamics.state`.

Importing PyTorch takes a second, and tables and lists do not need it. Our own modules that declare tasks, models and
rules therefore import it only where they compute. Plugins may import it at the top of a module.
"""

from gle_bench.config import ModelConfig, RuleOptions
from gle_bench.contracts.data import Batch, Data, Shape, Split, TensorSplit
from gle_bench.contracts.model import OfflineModel, OnlineModel, Pair, RateGroup, Refused, Stepwise, Traced, footing
from gle_bench.contracts.results import Metric, Published, Setting
from gle_bench.contracts.task import Task, cross_entropy, mean_over_time, signal_errors
from gle_bench.dynamics.rule import ClosedFormRule, Footing, GradientRule, LearningRule, OnlineRule

__all__ = [
    "Batch",
    "ClosedFormRule",
    "Data",
    "Footing",
    "GradientRule",
    "LearningRule",
    "Metric",
    "ModelConfig",
    "OfflineModel",
    "OnlineModel",
    "OnlineRule",
    "Pair",
    "Published",
    "RateGroup",
    "Refused",
    "RuleOptions",
    "Setting",
    "Shape",
    "Split",
    "Stepwise",
    "Task",
    "TensorSplit",
    "Traced",
    "cross_entropy",
    "footing",
    "mean_over_time",
    "signal_errors",
]
