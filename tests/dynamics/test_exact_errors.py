"""Tests that GLE's errors and local gradients are exact in the cases in which the theory says so."""

from typing import Any

import pytest
import torch
from networks import PHIS, descend, layerwise, make_batch, make_network, make_parameters, normal
from torch import Tensor

from gle_bench.dynamics.network import Network
from gle_bench.dynamics.state import BlockState, Parameters, State, zero_state
from gle_bench.dynamics.step import step

SIZES = (3, 5, 5, 5, 4)
BATCH = 6


def cost(network: Network, rates: Tensor, target: Tensor) -> Tensor:
    """The loss of Eqs. 51, 53 and 54, summed over the batch."""
    if network.loss == "ce":
        return -(target * rates.log_softmax(-1)).sum()
    return (target - rates).square().sum() / 2


def settled_gradients(network: Network, parameters: Parameters, inputs: Tensor, target: Tensor) -> list[dict[str, Any]]:
    """Gradients, as batch means, of the feedforward network that a GLE network with tau_m = tau_r settles into."""
    rates, potentials, leaves = inputs, [], []
    for layer, p in zip(network.layers, layerwise(network, parameters), strict=True):
        weight, bias = (p[name].clone().requires_grad_() for name in ("weight", "bias"))
        potential = rates @ weight.transpose(1, 2) + bias
        rates = PHIS[layer.phi](potential)
        potentials.append(potential)
        leaves.append((weight, bias))
    wanted = [*potentials, *(leaf for pair in leaves for leaf in pair)]
    grads = torch.autograd.grad(network.beta * cost(network, rates, target), wanted)
    count = len(potentials)
    return [
        {"e": -grads[n], "weight": grads[count + 2 * n] / BATCH, "bias": grads[count + 2 * n + 1] / BATCH}
        for n in range(count)
    ]


@pytest.mark.parametrize("output", ["identity", "tanh"])
@pytest.mark.parametrize("hidden", PHIS)
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_settled_errors_are_backpropagation_s(loss: str, hidden: str, output: str) -> None:
    """With gamma = 0 errors do not change rates, so this holds for any beta, up to rounding, after 2 L steps."""
    network = make_network(SIZES, [hidden] * 3 + [output], instantaneous=True, loss=loss, beta=0.7)
    parameters = make_parameters(network, members=2)
    batch = make_batch(network, 1, BATCH)
    inputs, target, _ = batch.at(0, 2)
    state = zero_state(network, parameters, BATCH)
    for _ in range(2 * len(network.layers)):
        result = step(network, parameters, state, inputs, target)
        state = result.state
    expected = settled_gradients(network, parameters, inputs, target)
    states, gradients = layerwise(network, state), layerwise(network, result.gradients)
    for exact, neurons, gradient in zip(expected, states, gradients, strict=True):
        assert exact["e"].abs().max() > 1e-4
        torch.testing.assert_close(neurons["e"], exact["e"], rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient["weight"], exact["weight"], rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient["bias"], exact["bias"], rtol=0, atol=1e-12)


def test_errors_that_move_the_membrane_give_the_gradient_as_nudging_vanishes() -> None:
    """With gamma = 1 errors change rates, so they are exact to first order in a small beta only."""
    deviations = []
    for beta in (1e-3, 1e-4):
        network = make_network(SIZES, instantaneous=True, layers=[{"gamma": 1.0}] * 4, loss="mse", beta=beta)
        parameters = make_parameters(network)
        inputs, target, _ = make_batch(network, 1, BATCH).at(0, 1)
        state = zero_state(network, parameters, BATCH)
        for _ in range(60):
            state = step(network, parameters, state, inputs, target).state
        exact = settled_gradients(network, parameters, inputs, target)
        pairs = zip(layerwise(network, state), exact, strict=True)
        deviations.append(max(((mine["e"] - theirs["e"]).abs().max() / beta).item() for mine, theirs in pairs))
    assert deviations[0] < 0.05
    assert deviations[1] == pytest.approx(deviations[0] / 10, rel=0.1)


def energy(
    network: Network, leaves: list[dict[str, Tensor]], inputs: Tensor, target: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The energy of Eq. 3 with e = D^+_{tau_m}{u} - W r - b, as a batch mean, and the errors.

    u and u_dot are independent variables.
    """
    rates, errors = inputs, []
    for layer, leaf in zip(network.layers, leaves, strict=True):
        basal = rates @ leaf["weight"].transpose(1, 2) + leaf["bias"]
        errors.append(leaf["u"] + leaf["tau_m"] * leaf["u_dot"] - basal)
        rates = PHIS[layer.phi](leaf["u"] + leaf["tau_r"] * leaf["u_dot"])
    mismatch = torch.stack([e.square().sum() for e in errors]).sum() / 2
    return (mismatch + network.beta * cost(network, rates, target)) / BATCH, errors


def state_of(network: Network, leaves: list[dict[str, Tensor]], errors: list[Tensor], nudging: Tensor) -> State:
    """The state before a step with these u, u_dot and e; v follows from the error's own dynamics (Eq. 45)."""
    states = []
    for number, (layer, leaf, e) in enumerate(zip(network.layers, leaves, errors, strict=True)):
        potential = (leaf["u"] + leaf["tau_r"] * leaf["u_dot"]).detach().requires_grad_()
        rates = PHIS[layer.phi](potential)
        (slope,) = torch.autograd.grad(rates.sum(), potential)
        above = nudging if number == len(leaves) - 1 else errors[number + 1] @ leaves[number + 1]["weight"]
        ratio = leaf["tau_m"] / leaf["tau_r"]
        v = (e - ratio * slope * above) / (1 - ratio)
        states.append([leaf["u"], v, rates.detach(), e, slope, e @ leaf["weight"]])
    layers = [[tensor.detach() for tensor in tensors] for tensors in states]
    return tuple(
        BlockState(*(torch.stack(tensors) for tensors in zip(*layers[b.first : b.first + len(b.layers)], strict=True)))
        for b in network.blocks
    )


@pytest.mark.parametrize("hidden", PHIS)
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_eqs_21_to_24_are_the_gradient_of_the_energy(loss: str, hidden: str) -> None:
    """Autograd of Eq. 3 by W, b, tau_m and tau_r, at fixed u and u_dot, against one step (gamma = 1, as in Eq. 6)."""
    network = make_network(
        SIZES,
        [hidden] * 3 + ["identity"],
        layers=[{"gamma": 1.0}] * 4,
        loss=loss,
        beta=0.7,
        learn_tau_m=True,
        learn_tau_r=True,
    )
    parameters = make_parameters(network, members=2)
    inputs, target, _ = make_batch(network, 1, BATCH).at(0, 2)
    leaves = layerwise(network, parameters)
    for number, (leaf, layer) in enumerate(zip(leaves, network.layers, strict=True)):
        leaf |= {name: normal(2, BATCH, layer.neurons, seed=10 * number + k) for k, name in enumerate(("u", "u_dot"))}
        for tensor in leaf.values():
            tensor.requires_grad_()
    value, errors = energy(network, leaves, inputs, target)
    names = ("weight", "bias", "tau_m", "tau_r")
    grads = torch.autograd.grad(value, [leaf[name] for leaf in leaves for name in names])

    with torch.no_grad():
        rates = PHIS["identity"](leaves[-1]["u"] + leaves[-1]["tau_r"] * leaves[-1]["u_dot"])
        nudging = network.beta * (target - (rates.softmax(-1) if loss == "ce" else rates))
    state = state_of(network, leaves, errors, nudging)
    result = step(network, make_parameters(network, members=2), state, inputs, target)
    for block, u_dot in zip(network.blocks, result.signals.u_dot, strict=True):
        for k in range(len(block.layers)):
            torch.testing.assert_close(u_dot[k], leaves[block.first + k]["u_dot"].detach())
    for number, gradient in enumerate(layerwise(network, result.gradients)):
        for name, exact in zip(names, grads[4 * number : 4 * number + 4], strict=True):
            torch.testing.assert_close(gradient[name], exact, rtol=1e-10, atol=1e-10)


def test_descending_the_gradients_lowers_the_cost() -> None:
    network = make_network(SIZES, instantaneous=True, loss="ce")
    parameters = make_parameters(network)
    inputs, target, _ = make_batch(network, 1, BATCH).at(0, 1)
    state, costs = zero_state(network, parameters, BATCH), []
    for _ in range(300):
        result = step(network, parameters, state, inputs, target)
        state, parameters = result.state, descend(parameters, result.gradients, 0.1)
        costs.append(cost(network, result.signals.output, target).item())
    assert costs[-1] < 0.2 * costs[10]
