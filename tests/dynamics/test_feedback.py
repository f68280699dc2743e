"""Tests of closed loops, in which a network's predictions become its inputs, and true values are never read."""

from typing import Any

import pytest
import torch
from networks import make_network, make_parameters, normal
from torch import Tensor

from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import Parameters, initial_parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import UsageError

ORDERED = pytest.mark.parametrize("integrator", ["exponential", "rk4"])
STEPS, BATCH = 40, 2
ENGINE = TorchEngine()


def delayed(signal: Tensor, delays: tuple[int, ...], steps: int) -> Tensor:
    """Channels (S, B, T, C) of a signal (S, B, max delay + T) whose step 0 lies at the largest delay."""
    past = max(delays)
    return torch.stack([signal[..., past - delay : past - delay + steps] for delay in delays], -1)


def unrolled(network: Network, parameters: Parameters, inputs: Tensor, feedback: Any) -> Tensor:
    batch = Window(inputs.shape[2], inputs, None, None)
    state = zero_state(network, parameters, inputs.shape[1])
    return ENGINE.infer(network, parameters, state, batch, feedback=feedback)[1]


@ORDERED
@pytest.mark.parametrize(("horizon", "delays", "forced"), [(1, (0, 3), 1), (3, (0, 5), 9), (4, (2, 0), 4)])
def test_a_linear_network_walks_its_own_recurrence(
    integrator: str, horizon: int, delays: tuple[int, int], forced: int
) -> None:
    """It follows x(t + h) = a x(t - d) + b x(t - d') from the true signal before the loop closes."""
    a, b = 0.9, -0.4
    layer = Layer(2, 1, (1.0,), (1.0,), phi="identity", bias=False)
    network = Network((layer,), dt=0.2, loss="mse", integrator=integrator)
    parameters = initial_parameters(network, [torch.tensor([[a, b]], dtype=torch.float64)], [None])
    past = max(delays)
    signal = normal(1, BATCH, past + STEPS + horizon, seed=1)
    inputs = delayed(signal, delays, STEPS)
    outputs = unrolled(network, parameters, inputs, DelayedFeedback(horizon, delays, forced))
    for t in range(STEPS):
        now = [signal[..., past + t - delay] for delay in delays]
        predicted = a * now[0] + b * now[1]
        torch.testing.assert_close(outputs[:, :, t, 0], predicted, rtol=1e-12, atol=1e-12)
        if t + horizon >= forced:
            signal[..., past + t + horizon] = predicted
    assert outputs.abs().max() > 1e-3


@pytest.mark.parametrize("integrator", ["euler", "exponential", "rk4"])
@pytest.mark.parametrize("members", [1, 3])
def test_no_true_value_past_the_switch_is_read(integrator: str, members: int) -> None:
    """Outputs are bit-identical with NaN as later inputs, and equal those of an open loop with the same inputs."""
    horizon, delays, forced = 3, (0, 2, 6), 12
    network = make_network((3, 6, 5, 1), loss="mse", integrator=integrator)
    parameters, feedback = make_parameters(network, members=members), DelayedFeedback(horizon, delays, forced)
    past = max(delays)
    signal = normal(1, BATCH, past + STEPS, seed=2)
    inputs = delayed(signal, delays, STEPS)
    outputs = unrolled(network, parameters, inputs, feedback)
    signal[..., past + forced :] = torch.nan
    poisoned = delayed(signal, delays, STEPS)
    assert poisoned.isnan().any()
    assert torch.equal(unrolled(network, parameters, poisoned, feedback), outputs)
    assert outputs.isfinite().all()

    fed = torch.stack([feedback(t, poisoned, outputs[:, :, :t]) for t in range(STEPS)], 2)
    assert torch.equal(unrolled(network, parameters, fed, None), outputs)
    assert (outputs[:, :, forced:] - unrolled(network, parameters, inputs, None)[:, :, forced:]).abs().max() > 1e-3


@pytest.mark.parametrize("integrator", ["euler", "exponential", "rk4"])
def test_any_function_closes_a_loop_and_sees_the_outputs_so_far(integrator: str) -> None:
    """RK4 also needs the input of the next step; the function is asked for existing steps alone."""
    network = make_network((3, 4, 1), loss="mse", integrator=integrator)
    parameters = make_parameters(network)
    inputs, asked = normal(1, BATCH, STEPS, 3, seed=4), set()

    def feedback(t: int, given: Tensor, outputs: Tensor) -> Tensor:
        assert given is inputs
        assert outputs.shape == (1, BATCH, t, 1)
        assert outputs.isfinite().all()
        asked.add(t)
        return given[:, :, t] + outputs.sum(2)

    outputs = unrolled(network, parameters, inputs, feedback)
    assert asked == set(range(STEPS))
    fed = inputs + torch.cat([torch.zeros(1, BATCH, 1, 1), outputs.cumsum(2)[:, :, :-1]], 2)
    torch.testing.assert_close(unrolled(network, parameters, fed, None), outputs)


def test_a_channel_is_true_as_long_as_its_delay_reaches_back() -> None:
    """Each input is the number of its step, and outputs are -1, -2, ..., so that both can be told apart."""
    feedback, steps = DelayedFeedback(2, (0, 4), 5), 12
    inputs = torch.arange(steps).expand(1, 1, -1)[..., None] * torch.tensor([1.0, 100.0])
    outputs = -1 - torch.arange(steps).expand(3, 1, -1)[..., None].float()
    found = torch.stack([feedback(t, inputs, outputs[:, :, :t]) for t in range(steps)], 2)
    assert found.shape == (3, 1, steps, 2)
    assert found[0, 0, :, 0].tolist() == [0, 1, 2, 3, 4, -4, -5, -6, -7, -8, -9, -10]
    assert found[2, 0, :, 1].tolist() == [0, 100, 200, 300, 400, 500, 600, 700, 800, -4, -5, -6]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((0, (0,), 5), r"^horizon = 0 steps must be at least 1"),
        ((1, (0, -1), 5), r"^delays = \(0, -1\) must be at least one, none below 0"),
        ((1, (), 5), r"^delays = \(\) must be at least one"),
        ((6, (0,), 5), r"^horizon = 6 steps lies beyond the buffer: [^\n]+ lower horizon, or raise forced to 6\.$"),
    ],
)
def test_what_cannot_close_a_loop_is_refused_with_the_cure(given: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        DelayedFeedback(*given)


def test_channels_that_nothing_is_said_about_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^delays = \(0, 1\) are not one a channel of 3 inputs"):
        DelayedFeedback(1, (0, 1), 3)(0, torch.zeros(1, 1, 4, 3), torch.zeros(1, 1, 0, 1))
