"""The closed vocabularies of glebench: the words that a setting, an option or a record's field may hold."""

from typing import Literal, get_args

Budget = Literal["smoke", "short", "paper"]  # how long a run learns
Protocol = Literal["paper", "clean"]  # what the paper did, flaws included; or a validation split that is held out
Precision = Literal["float32", "float64"]
Selection = Literal["last", "best"]  # the evaluation that counts: the last one, or the best one
RunStatus = Literal["running", "done", "diverged", "failed", "interrupted"]
Rerun = Literal["missing", "failed", "always"]  # the seeds that are run: without a record, or failed too, or all
WandbMode = Literal["auto", "online", "offline", "off"]
TableFormat = Literal["md", "tex", "html", "csv"]
Origin = Literal[
    "mine", "published-records"
]  # whose runs: those in the user's folder, or those that come with glebench

Loss = Literal["ce", "mse"]  # cross-entropy (Eq. 53), or half the squared error (Eq. 51)
Integrator = Literal["euler", "exponential", "rk4"]
Prospective = Literal["potential", "rate"]  # what looks ahead: a rate is phi(D+{u}), or D+{phi(u)}
Activation = Literal["identity", "tanh", "softplus", "relu", "hard-sigmoid"]
OptimizerName = Literal["adam", "sgd"]
Average = Literal["none", "epoch"]  # the weights that are evaluated beside those that train
Sampling = Literal["once", "replacement", "balanced"]
StateReset = Literal["never", "batch", "epoch"]  # when the state of an online model starts at zero
Direction = Literal["higher", "lower"]  # which values of a metric are better
# The four choices that make a local learning rule, and the fifth of its instantaneous errors.
SentError = Literal["gle", "instantaneous", "gain", "lowpass", "clipped"]  # the error that a layer passes down
OwnError = Literal["sent", "trace"]  # what a layer learns by: the error it sends, or a trace of presynaptic rates
ErrorPath = Literal["transpose", "random", "broadcast", "kolen-pollack"]  # the weights that carry errors down
ErrorTaus = Literal["shared", "independent"]  # noise on time constants of error neurons, beside that of their neurons
DelayLine = Literal["none", "presynaptic", "full"]  # signals delayed to meet their error: none, rates, rates and slopes
LearningSignal = Literal["steady", "jacobian"]  # gain of an instantaneous error from layer to layer: 1, or tau_r/tau_m
SpreadKind = Literal["population sd", "sample sd", "sem", "none"]
# Why a result must not be compared with a published one; "other" is what a record says in words of its own.
MarkKind = Literal["budget", "data", "rule", "setting", "version", "code", "other"]
PluginPart = Literal["task", "model", "rule"]  # what a plugin may supply to a run

BUDGETS: tuple[Budget, ...] = get_args(Budget)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
SELECTIONS: tuple[Selection, ...] = get_args(Selection)
ORIGINS: tuple[Origin, ...] = get_args(Origin)
RERUNS: tuple[Rerun, ...] = get_args(Rerun)
WANDB_MODES: tuple[WandbMode, ...] = get_args(WandbMode)
AVERAGES: tuple[Average, ...] = get_args(Average)
