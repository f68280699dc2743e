"""What the `native` engine is called with: the structures of src/run.hpp, filled with the addresses of tensors.

Tensors must outlive the call, which reads and writes them in place.
"""

import ctypes
from ctypes import POINTER, c_double, c_int64, c_void_p
from typing import get_args

import torch
from torch import Tensor

from gle_bench.dynamics.choices import PAPER, LocalOptions
from gle_bench.dynamics.ensemble import ensemble_size
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.state import BlockParameters, BlockState, Parameters, State
from gle_bench.dynamics.window import Window
from gle_bench.words import Integrator

INTEGRATORS = get_args(Integrator)  # in the order of src/run.hpp
PHIS = ("identity", "tanh", "softplus", "relu", "hard-sigmoid")  # in the order of src/activations.hpp
NOTHING = BlockParameters(None, None, None, None)


class LearnedCall(ctypes.Structure):
    """A parameter and its moments."""

    _fields_ = [(name, c_void_p) for name in ("value", "mean", "square")]


class LayerCall(ctypes.Structure):
    """One layer of all networks, by the addresses of the first."""

    _fields_ = [
        *((name, LearnedCall) for name in ("weight", "bias", "tau_m", "tau_r")),
        *((name, c_void_p) for name in ("u", "v", "r", "e", "slope", "feedback")),
        *((name, c_int64) for name in ("inputs", "neurons", "phi")),
        ("gamma", c_double),
        *((name, c_int64) for name in ("has_errors", "feeds_back", "plastic", "prospective_errors")),
    ]


class SignalCall(ctypes.Structure):
    """A tensor (S|1, B, T|1, C) with its strides."""

    _fields_ = [("data", c_void_p), ("network", c_int64), ("sample", c_int64), ("step", c_int64)]


class RunCall(ctypes.Structure):
    """A batch."""

    _fields_ = [
        ("layer", c_void_p),
        *((name, SignalCall) for name in ("inputs", "target", "mask", "outputs")),
        ("rates", c_void_p),
        ("delays", POINTER(c_int64)),
        *((name, c_int64) for name in ("layers", "networks", "batch", "steps", "threads")),
        *((name, c_int64) for name in ("known", "integrator", "horizon", "forced")),
        *((name, c_double) for name in ("dt", "beta", "decay", "tau_lowest", "tau_highest", "beta1", "beta2", "eps")),
        *((name, c_int64) for name in ("updates", "cross_entropy", "adam", "learns", "errors")),
        *((name, c_int64) for name in ("learn_tau_m", "learn_tau_r", "buffer_bytes")),
    ]


def layer_calls(
    network: Network,
    parameters: Parameters,
    moments: tuple[Parameters, Parameters],
    state: State,
    options: LocalOptions = PAPER,
) -> "ctypes.Array[LayerCall]":
    """Every layer, from the input to the output; `moments`: means and squares, None where nothing learns."""
    calls = [
        _layer_call(block, k, [p[index] for p in (parameters, *moments)], state[index], options)
        for index, block in enumerate(network.blocks)
        for k in range(len(block.layers))
    ]
    return (LayerCall * len(calls))(*calls)


def _layer_call(
    block: Block, k: int, parts: list[BlockParameters], state: BlockState, options: LocalOptions
) -> LayerCall:
    layer = block.layers[k]
    learned = {name: LearnedCall(*(_address(getattr(part, name), k) for part in parts)) for name in NOTHING._fields}
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
        prospective_errors=layer.prospective_errors and options.sent == "gle",
    )


def _address(tensor: Tensor | None, k: int) -> int | None:
    if tensor is None:
        return None
    assert tensor.is_contiguous(), "the engine steps through members by their size"
    return tensor[k].data_ptr()


def signal_call(signal: Tensor | None) -> SignalCall:
    """(S|1, B, T|1, C), contiguous in C; a dimension of 1 is the same for all."""
    if signal is None:
        return SignalCall(None, 0, 0, 0)
    network, sample, step = (0 if signal.shape[dim] == 1 else signal.stride(dim) for dim in range(3))
    return SignalCall(signal.data_ptr(), network, sample, step)


def aligned(batch: Window, dtype: torch.dtype) -> Window:
    """The window in the network's precision, each signal contiguous in its last dimension.

    The instant after the last step, where it is known, becomes one step more of the inputs and the target.

    Raises:
        ValueError: a signal has not as many steps as the window says; it would be read beyond its end.
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
    """(S|1, B, T|1, C) and (S|1, B, C): (S|1, B, T + 1, C)."""
    if signal is None or following is None:
        return signal
    last = following[:, :, None]
    members = max(len(signal), len(last))
    return torch.cat([signal.expand(members, -1, steps, -1), last.expand(members, -1, -1, -1)], 2)


def run_call(network: Network, parameters: Parameters, window: Window, outputs: Tensor) -> RunCall:
    """A batch without learning; the window as `aligned` returns it."""
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
    """Makes the batch one that is fed with its own outputs."""
    run.delays = (c_int64 * len(feedback.delays))(*feedback.delays)  # kept alive by the structure
    run.horizon, run.forced = feedback.horizon, feedback.forced
    run.known = run.steps  # of what follows the last step the loop knows nothing


def set_learning(
    run: RunCall, network: Network, optimizer: Optimizer, updates: int, rates: Tensor, decay: float
) -> None:
    """Makes the batch one that teaches; `rates`: (S,), float64."""
    run.learns, run.errors, run.decay = 1, 1, decay
    run.learn_tau_m, run.learn_tau_r = network.learn_tau_m, network.learn_tau_r
    run.tau_lowest, run.tau_highest = network.tau_range
    run.rates = rates.data_ptr()
    run.adam, run.updates = optimizer.kind == "adam", updates
    run.beta1, run.beta2, run.eps = optimizer.beta1, optimizer.beta2, optimizer.eps
