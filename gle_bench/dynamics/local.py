"""The equations of local learning rules in a block of layers: the error that the block sends, and its gradients.

With F the filter of a neuron's membrane, from its current to its prospective potential, the error of the paper's rule
is e = F^-1 e_inst, and a trace is F r. The equations are those of facts/rules.md, sections 5.3 to 5.5 and 6.2.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gle_bench.dynamics import neurons
from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.connections import Dense, tau_m_gradient, tau_r_gradient
from gle_bench.dynamics.local_memory import BlockMemory, populations
from gle_bench.dynamics.network import Block, Network
from gle_bench.dynamics.state import BlockParameters, BlockState, present


class Sent(NamedTuple):
    """The error potential and the error that a block passes down, each (K, S, B, N)."""

    v: Tensor
    e: Tensor


class Learnt(NamedTuple):
    """The factors of a block's gradients: errors, presynaptic rates, derivatives of the potential (Eqs. 21 to 24)."""

    error: Tensor  # (K, S, B, N)  e of Eqs. 21 to 23, or e_inst where a trace stands for the filter of the error
    instantaneous: Tensor  # (K, S, B, N)  e_inst of Eq. 24
    rates: Tensor  # (K, S, B, N_in)  presynaptic rates; (K, S, P, B, N_in) their traces by population
    bias: Tensor | None  # (K, S, 1, 1|N)  input of the bias, delayed or filtered as rates are; None: it is 1
    u_dot: Tensor | None  # (K, S, B, N)  derivative of the potential for tau_m, delayed or filtered as rates are
    u_dot_now: Tensor | None  # (K, S, B, N)  derivative of the potential for tau_r, delayed alone


def sent_error(
    options: LocalOptions,
    block: Block,
    state: BlockState,
    instant: Tensor,
    taus: tuple[Tensor, Tensor],
    dt: float,
    memory: BlockMemory,
) -> tuple[Sent, BlockMemory]:
    """The error that the block passes down, made from its instantaneous error (K, S, B, N), and the new memory.

    Args:
        taus: tau_m and tau_r of the error neurons, (K, S, 1, N).
    """
    tau_m, tau_r = taus
    if options.sent == "instantaneous" or not block.like.prospective_errors:
        e = instant * (tau_r / tau_m) if options.signal == "jacobian" else instant
        return Sent(e, e), memory
    v, e = neurons.error_step(state.v, instant, tau_m, tau_r, dt)
    if options.sent == "gain":
        moments = present(memory.instant_square), present(memory.error_square)
        gained = e * gain(*moments)
        weight = min(1.0, dt / options.gain_time)
        new = (torch.lerp(moment, x * x, weight) for moment, x in zip(moments, (instant, e), strict=True))
        return Sent(v, gained), memory._replace(instant_square=next(new), error_square=next(new))
    if options.sent == "lowpass":  # the error of the step before is the low-pass filter's state
        return Sent(v, torch.lerp(state.e, e, min(1.0, dt / options.lowpass_tau))), memory
    return Sent(v, e.clamp(-options.clip, options.clip) if options.sent == "clipped" else e), memory


def filters_errors(options: LocalOptions, block: Block) -> bool:
    """Whether the errors that the block passes down depend on time constants."""
    return options.error_filters and (block.like.prospective_errors or options.signal == "jacobian")


def gain(instant_square: Tensor, error_square: Tensor) -> Tensor:
    """The gain <e_inst^2> / <e^2> that makes e the least-squares estimate of the adjoint; 1 before the first error."""
    there = error_square > 0
    return torch.where(there, instant_square / torch.where(there, error_square, 1), 1)


def late_slope(slope: Tensor, memory: BlockMemory, delays: list[int]) -> tuple[Tensor, BlockMemory]:
    """The slopes phi' of a block, each layer's delayed by D - 1 steps, to match the errors that arrive from above."""
    if memory.slopes is None or memory.slopes.shape[2] == 0:
        return slope, memory
    late, slopes = delayed(memory.slopes, slope, [steps - 1 for steps in delays])
    return late, memory._replace(slopes=slopes)


def delayed(line: Tensor, now: Tensor, delays: list[int]) -> tuple[Tensor, Tensor]:
    """The output of a delay line (K, S, D, ...) for each of its K layers, and the line one step later.

    Args:
        now: the values that enter the line, (K, S, ...).
        delays: the delay of each layer in steps, from 0 to D.
    """
    whole = torch.cat([line, now[:, :, None]], 2)
    longest = line.shape[2]
    late = torch.stack([whole[k, :, longest - steps] for k, steps in enumerate(delays)])
    return late, whole[:, :, 1:]


def gradients(
    network: Network,
    options: LocalOptions,
    block: Block,
    e: Tensor,
    instant: Tensor,
    rates: Tensor,
    u_dot: Tensor | None,
    parameters: BlockParameters,
    delays: list[int],
    memory: BlockMemory,
) -> tuple[BlockParameters, BlockMemory]:
    """The block's gradients in this step, all None if its connection is fixed, and its memory after the step.

    Presynaptic signals pass the delay line first and then the filter; the order does not matter, as both are linear.

    Args:
        e, instant: the error that the block sends and its instantaneous error, (K, S, B, N).
        rates: presynaptic rates, (K, S, B, N_in).
        u_dot: derivative of the potential, (K, S, B, N); None where no time constant learns.
        delays: the steps by which presynaptic signals are delayed, for each layer.
    """
    if not block.connection.plastic:
        return BlockParameters(None, None, None, None), memory
    by, memory = _delayed(Learnt(e, instant, rates, None, u_dot, u_dot), delays, memory)
    if options.own == "trace":
        by, memory = _filtered(network, block, by, parameters, memory)
    return _products(network, block, by, parameters.bias is not None, options.own == "trace"), memory


def _delayed(by: Learnt, delays: list[int], memory: BlockMemory) -> tuple[Learnt, BlockMemory]:
    if memory.age is None or memory.rates is None:
        return by, memory
    rates, line = delayed(memory.rates, by.rates, delays)
    one = (memory.age >= memory.age.new_tensor(delays).view(-1, 1, 1, 1)).to(rates)
    memory = memory._replace(rates=line, age=memory.age + 1)
    u_dot = by.u_dot
    if u_dot is not None:
        u_dot, u_dots = delayed(present(memory.u_dots), u_dot, delays)
        memory = memory._replace(u_dots=u_dots)
    return by._replace(rates=rates, bias=one, u_dot=u_dot, u_dot_now=u_dot), memory


def _filtered(
    network: Network, block: Block, by: Learnt, parameters: BlockParameters, memory: BlockMemory
) -> tuple[Learnt, BlockMemory]:
    """The factors of gradients by eligibility traces: presynaptic ones filtered by F, and e_inst in place of e.

    See facts/rules.md, sections 5.3 and 5.5.
    """
    tau_m, tau_r, dt = present(parameters.tau_m), present(parameters.tau_r), network.dt
    trace, rates = _trace(network, block, present(memory.trace), by.rates, tau_m, tau_r)
    memory, one, u_dot = memory._replace(trace=trace), by.bias, by.u_dot
    if memory.bias_trace is not None:
        constant = torch.ones_like(memory.bias_trace) if one is None else one.expand_as(memory.bias_trace)
        bias_trace, one = neurons.membrane_step(memory.bias_trace, constant, tau_m, tau_r, dt)
        memory = memory._replace(bias_trace=bias_trace)
    if memory.tau_trace is not None and u_dot is not None:
        tau_trace, u_dot = neurons.membrane_step(memory.tau_trace, u_dot, tau_m, tau_r, dt)
        memory = memory._replace(tau_trace=tau_trace)
    return by._replace(error=by.instantaneous, rates=rates, bias=one, u_dot=u_dot), memory


def _trace(
    network: Network, block: Block, trace: Tensor, rates: Tensor, tau_m: Tensor, tau_r: Tensor
) -> tuple[Tensor, Tensor]:
    """The traces of each population, (K, S, P, B, N_in): the low-passed rates, and the filtered rates F r."""
    first = populations(network, block).first.to(tau_m.device)[:, None, None]  # (K, 1, 1, P)
    own_m, own_r = (torch.take_along_dim(tau, first, 3).transpose(2, 3)[..., None] for tau in (tau_m, tau_r))
    return neurons.membrane_step(trace, rates[:, :, None], own_m, own_r, network.dt)


def local_gradients(
    network: Network, block: Block, e: Tensor, instant: Tensor, rates: Tensor, u_dot: Tensor | None, biased: bool
) -> BlockParameters:
    """The gradients of Eqs. 21 to 24 without delays and traces.

    They are made from tensors (K, S, B, N) and presynaptic rates (K, S, B, N_in). A block whose connection is fixed
    learns nothing, not even its time constants.
    """
    if not block.connection.plastic:
        return BlockParameters(None, None, None, None)
    return _products(network, block, Learnt(e, instant, rates, None, u_dot, u_dot), biased, traced=False)


def _products(network: Network, block: Block, by: Learnt, biased: bool, traced: bool) -> BlockParameters:
    """The gradients of Eqs. 21 to 24, made from their factors."""
    bias = None
    if biased:
        error = by.error if by.bias is None else by.error * by.bias
        bias = _unflat(block.connection.bias_gradient(error.flatten(0, 1)), error)
    tau_m = tau_m_gradient(by.error, present(by.u_dot)) if network.learn_tau_m else None
    tau_r = tau_r_gradient(by.instantaneous, present(by.u_dot_now)) if network.learn_tau_r else None
    weight = _traced_gradient(network, block, by) if traced else _weight_gradient(block, by.error, by.rates)
    return BlockParameters(weight, bias, tau_m, tau_r)


def _weight_gradient(block: Block, error: Tensor, rates: Tensor) -> Tensor:
    return _unflat(block.connection.gradient(error.flatten(0, 1), rates.flatten(0, 1)), error)


def _unflat(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.view(*like.shape[:2], *tensor.shape[1:])


def _traced_gradient(network: Network, block: Block, by: Learnt) -> Tensor:
    """The gradient of the weights from traces, where each neuron uses the trace of its own population."""
    if by.rates.shape[2] == by.error.shape[-1] and isinstance(block.connection, Dense):  # a trace for every neuron
        return torch.einsum("ksbn,ksnbi->ksni", by.error, by.rates) / -by.error.shape[2]
    members = populations(network, block).members.to(by.error)[:, None, :, None]  # (K, 1, P, 1, N)
    parts = [_weight_gradient(block, by.error * members[:, :, p], by.rates[:, :, p]) for p in range(members.shape[2])]
    return torch.stack(parts).sum(0)


def broadcast(back: Tensor, top: Tensor, is_output: bool) -> Tensor:
    """The output's error (S, B, C), sent to each of a block's layers, (K, S, B, N), by weights (K, S, N, C)."""
    spread = torch.einsum("ksnc,sbc->ksbn", back, top)
    return torch.cat([spread[:-1], top[None]]) if is_output else spread
