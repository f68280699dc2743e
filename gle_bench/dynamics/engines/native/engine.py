"""The `native` engine: dense stacks on the CPU, a whole batch with all its time steps in one call of compiled code."""

import ctypes

import torch
from torch import Tensor

from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.engines.interface import EngineRequest, Feedback, prepare_state
from gle_bench.dynamics.engines.native import library
from gle_bench.dynamics.engines.native.call import (
    NOTHING,
    PHIS,
    RunCall,
    aligned,
    close_loop,
    layer_calls,
    run_call,
    set_learning,
)
from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.ensemble import Carry, cloned, ensemble_size, learned, pack, unpack
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer, clone
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError

DTYPES = {torch.float32: "glebench_run_float", torch.float64: "glebench_run_double"}


class NativeEngine:
    """Networks side by side, one a core; a lone one is shared by all cores, unless its layers are ordered.

    Threads never change a result.

    Attributes:
        buffer_bytes: what the last call allocated beside the tensors that it was given and returned.
    """

    name = "native"
    threads_matter = False

    def __init__(self) -> None:
        self.buffer_bytes = 0

    def condition(self) -> tuple[bool, str]:
        """Loads the compiled library. Without it everything runs, but more slowly."""
        try:
            loaded = library.load()
        except GleBenchError as error:
            return False, f"not used, and the others are slower on a CPU: {error}"
        return True, f"{loaded.variant}: {loaded.path}"

    def refusal(self, request: EngineRequest) -> str | None:
        """Why it cannot run the request, as a clause, or None."""
        if request.device != "cpu":
            return "it runs on the CPU only"
        try:
            library.load()
        except GleBenchError as error:
            return f"it is not here: {error}"
        unsupported = _not_compiled(request.rule) or _unsupported(request.network, request.dtype)
        return unsupported or _other_feedback(request.network, request.feedback) or request.seams.refusal()

    def learn(
        self,
        network: Network,
        rule: OnlineRule,
        optimizer: Optimizer,
        carry: Carry,
        batch: Window,
        rates: Tensor,
        decay: float = 1.0,
        seams: Seams = NO_SEAMS,
    ) -> tuple[Carry, Tensor]:
        """One update a step."""
        flat, moments = pack(network, carry.parameters), clone(carry.optimizer)
        _refuse(_not_compiled(rule) or _unsupported(network, flat.dtype) or _other_following(batch) or seams.refusal())
        state = cloned(prepare_state(network, carry.state, batch.inputs.shape[1]))
        parameters = unpack(network, flat, cloned(carry.parameters))
        window, outputs = _signals(network, parameters, batch)
        run = run_call(network, parameters, window, outputs)
        rates = rates.to("cpu", torch.float64).contiguous()
        set_learning(run, network, optimizer, moments.updates, rates, decay)
        means, squares = (_moments(network, x, parameters) for x in (moments.mean, moments.square))
        self._call(run, layer_calls(network, parameters, (means, squares), state, rule.chosen), flat.dtype)
        return Carry(parameters, moments._replace(updates=moments.updates + batch.steps), state), outputs

    def gradients(
        self,
        network: Network,
        rule: OnlineRule,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        memory: tuple[Tensor, ...] = (),
        every: int | None = None,
        seams: Seams = NO_SEAMS,
    ) -> Gradients:
        """Refused: the `torch` engine gives them."""
        raise NotImplementedError(
            "it applies gradients where it computes them, and returns none; engine 'torch' gives them"
        )

    def infer(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        errors: bool = True,
        feedback: Feedback | None = None,
        seams: Seams = NO_SEAMS,
    ) -> tuple[State, Tensor]:
        """With frozen weights and no target."""
        dtype = state[0].u.dtype
        _refuse(_unsupported(network, dtype) or _other_feedback(network, feedback) or seams.refusal())
        state = cloned(prepare_state(network, state, batch.inputs.shape[1]))
        parameters = cloned(parameters)
        window, outputs = _signals(network, parameters, _without_target(batch))
        run = run_call(network, parameters, window, outputs)
        if isinstance(feedback, DelayedFeedback):
            close_loop(run, feedback)
        run.errors = errors or any(layer.gamma for layer in network.layers)
        nothing = tuple(NOTHING for _ in parameters)
        self._call(run, layer_calls(network, parameters, (nothing, nothing), state), dtype)
        return state, outputs

    def _call(self, run: RunCall, layers: ctypes.Array, dtype: torch.dtype) -> None:  # type: ignore[type-arg]
        run.layer = ctypes.addressof(layers)
        if getattr(library.load().handle, DTYPES[dtype])(ctypes.byref(run)):
            raise MemoryError("the native engine's buffers do not fit into memory; use fewer seeds at a time")
        self.buffer_bytes = run.buffer_bytes


def _not_compiled(rule: OnlineRule) -> str | None:
    """What of the rule is not compiled in, as a clause; None: all is."""
    choices = rule.chosen
    if "native" not in rule.engines or not isinstance(choices, LocalOptions):
        return f"rule '{rule.name}' is not built in"
    simple = choices.sent in ("gle", "instantaneous") and choices.feedback == "transpose"
    if simple and choices.own == "sent" and choices.delay == "none":
        return None
    return f"rule '{rule.name}' is not built in with these choices"


def _unsupported(network: Network, dtype: torch.dtype) -> str | None:
    """What of the network is not compiled in, as a clause; None: all is."""
    if dtype not in DTYPES:
        return f"it computes in float32 or float64, not {dtype}"
    for number, layer in enumerate(network.layers, 1):
        if type(layer.connection) is not Dense:
            return f"layer {number} is connected by {type(layer.connection).__name__}, and it has Dense only"
        if layer.phi not in PHIS:
            return f"phi = '{layer.phi}' of layer {number} is not built in"
        if layer.rate_factor != 1:
            return f"rate_factor = {layer.rate_factor} of layer {number}, and it has one rate for all layers"
    return None


def _other_feedback(network: Network, feedback: Feedback | None) -> str | None:
    """Why the loop cannot be closed by it, as a clause; None: it can, or stays open."""
    if feedback is None:
        return None
    if type(feedback) is not DelayedFeedback:
        return f"it closes a loop by DelayedFeedback only, not by {type(feedback).__name__}"
    if len(feedback.delays) != network.inputs:
        return f"feedback with {len(feedback.delays)} delays is not for a network of {network.inputs} inputs"
    return None


def _other_following(batch: Window) -> str | None:
    """Why what follows the window cannot be looked at, as a clause; None: it can, or there is nothing."""
    if batch.following is None or (batch.target is None) == (batch.following.target is None):
        return None
    return "a target begins or ends with the window, and it has one throughout or none"


def _without_target(batch: Window) -> Window:
    after = None if batch.following is None else batch.following._replace(target=None)
    return batch._replace(target=None, mask=None, following=after)


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise NotImplementedError(reason)


def _signals(network: Network, parameters: Parameters, batch: Window) -> tuple[Window, Tensor]:
    """The window as the engine reads it, and where its outputs go, (S, B, T, C)."""
    weight = parameters[0].weight
    assert weight is not None
    shape = (ensemble_size(parameters), batch.inputs.shape[1], batch.steps, network.outputs)
    if 0 in shape:
        raise ValueError(f"a batch of {shape[1]} samples and {shape[2]} steps is empty; leave it out")
    return aligned(batch, weight.dtype), weight.new_empty(shape)


def _moments(network: Network, flat: Tensor, parameters: Parameters) -> Parameters:
    """Adam's moments in the parameters' shapes, None where nothing learns or the optimizer has none."""
    if flat.numel() == 0:
        return tuple(NOTHING for _ in parameters)
    views, names = unpack(network, flat, parameters), set(learned(network, parameters))
    return tuple(
        BlockParameters(*(getattr(p, name) if (index, name) in names else None for name in NOTHING._fields))
        for index, p in enumerate(views)
    )
