"""The structure of a GLE network: its layers, and the blocks of layers that are updated together.

Layers that follow each other with one shape form a *block*: K layers side by side in one tensor, updated by one batched
product. This is exact, because all layers read step n and then switch together. A lone layer is a block with K = 1, and
so is every layer of an ordered network, whose layers read what the one below or above has just computed.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from math import isfinite
from typing import get_args

from gle_bench.dynamics.activations import activation
from gle_bench.dynamics.connections import Connection, Dense, Relay
from gle_bench.errors import UsageError, look_up
from gle_bench.words import Integrator, Loss, Prospective


@dataclass(frozen=True)
class Layer:
    """One layer of neurons and the connection that drives it.

    Attributes:
        inputs: N_in, the neurons or channels below.
        neurons: N.
        tau_m, tau_r: membrane and prospective time constants, one a neuron, or one for all.
        phi: name of the activation.
        connection: the connection from the layer below; `Dense(plastic=False)` has fixed weights. A layer without
            neurons, such as pooling, has a relay here; `relay_layer` makes one.
        bias: whether the neurons have biases.
        gamma: coupling of the error into the membrane (section 5.6.1).
        prospective_errors: False: v = e = the instantaneous error, as in Fig. 5's "BP".
        forgets: True: its state starts at zero in every batch, whatever the rest of the network does.
        rate_factor: factor on the learning rate of all parameters of the layer.

    Raises:
        UsageError: numbers out of range, sizes or time constants that do not fit, a relay with neurons.
    """

    inputs: int
    neurons: int
    tau_m: tuple[float, ...]
    tau_r: tuple[float, ...]
    phi: str = "tanh"
    connection: Connection | Relay = field(default_factory=Dense)
    bias: bool = True
    gamma: float = 0.0
    prospective_errors: bool = True
    forgets: bool = False
    rate_factor: float = 1.0

    def __post_init__(self) -> None:
        activation(self.phi)
        for name in ("inputs", "neurons"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)} of a layer must be at least 1.")
        if not (self.rate_factor >= 0 and isfinite(self.rate_factor)):
            raise UsageError(f"rate_factor = {self.rate_factor} of a layer must be a number from 0 on; 1 is neutral.")
        sizes = self.connection.sizes
        if sizes is not None and sizes != (self.inputs, self.neurons):
            raise UsageError(
                f"inputs = {self.inputs} and neurons = {self.neurons} of a layer do not fit {self.connection}, "
                f"which joins {sizes[0]} to {sizes[1]}; give these."
            )
        if isinstance(self.connection, Relay):
            self._check_relay()
            return
        for name in ("tau_m", "tau_r"):
            taus = getattr(self, name)
            if len(taus) not in (1, self.neurons):
                raise UsageError(f"{name} has {len(taus)} values for {self.neurons} neurons; give 1 or {self.neurons}.")

    def _check_relay(self) -> None:
        for name, absent in (("tau_m", ()), ("tau_r", ()), ("phi", "identity"), ("bias", False), ("gamma", 0)):
            if getattr(self, name) != absent:
                raise UsageError(
                    f"{name} = {getattr(self, name)} of a layer connected by {type(self.connection).__name__}, which "
                    f"has no neurons of its own, must be {absent}; relay_layer makes such a layer."
                )


def relay_layer(relay: Relay) -> Layer:
    """The layer of a relay, such as pooling, which has no neurons of its own."""
    inputs, neurons = relay.sizes
    return Layer(inputs, neurons, (), (), "identity", relay, bias=False)


@dataclass(frozen=True)
class Network:
    """A stack of layers with its time step and cost.

    Attributes:
        layers: from the input to the output.
        dt: time step, in the unit of the time constants; none may be shorter.
        loss: 'ce', softmax cross-entropy (Eqs. 53, 54), or 'mse' (Eq. 51).
        beta: nudging strength.
        learn_tau_m, learn_tau_r: whether the time constants learn (Eqs. 23, 24).
        own_taus: whether each neuron has time constants of its own, which its parameters hold, instead of its layer's.
        tau_range: range to which learned time constants are clamped after each update.
        integrator: 'euler' is the reference's step (`network.step`): a delay of dt lies between layers, in both
            directions. 'exponential' and 'rk4' traverse the layers in order, without delays (`ordered.ordered_step`).
        prospective: what looks ahead. 'potential' is GLE: r = phi(D^+{u}). 'rate' is Neuronal Least Action:
            r = D^+{phi(u)}, which is phi(u) + tau_r phi'(u) u_dot in the limit of small dt, for 'exponential' only.

    Raises:
        UsageError: widths that do not fit, a time constant below dt, an empty range, nothing but relays, an unknown
            integrator, one without delays where errors move a membrane or layers are relays, or prospective rates with
            an integrator other than 'exponential'.
    """

    layers: tuple[Layer, ...]
    dt: float
    loss: Loss = "ce"
    beta: float = 1.0
    learn_tau_m: bool = False
    learn_tau_r: bool = False
    own_taus: bool = False
    tau_range: tuple[float, float] = (0.0, float("inf"))
    integrator: Integrator = "euler"
    prospective: Prospective = "potential"

    def __post_init__(self) -> None:
        if not self.layers:
            raise UsageError("layers is empty; a network needs at least one.")
        for below, above in zip(self.layers, self.layers[1:], strict=False):
            if below.neurons != above.inputs:
                raise UsageError(f"inputs = {above.inputs} of a layer must equal the {below.neurons} neurons below it.")
        for number, layer in enumerate(self.layers, 1):
            for name, taus in (("tau_m", layer.tau_m), ("tau_r", layer.tau_r)):
                if taus and not self.dt <= min(taus):
                    raise UsageError(
                        f"dt = {self.dt} must not exceed {name} = {min(taus)} of layer {number}; "
                        f"lower dt or raise {name}."
                    )
        if all(isinstance(layer.connection, Relay) for layer in self.layers):
            raise UsageError("every layer is a relay, such as pooling; a network needs one that has neurons.")
        if self.tau_range[0] > self.tau_range[1]:
            raise UsageError(f"tau_range = {self.tau_range} is empty; give (lowest, highest).")
        look_up("integrator", self.integrator, dict.fromkeys(get_args(Integrator), ""))
        look_up("prospective", self.prospective, dict.fromkeys(get_args(Prospective), ""))
        if self.prospective == "rate" and self.integrator != "exponential":
            # A membrane undoes the look-ahead of the rates below it if it receives them at once, by the same step.
            raise UsageError(
                f"prospective = 'rate' is derived for integrator = 'exponential', not '{self.integrator}'; set that."
            )
        for number, layer in enumerate(self.layers, 1):
            if self.ordered and layer.gamma != 0:
                # r drives e, e would drive u, and the prospective r follows u at once: a loop without any delay.
                raise UsageError(
                    f"gamma = {layer.gamma} of layer {number} needs the delay that integrator = '{self.integrator}' "
                    "has not; set gamma to 0, or integrator to 'euler'."
                )
            if self.ordered and isinstance(layer.connection, Relay):
                raise UsageError(
                    f"layer {number} is a relay, such as pooling, which integrator = '{self.integrator}' does not "
                    "know; set integrator to 'euler'."
                )

    @property
    def ordered(self) -> bool:
        """Whether the layers are computed one after the other in each step, without delays between them."""
        return self.integrator != "euler"

    @cached_property
    def blocks(self) -> "tuple[Block, ...]":
        """The layers, grouped into runs that update as one batched product; each alone where they are ordered."""
        blocks: list[Block] = []
        for _, run in groupby(enumerate(self.layers), key=lambda numbered: self._block_key(*numbered)):
            numbers, layers = zip(*run, strict=True)
            errors = self._needs_errors(numbers[0])
            feeds_back = len(layers) > 1 or (bool(blocks) and blocks[-1].has_errors)
            blocks.append(Block(layers, first=numbers[0], has_errors=errors, feeds_back=errors and feeds_back))
        return tuple(blocks)

    def _block_key(self, number: int, layer: Layer) -> tuple[object, ...]:
        alone = replace(layer, tau_m=(self.dt,), tau_r=(self.dt,)) if layer.tau_m else layer
        return alone, self._needs_errors(number), number if self.ordered else None

    def _needs_errors(self, number: int) -> bool:
        """Whether this layer or one below learns from errors or is moved by them."""
        return any(layer.connection.plastic or layer.gamma != 0 for layer in self.layers[: number + 1])

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].neurons

    @property
    def stages(self) -> int:
        """The number of forward passes in one step of the integrator."""
        return 4 if self.integrator == "rk4" else 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one step's forward passes of one sample, without the neurons' updates."""
        connections = [(layer, c) for layer in self.layers if not isinstance(c := layer.connection, Relay)]
        return self.stages * sum(c.macs(layer.inputs, layer.neurons) for layer, c in connections)


@dataclass(frozen=True)
class Block:
    """K layers of one shape that follow each other, the first of them layer number `first`.

    Attributes:
        has_errors: whether the block needs errors, because parameters learn or errors move membranes here or below.
        feeds_back: whether the block's W^T e is needed by a layer below.
    """

    layers: tuple[Layer, ...]
    first: int
    has_errors: bool
    feeds_back: bool

    @property
    def like(self) -> Layer:
        return self.layers[0]

    @cached_property
    def relay(self) -> Relay | None:
        """The relay, if the block consists of one layer without neurons; else None."""
        return self.like.connection if isinstance(self.like.connection, Relay) else None

    @cached_property
    def connection(self) -> Connection:
        """The connection that drives the block's neurons."""
        assert not isinstance(self.like.connection, Relay), "a relay has no neurons that it could drive"
        return self.like.connection


def unlike_dense(network: Network) -> str | None:
    """The first layer whose connection is not dense, in words; None: there is none."""
    for number, layer in enumerate(network.layers, 1):
        if type(layer.connection) is not Dense:
            return f"layer {number}, connected by {type(layer.connection).__name__},"
    return None
