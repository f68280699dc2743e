"""The `native` engine: dense stacks on the CPU, a whole batch with all its time steps in one call of compiled code."""

import ctypes

import torch
from torch import Tensor

from gle_bench.dynamics.connections import Dense
from gle_bench.dynamics.engine import Feedback, Job, Learner, Window, prepare_state
from gle_bench.dynamics.engines.native_call import (
    NOTHING,
    PHIS,
    RunCall,
    aligned,
    layer_calls,
    run_call,
    set_learning,
)
from gle_bench.dynamics.native import library
from gle_bench.dynamics.network import BlockParameters, Parameters, State
from gle_bench.dynamics.optimizers import Optimizer, clone
from gle_bench.dynamics.packing import Carry, cloned, ensemble_size, learned, pack, unpack
from gle_bench.dynamics.structure import Network
from gle_bench.names import GleBenchError

DTYPES = {torch.float32: "glebench_run_float", torch.float64: "glebench_run_double"}


class NativeEngine:
    """Networks side by side, one a core; a lone one is shared by all cores. Threads never change a result.

    Attributes:
        buffer_bytes: what the last call allocated beside the tensors that it was given and returned.
    """

    name = "native"
    threads_matter = False

    def __init__(self) -> None:
        self.buffer_bytes = 0

    def refusal(self, job: Job) -> str | None:
        """Why it cannot run the job, as a clause, or None."""
        if job.device != "cpu":
            return "it runs on the CPU only"
        if job.closed_loop:
            return "it cannot feed outputs back"
        try:
            library.load()
        except GleBenchError as error:
            return f"it is not here: {error}"
        return _unlike_gle(job.learner) or _unsupported(job.network, job.dtype)

    def learn(
        self,
        network: Network,
        learner: Learner,
        optimizer: Optimizer,
        carry: Carry,
        batch: Window,
        rates: Tensor,
        decay: float = 1.0,
    ) -> tuple[Carry, Tensor]:
        """One update a step."""
        flat, moments = pack(network, carry.parameters), clone(carry.optimizer)
        _refuse(_unlike_gle(learner) or _unsupported(network, flat.dtype))
        state = cloned(prepare_state(network, carry.state, batch.inputs.shape[1]))
        parameters = unpack(network, flat, cloned(carry.parameters))
        window, outputs = _signals(network, parameters, batch)
        run = run_call(network, parameters, window, outputs)
        rates = rates.to("cpu", torch.float64).contiguous()
        set_learning(run, network, optimizer, moments.updates, rates, decay)
        means, squares = (_moments(network, x, parameters) for x in (moments.mean, moments.square))
        self._call(run, layer_calls(network, parameters, (means, squares), state), flat.dtype)
        return Carry(parameters, moments._replace(updates=moments.updates + batch.steps), state), outputs

    def infer(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        errors: bool = True,
        feedback: Feedback | None = None,
    ) -> tuple[State, Tensor]:
        """With frozen weights and no target."""
        dtype = state[0].u.dtype
        _refuse("it cannot feed outputs back" if feedback is not None else _unsupported(network, dtype))
        state = cloned(prepare_state(network, state, batch.inputs.shape[1]))
        parameters = cloned(parameters)
        window, outputs = _signals(network, parameters, batch._replace(target=None, mask=None))
        run = run_call(network, parameters, window, outputs)
        run.errors = errors or any(layer.gamma for layer in network.layers)
        nothing = tuple(NOTHING for _ in parameters)
        self._call(run, layer_calls(network, parameters, (nothing, nothing), state), dtype)
        return state, outputs

    def _call(self, run: RunCall, layers: ctypes.Array, dtype: torch.dtype) -> None:  # type: ignore[type-arg]
        run.layer = ctypes.addressof(layers)
        if getattr(library.load().handle, DTYPES[dtype])(ctypes.byref(run)):
            raise MemoryError("the native engine's buffers do not fit into memory; use fewer seeds at a time")
        self.buffer_bytes = run.buffer_bytes


def _unlike_gle(learner: Learner) -> str | None:
    """A rule that names this engine promises to be the paper's; one that changes how it learns loses the name."""
    return None if "native" in getattr(learner, "engines", ()) else "it has rule 'gle' built in, no other"


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
