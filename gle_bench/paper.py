"""The tables and figures of the paper (arXiv:2403.16933): their tasks, their models, and what its Table 1 prints."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gle_bench.config import RateNoiseConfig
from gle_bench.contracts import Setting

SETTINGS_TABLE: Final = "1"  # the number of the table of the networks' settings
RESULTS: Final = {"2": "mnist1d", "3": "gsc"}  # {number of a table of results: its task}
SUITES: Final = {  # {name of the suite that runs what a table or a figure shows: summary}
    "table2": "MNIST-1D: every published model, under both protocols",
    "table3": "Google Speech Commands: every published model",
    "figure8": "figures 8d to 8g: MNIST-1D, Google Speech Commands and CIFAR-10",
}


class TrainingPanel(NamedTuple):
    """A panel of the paper's Figure 8, which shows models of one task, in the order of their colours.

    Attributes:
        bars: whether the paper shows final results as bars; we then show training beside them.
    """

    title: str
    task: str
    models: tuple[str, ...]
    bars: bool = False


class ForecastFigure(NamedTuple):
    """The paper's Figure 10 b-d: a model's forecasts at stages of training (in epochs), and its error over training."""

    task: str
    model: str
    stages: tuple[int, ...]


class OperatorFigure(NamedTuple):
    """A figure of the paper that needs no runs: phases and gains of operators or neurons in closed form."""

    title: str


class Moment(NamedTuple):
    """A stretch of time of the chain's learning in which Figures 5b and 14b show rates and errors.

    Attributes:
        learned: whether the parameters are those of that time; else they are the initial ones.
        teacher_tau: whether the time constants are the teacher's.
    """

    title: str
    begin: float
    end: float
    learned: bool = True
    teacher_tau: bool = False


class ChainFigure(NamedTuple):
    """The paper's Figure 5, 14 or 15: rates and errors at moments of learning; parameters and the loss over time.

    Attributes:
        noise: the disturbances of the runs.
    """

    title: str
    task: str
    moments: tuple[Moment, ...]
    noise: tuple[RateNoiseConfig, ...] = ()


class SmallNetsFigure(NamedTuple):
    """The paper's Figure 6: signals and spectra of errors before, during and late in learning; weights and the loss.

    Attributes:
        during: the weights from the input while learning, at which spectra are shown.
        late: the time at whose weights signals are shown.
    """

    title: str
    task: str
    during: tuple[float, float]
    late: float


BEFORE_AFTER: Final = (Moment("before learning", 32.0, 38.0, learned=False), Moment("after learning", 2972.0, 2978.0))
# Ten per cent of the input's amplitude on all rates; the paper does not say how long noise is correlated.
NOISE: Final = (RateNoiseConfig(kind="rate-noise", std=0.1, correlation=20),)
RIGHT_TAU: Final = Moment("correct τ, wrong w", 12.0, 18.0, learned=False, teacher_tau=True)
FIGURE_8: Final = {
    "8d": TrainingPanel("MNIST-1D", "mnist1d", ("gle-42k", "gle-15k", "mlp-published", "tcn", "gru")),
    "8e": TrainingPanel("Google Speech Commands", "gsc", ("gle", "mlp", "tcn", "gru", "lstm")),
    "8f": TrainingPanel("LagNet on MNIST-1D", "mnist1d", ("lagnet-le", "mlp-0", "tcn-0", "gru-0")),
    "8g": TrainingPanel("CIFAR-10 in the LE limit", "cifar10", ("le", "bp", "bp-matched"), bars=True),
}
Figure = TrainingPanel | ForecastFigure | OperatorFigure | ChainFigure | SmallNetsFigure
FIGURES: Final[Mapping[str, Figure]] = {
    "3": OperatorFigure("GLE and the adjoint method (AM) in Fourier space"),
    "5": ChainFigure("learning in a chain of two neurons", "chain", BEFORE_AFTER),
    "6": SmallNetsFigure("errors and learning in a small hierarchical network", "small-nets", (-0.07, 1.0), 500.0),
    **FIGURE_8,
    "10": ForecastFigure("mackey-glass", "gle", (40, 138)),
    "11": OperatorFigure("phase and gain of the errors against τr/τm"),
    "12": OperatorFigure("adaptation makes neurons prospective"),
    "14": ChainFigure("learning in a chain of two neurons, extended", "chain", (RIGHT_TAU, *BEFORE_AFTER)),
    "15": ChainFigure("learning in a chain of two neurons with noise on all rates", "chain", BEFORE_AFTER, NOISE),
}
SKETCHES: Final[Mapping[str, str]] = {  # {number of a figure that holds no data: what it shows}
    "1": "what a deep synapse must know at a moment to learn: all future states (BPTT), the past effects of all "
    "synapses (RTRL), or present states alone (GLE)",
    "2": "how the adjoint method records a whole trajectory before it lowers the cost, and how GLE lowers it at every "
    "moment",
    "4": "the cortical microcircuit of GLE: representation neurons with error neurons beside them, and the lateral "
    "connections between both",
    "7": "chains of neurons with different time constants, which give the layers above a set of windows onto the past "
    "of one input",
    "13": "the architectures of the networks: GLE for Speech Commands, GLE for MNIST-1D, LagNet, and the convolutional "
    "network of the LE limit (the journal prints it as Figure 9)",
}


class Column(NamedTuple):
    """A column of Table 1, named by our task and our model for the network that it describes."""

    task: str
    model: str
    heading: str


COLUMNS: Final = (
    Column("mnist1d", "gle-15k", "MNIST1D GLE (15k)"),
    Column("mnist1d", "gle-42k", "MNIST1D GLE (42k)"),
    Column("mnist1d", "lagnet-le", "MNIST1D LagNet + LE"),
    Column("gsc", "gle", "GSC GLE"),
)
_KEYS: Final = tuple(f"{column.task}/{column.model}" for column in COLUMNS)
_15K, _42K, _LAGNET, _GSC = _KEYS

_ORDER: Final = "The populations stand in the released code's order; the paper lists the reverse."
_RATE: Final = (
    "Ours is what reaches Adam, by the released code; the paper's number times dt, as that code scales it, is twice "
    "as much."
)
_RATE_LAGNET: Final = "Ours is what reaches Adam: the paper's number times dt."
_RATE_GSC: Final = (
    "Ours is what reaches Adam, by the released code's default 5e-4 and its formula, which makes 1.95e-4 of the "
    "paper's number. Which of them gave the published curves is unknown."
)
_LINEAR: Final = "The first hidden layer is linear, as in the released code (--set phi1=tanh for the paper's)."
_TAU: Final = "Without effect on the forward dynamics as long as both are equal; the released code has 2."
_SAMPLE: Final = "41 frames of the mel spectrum of 20 steps each."
_EPOCHS: Final = "The paper's Table 3 says 320, the README of the released code 420."
_LAGS: Final = (
    "LagNet: a single input projects onto four fixed layers of ten neurons, with membrane time constants from dt = 0.2 "
    "to 1.8 and tau_r = dt (the paper's text: 0)."
)


def _all(name: str, printed: str, notes: Mapping[str, str] | None = None) -> Setting:
    return Setting(name, dict.fromkeys(_KEYS, printed), notes or {})


def _each(name: str, *printed: str, notes: Mapping[str, str] | None = None) -> Setting:
    return Setting(name, dict(zip(_KEYS, printed, strict=True)), notes or {})


SETTINGS: Final = (
    _each("dt", "0.2", "0.2", "0.2", "0.05"),
    _each("T", *["72 = 360 dt"] * 3, "41 mfs/mfcc = 820 dt", notes={_GSC: _SAMPLE}),
    _each(
        "tau_m",
        *("[1.2, 1.2, 0.6]", "[1.2, 1.2, 0.6]", "1.0", "[2.4, 0.6, 1.2, 1.8, 2.4]"),
        notes={_15K: _ORDER, _42K: _ORDER, _LAGNET: _TAU},
    ),
    _each(
        "tau_r",
        *("[1.2, 0.2, 0.2]", "[1.2, 0.2, 0.2]", "1.0", "[2.4, 0.1, 0.1, 0.1, 0.1]"),
        notes={_15K: _ORDER, _42K: _ORDER, _LAGNET: _TAU},
    ),
    _all("activation", "tanh", dict.fromkeys((_15K, _42K, _GSC), _LINEAR)),
    _all("output activation", "softmax"),
    _all("cost", "cross-entropy"),
    _each("architecture", "GLE FC", "GLE FC", "LagNet + LE-MLP", "GLE FC", notes={_LAGNET: _LAGS}),
    _each("hidden layers", "6", "6", "2", "3"),
    _each("input size", "1", "1", "10", "32"),
    _each(
        "hidden layer size",
        *("17 + 18 + 18", "30 + 30 + 30", "60 + 60", "150 + 150 + 150 + 150 + 150"),
        notes={_15K: _ORDER},
    ),
    _each("output size", "10", "10", "10", "12"),
    _all("beta", "1.0"),
    _all("gamma", "0.0"),
    _each(
        "learning rate",
        *("0.01", "0.005", "0.005", "0.005"),
        notes={_15K: _RATE, _42K: _RATE, _LAGNET: _RATE_LAGNET, _GSC: _RATE_GSC},
    ),
    _all("initial weights, biases", "U(-√k, √k), k = 1/fan-in"),
    _all("optimizer", "Adam"),
    _all("scheduler", "ReduceOnPlateau"),
    _each("scheduler: gamma, patience", "0.5, 2", "0.5, 2", "0.5, 2", "0.9, 3"),
    _each("batch size", "100", "100", "100", "256"),
    _each("epochs", "150", "150", "150", "200", notes={_GSC: _EPOCHS}),
    _each("training samples", "4,000", "4,000", "4,000", "36,923"),
    _each("validation samples", "1,000", "1,000", "1,000", "4,445"),
    _all("seeds", "10"),
)
