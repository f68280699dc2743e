"""The `native` engine for dense networks on the CPU: one call of compiled code runs a whole batch."""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics.choices import PAPER, BPTTOptions, LocalOptions
from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.engines.interface import EngineRequest, Feedback, begin, prepare_state
from gle_bench.dynamics.engines.native import library
from gle_bench.dynamics.engines.native.call import (
    NOTHING,
    PHIS,
    Parts,
    RunCall,
    aligned,
    close_loop,
    layer_calls,
    run_call,
    set_learning,
    set_optimizer,
    set_rule,
)
from gle_bench.dynamics.engines.sums import Gradients, check_every, each
from gle_bench.dynamics.ensemble import Carry, cloned, ensemble_size, learned, pack, unpack
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.local_memory import Memory, nested
from gle_bench.dynamics.local_memory import flat as flat_memory
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer, OptimizerState, clone
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State, present_weight
from gle_bench.dynamics.tape import INSTANTANEOUS
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError

DTYPES = {torch.float32: "glebench_run_float", torch.float64: "glebench_run_double"}


class NativeEngine:
    """The fast engine for dense networks on the CPU, in compiled C++.

    Each core runs one network of an ensemble at a time. The batch of a single network is divided among all cores,
    unless its layers are computed in order. The number of threads never changes a result.

    Attributes:
        buffer_bytes: the memory that the last call allocated, besides the tensors that it was given and returned.
    """

    name = "native"
    threads_matter = False

    def __init__(self) -> None:
        self.buffer_bytes = 0

    def condition(self) -> tuple[bool, str]:
        """Whether the compiled library can be loaded, with its path or the reason. Without it, other engines run."""
        try:
            loaded = library.load()
        except GleBenchError as error:
            return False, f"not used, and the others are slower on a CPU: {error}"
        return True, f"{loaded.variant}: {loaded.path}"

    def refusal(self, request: EngineRequest) -> str | None:
        """The reason why the engine cannot run a request, as a clause; None: it can."""
        if request.device != "cpu":
            return "it runs on the CPU only"
        try:
            library.load()
        except GleBenchError as error:
            return f"it is not here: {error}"
        unsupported = _not_compiled(request.rule, request.network) or _unsupported(request.network, request.dtype)
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
        """Learns from a batch with one update per window; returns the new carry and the outputs (S, B, T, C)."""
        flat, moments = pack(network, carry.parameters), clone(carry.optimizer)
        parameters = unpack(network, flat, cloned(carry.parameters))
        taught = self._prepare(network, rule, carry._replace(parameters=parameters), batch, seams)
        rates = rates.to("cpu", torch.float64).contiguous()
        set_learning(taught.run, network, rates)
        set_optimizer(taught.run, optimizer, moments.updates, decay)
        means, squares = (_moments(network, x, parameters) for x in (moments.mean, moments.square))
        self._teach(network, rule, taught, taught.parts._replace(moments=(means, squares)))
        updates = moments.updates + -(-batch.steps // rule.window_in(batch.steps))
        state, memory = taught.parts.state, _flat(taught.parts.memory)
        return Carry(parameters, moments._replace(updates=updates), state, memory), taught.outputs

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
        """The gradients of a rule on a batch with frozen weights. Windows of `every` steps may cut the rule's own."""
        length = check_every(batch.steps if every is None else every)
        nothing = torch.zeros(0, dtype=_dtype(parameters))
        carry = Carry(cloned(parameters), OptimizerState(nothing, nothing, 0), state, memory)
        taught = self._prepare(network, rule, carry, batch, seams)
        rates = torch.zeros(taught.run.networks, dtype=torch.float64)
        set_learning(taught.run, network, rates)
        taught.run.every = length
        sums = _blank_sums(network, parameters, -(-batch.steps // length))
        self._teach(network, rule, taught, taught.parts._replace(sums=sums))
        windows = [min(length, batch.steps - begin) for begin in range(0, batch.steps, length)]
        means = tuple(each(lambda x, n=n, steps=steps: x[:, n] * (1 / steps), sums) for n, steps in enumerate(windows))
        total = each(lambda x: x.sum(1), sums)
        kept, state = _flat(taught.parts.memory), taught.parts.state
        return Gradients(total, () if every is None else means, state, kept, taught.outputs)

    def _prepare(self, network: Network, rule: OnlineRule, carry: Carry, batch: Window, seams: Seams) -> "_Taught":
        """The arguments and tensors of a call that learns; tensors that it writes are copies, except the parameters."""
        dtype, size = _dtype(carry.parameters), batch.inputs.shape[1]
        refused = _not_compiled(rule, network) or _unsupported(network, dtype)
        _refuse(refused or _other_following(batch) or seams.refusal())
        memory: Memory = ()
        if isinstance(rule.chosen, LocalOptions):
            begun = begin(rule, network, carry.parameters, carry.state, carry.memory, size, seams.seeds)
            memory = cloned(nested(network, rule.chosen, begun))
        state = cloned(prepare_state(network, carry.state, size))
        window, outputs = _signals(network, carry.parameters, batch)
        run = run_call(network, carry.parameters, window, outputs)
        nothing = tuple(NOTHING for _ in carry.parameters)
        return _Taught(run, Parts(carry.parameters, state, (nothing, nothing), memory), window, outputs)

    def _teach(self, network: Network, rule: OnlineRule, taught: "_Taught", parts: Parts) -> None:
        run, options = taught.run, PAPER
        if isinstance(rule.chosen, LocalOptions):
            options = rule.chosen
            set_rule(run, network, options)
        else:
            run.window, run.errors = rule.window_in(run.steps), rule.chosen.nudged
            options = INSTANTANEOUS
        self._call(run, layer_calls(network, parts, options), _dtype(parts.parameters))

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
        """Runs the network over a batch with frozen weights and no target; returns the new state and the outputs."""
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
        self._call(run, layer_calls(network, Parts(parameters, state, (nothing, nothing))), dtype)
        return state, outputs

    def _call(self, run: RunCall, layers: ctypes.Array, dtype: torch.dtype) -> None:  # type: ignore[type-arg]
        run.layer = ctypes.addressof(layers)
        if getattr(library.load().handle, DTYPES[dtype])(ctypes.byref(run)):
            raise MemoryError("the native engine's buffers do not fit into memory; use fewer seeds at a time")
        self.buffer_bytes = run.buffer_bytes


class _Taught(NamedTuple):
    """A call that learns from a batch, ready to run. It holds the window, which the engine reads during the call."""

    run: RunCall
    parts: Parts
    window: Window
    outputs: Tensor


def _flat(memory: Memory) -> tuple[Tensor, ...]:
    return flat_memory(memory) if memory else ()


def _dtype(parameters: Parameters) -> torch.dtype:
    return present_weight(parameters).dtype


def _blank_sums(network: Network, parameters: Parameters, windows: int) -> Parameters:
    """Zero tensors in which the gradients of each window are summed, (K, W, S, ...); None where nothing learns."""
    names = set(learned(network, parameters))
    blocks = []
    for index, p in enumerate(parameters):
        plastic = {name: x for name, x in p._asdict().items() if (index, name) in names}
        zeros = {name: x.new_zeros(len(x), windows, *x.shape[1:]) for name, x in plastic.items()}
        blocks.append(NOTHING._replace(**zeros))
    return tuple(blocks)


def _not_compiled(rule: OnlineRule, network: Network) -> str | None:
    """The reason why the compiled code cannot run a learning rule on a network, as a clause; None: it can."""
    choices = rule.chosen
    if "native" not in rule.engines or not isinstance(choices, LocalOptions | BPTTOptions):
        return f"rule '{rule.name}' is not built in"
    if isinstance(choices, LocalOptions) and choices.own == "trace" and (network.learn_tau_m or network.learn_tau_r):
        return "time constants that learn need a trace for every weight, and it has those of populations only"
    return None


def _unsupported(network: Network, dtype: torch.dtype) -> str | None:
    """The reason why the compiled code cannot run a network in this precision, as a clause; None: it can."""
    if dtype not in DTYPES:
        return f"it computes in float32 or float64, not {dtype}"
    if network.prospective != "potential":
        return f"prospective = '{network.prospective}' is not built in"
    for number, layer in enumerate(network.layers, 1):
        if type(layer.connection) is not Dense:
            return f"layer {number} is connected by {type(layer.connection).__name__}, and it has Dense only"
        if layer.phi not in PHIS:
            return f"phi = '{layer.phi}' of layer {number} is not built in"
        if layer.rate_factor != 1:
            return f"rate_factor = {layer.rate_factor} of layer {number}, and it has one rate for all layers"
    return None


def _other_feedback(network: Network, feedback: Feedback | None) -> str | None:
    """The reason why the engine cannot close the loop by this feedback, as a clause; None: it can, or there is none."""
    if feedback is None:
        return None
    if type(feedback) is not DelayedFeedback:
        return f"it closes a loop by DelayedFeedback only, not by {type(feedback).__name__}"
    if len(feedback.delays) != network.inputs:
        return f"feedback with {len(feedback.delays)} delays is not for a network of {network.inputs} inputs"
    return None


def _other_following(batch: Window) -> str | None:
    """The reason why the engine cannot use the signals that follow a window, as a clause; None: it can."""
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
    """A window in the form that the engine reads, and an empty tensor for its outputs, (S, B, T, C)."""
    weight = parameters[0].weight
    assert weight is not None
    shape = (ensemble_size(parameters), batch.inputs.shape[1], batch.steps, network.outputs)
    if 0 in shape:
        raise ValueError(f"a batch of {shape[1]} samples and {shape[2]} steps is empty; leave it out")
    return aligned(batch, weight.dtype), weight.new_empty(shape)


def _moments(network: Network, flat: Tensor, parameters: Parameters) -> Parameters:
    """The moments of Adam in the shapes of the parameters; None where nothing learns or there are no moments."""
    if flat.numel() == 0:
        return tuple(NOTHING for _ in parameters)
    views, names = unpack(network, flat, parameters), set(learned(network, parameters))
    return tuple(
        BlockParameters(*(getattr(p, name) if (index, name) in names else None for name in NOTHING._fields))
        for index, p in enumerate(views)
    )
