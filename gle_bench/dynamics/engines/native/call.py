"""The arguments of a call of the `native` engine: the structures of src/run.hpp, with the addresses of tensors.

The tensors must live until the call returns, because it reads and writes them in place.
"""

import ctypes
from ctypes import POINTER, c_double, c_int64, c_void_p
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from gle_bench.dynamics.choices import PAPER, LocalOptions
from gle_bench.dynamics.ensemble import ensemble_size
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.local_memory import EMPTY, BlockMemory, Memory, delays, populations
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.state import BlockParameters, BlockState, Parameters, State
from gle_bench.dynamics.window import Window
from gle_bench.words import Integrator

INTEGRATORS = get_args(Integrator)  # in the order of src/run.hpp
PHIS = ("identity", "tanh", "softplus", "relu", "hard-sigmoid")  # in the order of src/activations.hpp
SENT = ("gle", "instantaneous", "jacobian", "gain", "lowpass", "clipped")  # in the order of src/run.hpp
NOTHING = BlockParameters(None, None, None, None)


class LearnedCall(ctypes.Structure):
    """The addresses of a parameter tensor and of its optimizer moments: mean and square."""

    _fields_ = [(name, c_void_p) for name in ("value", "mean", "square")]


class MemoryCall(ctypes.Structure):
    """The addresses of the tensors of a local rule's memory of one layer."""

    _fields_ = [(name, c_void_p) for name in BlockMemory._fields if name != "tau_trace"]


class SumsCall(ctypes.Structure):
    """The addresses of the tensors in which the gradients of a layer are summed."""

    _fields_ = [(name, c_void_p) for name in NOTHING._fields]


class LayerCall(ctypes.Structure):
    """One layer of all networks: its tensors, by their addresses in the first network, and its properties."""

    _fields_ = [
        *((name, LearnedCall) for name in ("weight", "bias", "tau_m", "tau_r")),
        *((name, c_void_p) for name in ("u", "v", "r", "e", "slope", "feedback")),
        ("memory", MemoryCall),
        ("sums", SumsCall),
        *((name, c_int64) for name in ("inputs", "neurons", "phi")),
        ("gamma", c_double),
        *((name, c_int64) for name in ("has_errors", "feeds_back", "plastic", "sent")),
        *((name, c_int64) for name in ("delay", "longest", "populations")),
    ]


class SignalCall(ctypes.Structure):
    """A signal of a batch, (S|1, B, T|1, C): the address of its tensor, and the strides."""

    _fields_ = [("data", c_void_p), ("network", c_int64), ("sample", c_int64), ("step", c_int64)]


class RunCall(ctypes.Structure):
    """All arguments of a call of the `native` engine, which runs one batch: signals, layers, sizes and settings."""

    _fields_ = [
        ("layer", c_void_p),
        *((name, SignalCall) for name in ("inputs", "target", "mask", "outputs")),
        ("rates", c_void_p),
        ("delays", POINTER(c_int64)),
        ("population", POINTER(c_int64)),
        *((name, c_int64) for name in ("layers", "networks", "batch", "steps", "threads")),
        *((name, c_int64) for name in ("known", "integrator", "horizon", "forced")),
        *((name, c_double) for name in ("dt", "beta", "decay", "tau_lowest", "tau_highest", "beta1", "beta2", "eps")),
        *((name, c_double) for name in ("gain_weight", "lowpass_weight", "clip", "feedback_decay")),
        *((name, c_int64) for name in ("updates", "cross_entropy", "adam", "learns", "errors")),
        *((name, c_int64) for name in ("learn_tau_m", "learn_tau_r", "broadcast", "follows", "window", "every")),
        ("buffer_bytes", c_int64),
    ]


class Parts(NamedTuple):
    """The tensors that a call reads and writes besides the batch's signals, for each block of layers."""

    parameters: Parameters
    state: State
    moments: tuple[Parameters, Parameters]  # means and squares, None where nothing learns
    memory: Memory = ()
    sums: Parameters = ()  # of gradients, where they are asked for, (K, W, S, ...)


def layer_calls(network: Network, parts: Parts, options: LocalOptions = PAPER) -> "ctypes.Array[LayerCall]":
    """The array of all layers for a call, from the input to the output."""
    nothing = (NOTHING,) * len(network.blocks)
    memory, sums = parts.memory or (EMPTY,) * len(network.blocks), parts.sums or nothing
    calls = []
    for index, (block, late) in enumerate(zip(network.blocks, delays(network, options), strict=True)):
        learned = [p[index] for p in (parts.parameters, *parts.moments)]
        longest = max(late) if options.delay != "none" else 0
        for k, delay in enumerate(late):
            call = _layer_call(block, k, learned, parts.state[index], options)
            call.memory = MemoryCall(
                **{name: _address(getattr(memory[index], name), k) for name, *_ in MemoryCall._fields_}
            )
            call.sums = SumsCall(**{name: _address(tensor, k) for name, tensor in sums[index]._asdict().items()})
            call.delay, call.longest = delay, longest
            trace = memory[index].trace
            call.populations = 0 if trace is None else trace.shape[2]
            calls.append(call)
    return (LayerCall * len(calls))(*calls)


def _layer_call(
    block: Block, k: int, parts: list[BlockParameters], state: BlockState, options: LocalOptions
) -> LayerCall:
    layer = block.layers[k]
    learned = {name: LearnedCall(*(_address(getattr(part, name), k) for part in parts)) for name in NOTHING._fields}
    sent = "jacobian" if options.signal == "jacobian" else options.sent
    return LayerCall(
        **learned,
        **{name: _address(tensor, k) for name, tensor in state._asdict().items()},
        inputs=layer.inputs,
        neurons=layer.neurons,
        phi=PHIS.index(layer.phi),
        gamma=layer.gamma,
        has_errors=block.has_errors,
        feeds_back=block.feeds_back,
        plastic=layer.connection.plastic,
        sent=SENT.index(sent if layer.prospective_errors or sent == "jacobian" else "instantaneous"),
    )


def _address(tensor: Tensor | None, k: int) -> int | None:
    if tensor is None or tensor.numel() == 0:
        return None
    assert tensor.is_contiguous(), "the engine steps through members by their size"
    return tensor[k].data_ptr()


def signal_call(signal: Tensor | None) -> SignalCall:
    """The structure of a signal (S|1, B, T|1, C) that is contiguous in C. A dimension of 1 gets the stride 0."""
    if signal is None:
        return SignalCall(None, 0, 0, 0)
    network, sample, step = (0 if signal.shape[dim] == 1 else signal.stride(dim) for dim in range(3))
    return SignalCall(signal.data_ptr(), network, sample, step)


def aligned(batch: Window, dtype: torch.dtype) -> Window:
    """The window in the network's precision, each signal contiguous in its last dimension.

    If the signals of the step after the last one are known, inputs and target get them as one more step.

    Raises:
        ValueError: the number of a signal's steps is neither 1 nor that of the window.
    """
    for name in ("inputs", "target", "mask"):
        signal = getattr(batch, name)
        if signal is not None and signal.shape[2] not in (1, batch.steps):
            raise ValueError(f"{name} of {signal.shape[2]} steps do not make a window of {batch.steps}; give 1 or all")

    def ready(signal: Tensor | None) -> Tensor | None:
        if signal is None:
            return None
        converted = signal.to(dtype)
        return converted if converted.stride(-1) == 1 or converted.shape[-1] == 1 else converted.contiguous()

    after = batch.following
    inputs = ready(_extended(batch.inputs, None if after is None else after.inputs, batch.steps))
    assert inputs is not None
    target = ready(_extended(batch.target, None if after is None else after.target, batch.steps))
    return Window(batch.steps, inputs, target, ready(batch.mask), after)


def _extended(signal: Tensor | None, following: Tensor | None, steps: int) -> Tensor | None:
    """A signal (S|1, B, T|1, C) with one more step (S|1, B, C) at its end, (S|1, B, T + 1, C)."""
    if signal is None or following is None:
        return signal
    last = following[:, :, None]
    members = max(len(signal), len(last))
    return torch.cat([signal.expand(members, -1, steps, -1), last.expand(members, -1, -1, -1)], 2)


def run_call(network: Network, parameters: Parameters, window: Window, outputs: Tensor) -> RunCall:
    """The arguments for a batch without learning, given a window as `aligned` returns it."""
    mask = None if window.mask is None else window.mask[..., None]
    return RunCall(
        inputs=signal_call(window.inputs),
        target=signal_call(window.target),
        mask=signal_call(mask),
        outputs=signal_call(outputs),
        layers=len(network.layers),
        networks=ensemble_size(parameters),
        batch=window.inputs.shape[1],
        steps=window.steps,
        known=window.steps + (window.following is not None),
        integrator=INTEGRATORS.index(network.integrator),
        threads=torch.get_num_threads(),
        dt=network.dt,
        beta=network.beta,
        cross_entropy=network.loss == "ce",
    )


def close_loop(run: RunCall, feedback: DelayedFeedback) -> None:
    """Changes a call's arguments so that the batch runs in closed loop: its inputs come from its own outputs."""
    run.delays = (c_int64 * len(feedback.delays))(*feedback.delays)  # kept alive by the structure
    run.horizon, run.forced = feedback.horizon, feedback.forced
    run.known = run.steps  # in closed loop there are no inputs after the last step


def set_learning(run: RunCall, network: Network, rates: Tensor) -> None:
    """Changes a call's arguments so that the networks learn from the batch, with `rates` (S,), float64."""
    run.learns, run.errors = 1, 1
    run.learn_tau_m, run.learn_tau_r = network.learn_tau_m, network.learn_tau_r
    run.tau_lowest, run.tau_highest = network.tau_range
    run.rates = rates.data_ptr()


def set_optimizer(run: RunCall, optimizer: Optimizer, updates: int, decay: float) -> None:
    """Sets the optimizer in a call's arguments."""
    run.adam, run.updates, run.decay = optimizer.kind == "adam", updates, decay
    run.beta1, run.beta2, run.eps = optimizer.beta1, optimizer.beta2, optimizer.eps


def set_rule(run: RunCall, network: Network, options: LocalOptions) -> None:
    """Sets the options of the local learning rule in a call's arguments."""
    run.gain_weight = min(1.0, network.dt / options.gain_time)
    run.lowpass_weight = min(1.0, network.dt / options.lowpass_tau)
    run.clip, run.feedback_decay = options.clip, options.decay
    run.broadcast, run.follows = options.feedback == "broadcast", options.feedback == "kolen-pollack"
    if options.own == "trace":
        every = [number for block in network.blocks for number in _population(network, block)]
        run.population = (c_int64 * len(every))(*every)  # kept alive by the structure


def _population(network: Network, block: Block) -> list[int]:
    """The index of each neuron's population, for the layers of a block in order."""
    numbers: list[int] = populations(network, block).members.argmax(1).flatten().tolist()
    return numbers
