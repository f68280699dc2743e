"""The options of the local learning rules, which select the equations of a network's step, and those of `bptt`
and `adjoint`.

The defaults together give `gle`, the rule of the paper. The equations are in `gle_bench.dynamics.local`.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, create_model, model_validator

from gle_bench.config import Positive, RuleOptions
from gle_bench.words import DelayLine, ErrorPath, LearningSignal, OwnError, SentError

# The options that one choice alone reads: name -> that choice and its value.
USED_BY: Final = {
    "gain_time": ("sent", "gain"),
    "lowpass_tau": ("sent", "lowpass"),
    "clip": ("sent", "clipped"),
    "decay": ("feedback", "kolen-pollack"),
}


class LocalOptions(RuleOptions):
    """The options that define a local learning rule: its errors, updates, feedback weights and delays.

    Attributes:
        sent: the error that a layer passes down. 'gle' is e = D^+_{tau_m} I^-_{tau_r} {e_inst}, 'instantaneous' is
            e_inst itself, 'gain' is e times <e_inst^2> / <e^2>, 'lowpass' is I^- of e, 'clipped' is e within bounds.
        own: the factors of a layer's own update. 'sent' multiplies the error that the layer sends by the presynaptic
            rate (Eqs. 21 to 24); 'trace' multiplies e_inst by the rate filtered by the neuron's own membrane.
        feedback: the weights that carry errors down. 'transpose' is W^T; 'random' are fixed random weights B;
            'broadcast' sends the output's error to every layer by random weights; 'kolen-pollack' are weights B that
            learn by the gradient of W and decay as W does, so that B approaches W.
        delay: 'presynaptic' delays rates until the error that they caused arrives; 'full' delays slopes phi', too.
        signal: the gain of an instantaneous error from layer to layer. 'steady' is 1, the gain of constant errors;
            'jacobian' is tau_r / tau_m, the derivative within a time step, for sent = instantaneous with own = trace.
        gain_time: time constant of the averages <.> of sent = gain, in the unit of the network's time constants.
        lowpass_tau: time constant of the filter of sent = lowpass, in the same unit.
        clip: the largest absolute error under sent = clipped.
        decay: the decay under feedback = kolen-pollack: each update multiplies W and B by 1 - rate * decay.
    """

    sent: SentError = "gle"
    own: OwnError = "sent"
    feedback: ErrorPath = "transpose"
    delay: DelayLine = "none"
    signal: LearningSignal = "steady"
    gain_time: Positive = 10.0
    lowpass_tau: Positive = 1.0
    clip: Positive = 1.0
    decay: Positive = 0.1

    @model_validator(mode="after")
    def _signal_of_instantaneous_errors(self) -> "LocalOptions":
        if self.signal == "jacobian" and (self.sent, self.own) != ("instantaneous", "trace"):
            raise ValueError(
                f"signal = jacobian needs errors without filters, not sent = {self.sent} with own = {self.own}; "
                "set signal = steady, or sent = instantaneous and own = trace"
            )
        return self

    @property
    def error_filters(self) -> bool:
        """Whether errors that are sent down depend on the time constants of error neurons."""
        return self.sent != "instantaneous" or self.signal == "jacobian"

    @property
    def error_sent(self) -> bool:
        """Whether anything depends on the error that a layer passes down."""
        return (self.feedback, self.own) != ("broadcast", "trace")

    @property
    def idle(self) -> str | None:
        """Why an option that differs from its default changes nothing, as a clause that ends with the cure; or None."""
        for name, (choice, value) in USED_BY.items():
            if (own := getattr(self, choice)) != value and self._differs(name):
                acts = f"{name} = {getattr(self, name)} is of {choice} = {value}"
                return f"{acts}, and changes nothing with {choice} = {own}; leave it out, or set {choice} = {value}"
        for name in ("sent", "signal"):
            if not self.error_sent and self._differs(name):
                return (
                    f"{name} = {getattr(self, name)} changes nothing, because feedback = broadcast with own = trace "
                    "passes no error from layer to layer; leave it out, or set feedback or own"
                )
        return None

    def _differs(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @classmethod
    def with_defaults(cls, **defaults: Any) -> "type[LocalOptions]":
        """A class with the same options and other defaults."""
        fields = {name: (cls.model_fields[name].annotation, value) for name, value in defaults.items()}
        made: type[LocalOptions] = create_model(cls.__name__, __base__=cls, **fields)  # type: ignore[call-overload]
        return made


PAPER = LocalOptions()


def _window(value: Any) -> Any:
    if value != "sample" and (type(value) is not int or value < 1):
        raise ValueError("must be a number of steps from 1 on, or 'sample'")
    return value


class BPTTOptions(RuleOptions):
    """The options of the learning rule `bptt`.

    Attributes:
        window: the number of steps of a window, at the end of which the weights change; 'sample': a whole sample.
        nudged: whether instantaneous errors move the membranes of layers with gamma, as in the paper's Fig. 5. The
            gradient leaves this path out, which is of the order of beta gamma.
    """

    window: Annotated[int | Literal["sample"], BeforeValidator(_window)] = "sample"
    nudged: bool = False


def _lookahead(value: Any) -> Any:
    if value != "sample" and (type(value) is not int or value < 0):
        raise ValueError("must be a number of steps from 0 on, or 'sample'")
    return value


class AdjointOptions(RuleOptions):
    """The options of the learning rule `adjoint`.

    Attributes:
        scheme: 'discrete', the exact adjoint of the network's step; 'paper', the paper's Algorithm 2, which
            approaches it to first order in dt.
        lookahead: the number of future steps that the error of a step takes into account; 'sample': all that follow.
    """

    scheme: Literal["discrete", "paper"] = "discrete"
    lookahead: Annotated[int | Literal["sample"], BeforeValidator(_lookahead)] = "sample"
