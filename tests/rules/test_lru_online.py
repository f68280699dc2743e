"""Tests of linear recurrent units and of their online rule, against plain recurrences and traces written out here."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from gle_bench import registry
from gle_bench.chosen import resolve
from gle_bench.contracts import GradientRule, Shape
from gle_bench.errors import UsageError
from gle_bench.training.plan import check_pair

SHAPE, BATCH = Shape(23, 3, 4), 5  # the number of steps is no power of two
FAMILY: Any = type(registry.pair("mnist1d", "lru").configure("paper").network)
RECURRENT = ("nu", "theta", "gamma", "B")


def stack(layers: int, seed: int = 1, **fields: Any) -> Any:
    return FAMILY(hidden=6, states=7, layers=layers, **fields).build(SHAPE, seed).double()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


INPUTS, TARGETS = draw(BATCH, SHAPE.steps, SHAPE.inputs), draw(BATCH, SHAPE.steps, SHAPE.outputs, seed=1)


def gradients(network: nn.Module, rule: str) -> dict[str, Tensor]:
    """The gradient of half the summed squared error over batch and steps, by a rule."""
    its_rule = registry.rule(rule)
    assert isinstance(its_rule, GradientRule)
    loss = (its_rule.outputs(network, INPUTS) - TARGETS).square().sum() / 2
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def complex_of(parameter: Tensor) -> Tensor:
    return torch.complex(*parameter.detach().unbind())


def eigenvalues(units: Any) -> Tensor:
    return torch.exp(torch.complex(-units.nu.exp(), units.theta.exp())).detach()


def plainly(network: Any, inputs: Tensor) -> Tensor:
    """The outputs, (B, T, C), by the equations of section 5.8 of the facts, one step after the other."""
    states = [torch.zeros(len(inputs), 7, dtype=torch.complex128) for _ in network.blocks]
    outputs = []
    for u in inputs.unbind(1):
        u = network.encoder(u)
        for number, block in enumerate(network.blocks):
            units = block.units
            drive = units.gamma.exp() * (u.to(torch.complex128) @ complex_of(units.B).T)
            states[number] = eigenvalues(units) * states[number] + drive
            y = (states[number] @ complex_of(units.C).T).real + units.D * u
            u = u + block.mix(nn.functional.gelu(y))
        outputs.append(network.decoder(u))
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 23])
@pytest.mark.parametrize("layers", [1, 3])
def test_outputs_are_those_of_the_plain_recurrence(layers: int, steps: int) -> None:
    network = stack(layers)
    assert_close(network(INPUTS[:, :steps]), plainly(network, INPUTS[:, :steps]), rtol=0, atol=1e-10)
    assert torch.equal(network.traced(INPUTS), network(INPUTS))


def test_steps_are_the_whole_sequence() -> None:
    network = stack(2)
    memory, outputs = network.start(BATCH), []
    for x in INPUTS.unbind(1):
        output, memory = network.step(x, memory)
        outputs.append(output)
    assert_close(torch.stack(outputs, 1), network(INPUTS), rtol=0, atol=1e-10)


def test_nothing_is_read_from_the_future() -> None:
    network, other = stack(3), INPUTS.clone()
    other[:, 11:] = torch.nan
    assert torch.equal(network(other)[:, :11], network(INPUTS)[:, :11])


def test_long_memories_stay_finite_and_exact() -> None:
    """Powers of a small eigenvalue vanish, and those of one close to 1 stay; neither is ever divided by."""
    network = stack(1)
    with torch.no_grad():
        network.blocks[0].units.nu.copy_(torch.tensor([-20.0, -9.0, -3.0, 0.0, 3.0, 6.0, 8.0]))
    inputs = draw(2, 600, SHAPE.inputs)
    assert_close(network(inputs), plainly(network, inputs), rtol=1e-10, atol=1e-10)
    assert all(x.isfinite().all() for x in torch.autograd.grad(network(inputs).sum(), tuple(network.parameters())))


def test_derivatives_of_a_layer_are_those_of_finite_differences() -> None:
    units, inputs = stack(1).blocks[0].units, draw(5, 1, 6).requires_grad_()
    names, parameters = zip(*units.named_parameters(), strict=True)

    def outputs(u: Tensor, *values: Tensor) -> Tensor:
        made: Tensor = torch.func.functional_call(units, dict(zip(names, values, strict=True)), (u,))
        return made

    assert torch.autograd.gradcheck(outputs, (inputs, *parameters), fast_mode=True)


def test_eigenvalues_start_on_the_ring_with_a_gain_of_one() -> None:
    network = FAMILY(states=4000, layers=1, r_min=0.4, r_max=0.9, max_phase=1.5).build(SHAPE, 3).double()
    units = network.blocks[0].units
    squared, phases = eigenvalues(units).abs().square(), eigenvalues(units).angle()
    assert squared.min() >= 0.16 - 1e-6
    assert squared.max() <= 0.81 + 1e-6
    assert phases.min() >= 0
    assert phases.max() <= 1.5 + 1e-6
    uniform = torch.linspace(0, 1, 4000).double()
    assert_close(squared.sort().values, 0.16 + 0.65 * uniform, rtol=0, atol=0.03)
    assert_close(phases.sort().values, 1.5 * uniform, rtol=0, atol=0.06)
    assert_close((2 * units.gamma).exp(), 1 - squared, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("layers", "hidden", "states"), [(1, 3, 5), (4, 26, 26)])
def test_parameters_are_counted_by_formula_and_real(layers: int, hidden: int, states: int) -> None:
    network = FAMILY(layers=layers, hidden=hidden, states=states).build(SHAPE, 0)
    block = 3 * states + 4 * states * hidden + hidden + hidden * (hidden + 1)
    ends = hidden * (SHAPE.inputs + 1) + SHAPE.outputs * (hidden + 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == layers * block + ends
    assert all(value.dtype == torch.float32 for value in network.state_dict().values())


@pytest.mark.parametrize("layers", [1, 3])
def test_the_rule_is_exact_from_the_uppermost_layer_on(layers: int) -> None:
    network = stack(layers)
    exact, online = (gradients(network, rule) for rule in ("backprop", "lru-online"))
    above = [name for name in exact if name.startswith((f"blocks.{layers - 1}.", "decoder."))]
    assert len(above) == 10
    for name in above:
        assert_close(online[name], exact[name], rtol=1e-10, atol=1e-10)
    assert not torch.allclose(online["encoder.weight"], exact["encoder.weight"], rtol=0.01)


def test_the_rule_is_exact_everywhere_without_memory() -> None:
    network = stack(3)
    with torch.no_grad():
        for block in network.blocks:
            block.units.nu.fill_(5.0)  # lambda = exp(-148)
    exact, online = (gradients(network, rule) for rule in ("backprop", "lru-online"))
    for name in exact:
        assert_close(online[name], exact[name], rtol=1e-10, atol=1e-10)


def test_below_the_uppermost_layer_the_gradient_is_approximate() -> None:
    """It is not the gradient by backpropagation, but of its direction; `docs/linear-recurrent-units.md` says so."""
    network = stack(3)
    exact, online = (gradients(network, rule) for rule in ("backprop", "lru-online"))
    for name in ("blocks.0.units.B", "blocks.1.units.B"):
        cosine = torch.cosine_similarity(online[name].flatten(), exact[name].flatten(), dim=0)
        assert 0 < cosine < 0.999


def by_traces(network: Any) -> list[dict[str, Tensor]]:
    """The gradients of nu, theta, gamma and B in every layer, by traces that run forward (section 5.8 of the facts).

    The error of a layer's state is taken within each step by autograd through plain functions of one time step.
    """
    units = [block.units for block in network.blocks]
    weights = [(eigenvalues(layer), complex_of(layer.B), layer.gamma.exp().detach()) for layer in units]
    zero = torch.zeros(BATCH, 7, dtype=torch.complex128)
    states = [zero] * len(units)
    traces = [(zero, zero, zero[..., None].expand(-1, -1, 6)) for _ in units]
    sums = [[torch.zeros(7, dtype=torch.complex128), torch.zeros(7).double(), zero.new_zeros(7, 6)] for _ in units]
    for x, target in zip(INPUTS.unbind(1), TARGETS.unbind(1), strict=True):
        u, reals, inputs = network.encoder(x).detach(), [], []
        for number, (block, (decay, b, gain)) in enumerate(zip(network.blocks, weights, strict=True)):
            inputs.append(u.detach())
            drive = gain * (u.to(torch.complex128) @ b.T)
            before = states[number]
            real = torch.view_as_real((decay * before + drive).detach()).requires_grad_()
            present = torch.view_as_complex(real) + drive - drive.detach()  # with the slope of this step alone
            u = u + block.mix(nn.functional.gelu((present @ complex_of(block.units.C).T).real + block.units.D * u))
            reals.append(real)
            s_decay, s_gamma, s_b = traces[number]
            last = inputs[-1].to(torch.complex128)
            traces[number] = (
                decay * s_decay + before,
                decay * s_gamma + last @ b.T,
                decay[:, None] * s_b + gain[:, None] * last[:, None],
            )
            states[number] = torch.view_as_complex(real.detach())
        loss = (network.decoder(u) - target).square().sum() / 2
        for total, trace, slope in zip(sums, traces, torch.autograd.grad(loss, reals), strict=True):
            delta = torch.complex(slope[..., 0], -slope[..., 1])  # dL/dx, as the facts have it
            total[0] = total[0] + (delta * trace[0]).sum(0)
            total[1] = total[1] + (delta * trace[1]).real.sum(0)
            total[2] = total[2] + (delta[..., None] * trace[2]).sum(0)
    return [_of_parameters(layer, *total) for layer, total in zip(units, sums, strict=True)]


def _of_parameters(layer: Any, decay: Tensor, gamma: Tensor, b: Tensor) -> dict[str, Tensor]:
    """The chain rule from lambda to nu and theta, from exp(gamma) to gamma, and from B to its two real parts."""
    value = eigenvalues(layer)
    return {
        "nu": (-(decay * value).real * layer.nu.exp()).detach(),
        "theta": (decay * 1j * value).real * layer.theta.exp().detach(),
        "gamma": layer.gamma.exp().detach() * gamma,
        "B": torch.stack([b.real, -b.imag]),  # dL/d(Im B) = Re(i dL/dB)
    }


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_rule_is_that_of_traces_which_run_forward(layers: int) -> None:
    network = stack(layers)
    online = gradients(network, "lru-online")
    for number, expected in enumerate(by_traces(network)):
        for name in RECURRENT:
            assert_close(online[f"blocks.{number}.units.{name}"], expected[name], rtol=1e-10, atol=1e-10)


def test_it_refuses_networks_of_other_kinds() -> None:
    check_pair(resolve("mnist1d", "lru", "lru-online", "paper", "smoke", []))
    with pytest.raises(UsageError, match=r"cannot train gru: .* linear recurrent units"):
        check_pair(resolve("mnist1d", "gru", "lru-online", "paper", "smoke", []))
    with pytest.raises(UsageError, match="gle-15k learns online"):
        check_pair(resolve("mnist1d", "gle-15k", "lru-online", "paper", "smoke", []))


def test_eigenvalues_and_gains_learn_at_a_rate_of_their_own() -> None:
    family = FAMILY(recurrent_rate=0.5)
    network = family.build(SHAPE, 0)
    rest, slow = family.rate_groups(network)
    assert (rest.factor, slow.factor) == (1.0, 0.5)
    named = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {named[id(parameter)].rpartition(".")[2] for parameter in slow.parameters} == {"nu", "theta", "gamma"}
    assert len(rest.parameters) + len(slow.parameters) == len(named)
