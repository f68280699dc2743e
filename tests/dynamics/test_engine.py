"""Tests of engines on whole batches: pure and resumable at any step; and of `torch` with rules of any window."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from networks import FIXED, descend, make_batch, make_network, make_parameters, normal
from shared import SUPPORT
from torch import Tensor

from gle_bench.contracts import OnlineRule
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, pack, select
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import BlockParameters, Parameters, State, zero_state
from gle_bench.dynamics.step import step
from gle_bench.dynamics.window import Learned, Window
from gle_bench.rules.gle import GLE

BATCH, STEPS = 4, 30
TORCH = TorchEngine()  # runs rules that other engines do not know
BIASLESS: dict[str, Any] = {"layers": [{"bias": False}] * 4}
LEARNS = pytest.mark.parametrize(
    "learns", [{}, {"learn_tau_m": True, "learn_tau_r": True, "tau_range": (0.2, 5.0)}], ids=["fixed taus", "taus"]
)


class Bptt(OnlineRule):
    """Truncated backpropagation through time: autograd through a window, mean squared error summed over its steps."""

    name = "test-bptt"

    def __init__(self, window: int) -> None:
        self.window = window
        self.windows: list[int] = []

    def learn(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        memory: tuple[Tensor, ...],
        window: Window,
        seams: Seams,
    ) -> Learned:
        self.windows.append(window.steps)
        weights = [block.weight.clone().requires_grad_() for block in parameters]
        leaves = tuple(block._replace(weight=weight) for block, weight in zip(parameters, weights, strict=True))
        with torch.enable_grad():
            loss, state, outputs = total_loss(network, leaves, state, window, seams)
            # A window shorter than the network is deep does not see the lowest weights.
            grads = torch.autograd.grad(loss, weights, materialize_grads=True)
        gradients = tuple(BlockParameters(grad, None, None, None) for grad in grads)
        state = tuple(type(block)(*(tensor.detach() for tensor in block)) for block in state)
        return Learned(state, gradients, outputs.detach())


def total_loss(
    network: Network, parameters: Parameters, state: State, window: Window, seams: Seams = NO_SEAMS
) -> tuple[Tensor, State, Tensor]:
    """Squared error summed over members, steps and channels, a mean over the batch; final state; outputs."""
    outputs = []
    for t in range(window.steps):
        inputs, _, _ = window.at(t, state[0].u.shape[1])
        result = step(network, parameters, state, inputs, plastic=False, seams=seams.at(t))
        state = result.state
        outputs.append(result.signals.output)
    y = torch.stack(outputs, 2)
    assert window.target is not None
    return (window.target - y).square().sum() / (2 * y.shape[1]), state, y


def network_of(**options: Any) -> Network:
    return make_network((2, 4, 4, 4, 3), **({"loss": "mse"} | options))


def started(network: Network, kind: str = "adam", members: int = 1, seed: int = 0) -> Carry:
    return start(network, make_parameters(network, seed, members), Optimizer(kind), BATCH)


def learn(
    engine: Any, network: Network, rule: Any, carry: Carry, batch: Window, kind: str = "adam", rate: float = 0.01
) -> Any:
    rates = torch.full((carry.parameters[0].weight.shape[1],), rate, dtype=torch.float64)
    return engine.learn(network, rule, Optimizer(kind), carry, batch, rates)


def tensors_of(carry: Carry) -> list[Tensor]:
    blocks = [*carry.parameters, *carry.state]
    return [x for block in blocks for x in block if x is not None] + [carry.optimizer.mean, carry.optimizer.square]


def equal(a: Carry, b: Carry) -> bool:
    pairs = zip(tensors_of(a), tensors_of(b), strict=True)
    return a.optimizer.updates == b.optimizer.updates and all(torch.equal(x, y) for x, y in pairs)


@LEARNS
@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_what_the_caller_passes_in_is_left_alone(engine: Any, kind: str, learns: dict[str, Any]) -> None:
    left_alone(engine, network_of(**learns), GLE(), kind)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_what_the_caller_passes_in_is_left_alone_by_a_rule_with_a_window(kind: str) -> None:
    left_alone(TORCH, network_of(**BIASLESS), Bptt(7), kind)


def left_alone(engine: Any, network: Network, rule: Any, kind: str) -> None:
    batch = make_batch(network, STEPS, BATCH)
    carry, _ = learn(engine, network, GLE(), started(network, kind), batch, kind)
    before = [tensor.clone() for tensor in (*tensors_of(carry), batch.inputs, batch.target)]
    first, outputs = learn(engine, network, rule, carry, batch, kind)
    assert not equal(first, carry)
    engine.infer(network, carry.parameters, carry.state, batch)
    assert all(torch.equal(a, b) for a, b in zip(before, (*tensors_of(carry), batch.inputs, batch.target), strict=True))
    kept = [tensor.clone() for tensor in (*tensors_of(first), outputs)]
    again, same = learn(engine, network, rule, carry, batch, kind)
    assert equal(first, again)
    assert torch.equal(outputs, same)
    learn(engine, network, rule, again, batch, kind)
    assert all(torch.equal(a, b) for a, b in zip(kept, (*tensors_of(first), outputs), strict=True))  # nor is a result


@LEARNS
@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("cut", [1, 13])
def test_a_batch_in_two_parts_equals_the_whole(engine: Any, loss: str, cut: int, learns: dict[str, Any]) -> None:
    network = network_of(loss=loss, **learns)
    carry, batch = started(network, members=2), make_batch(network, STEPS, BATCH, members=2)
    batch = batch._replace(mask=(normal(2, BATCH, STEPS, seed=3) > 0).double())
    whole, outputs = learn(engine, network, GLE(), carry, batch)
    half, first = learn(engine, network, GLE(), carry, batch.part(0, cut))
    both, second = learn(engine, network, GLE(), half, batch.part(cut, STEPS))
    assert equal(whole, both)
    assert torch.equal(outputs, torch.cat([first, second], 2))
    assert outputs.shape == (2, BATCH, STEPS, 3)


def test_a_time_dimension_of_one_stands_for_constant_signals(engine: Any) -> None:
    network = network_of()
    carry, short = started(network), make_batch(network, 1, BATCH)
    short = short._replace(steps=STEPS, mask=torch.tensor([1.0, 0, 1, 1], dtype=torch.float64)[None, :, None])
    long = Window(STEPS, *(x.repeat(1, 1, STEPS, *[1] * (x.dim() - 3)) for x in short[1:4]))
    (a, x), (b, y) = (learn(engine, network, GLE(), carry, batch) for batch in (short, long))
    assert torch.equal(x, y)
    assert equal(a, b)
    (_, x), (_, y) = (engine.infer(network, carry.parameters, carry.state, batch) for batch in (short, long))
    assert torch.equal(x, y)


def test_learning_is_a_step_and_an_update_in_turn(engine: Any) -> None:
    network = network_of()
    carry, batch = started(network, "sgd"), make_batch(network, STEPS, BATCH)
    after, outputs = learn(engine, network, GLE(), carry, batch, "sgd")
    parameters, state = carry.parameters, carry.state
    for t in range(STEPS):
        result = step(network, parameters, state, *batch.at(t, 1))
        torch.testing.assert_close(outputs[:, :, t], result.signals.output, rtol=0, atol=1e-13)
        state, parameters = result.state, descend(parameters, result.gradients, 0.01)
    torch.testing.assert_close(after.parameters[1].weight, parameters[1].weight, rtol=0, atol=1e-13)


def test_state_follows_the_size_of_the_batch(engine: Any) -> None:
    network = network_of()
    carry, _ = learn(engine, network, GLE(), started(network), make_batch(network, STEPS, BATCH))
    large, _ = learn(engine, network, GLE(), carry, make_batch(network, STEPS, 10))
    assert large.state[0].u.shape[2] == 10
    state, outputs = engine.infer(network, carry.parameters, carry.state, make_batch(network, 5, 3))
    assert (state[0].u.shape[2], outputs.shape) == (3, (1, 3, 5, 3))


VARIANTS: dict[str, dict[str, Any]] = {
    "ce": {"loss": "ce"},
    "mse": {"loss": "mse"},
    **{phi: {"phis": [phi] * 4} for phi in ("softplus", "relu", "hard-sigmoid")},
    "no bias": {"layers": [{"bias": False}, {}, {"bias": False}, {}]},
    "fixed": {"layers": [{"connection": FIXED}, {}, {"connection": FIXED}, {}]},
    "gamma": {"layers": [{"gamma": 0.3}] * 4},
    "instantaneous errors": {"layers": [{"prospective_errors": False}] * 4},
    "forgets": {"layers": [{"forgets": True}, {}, {}, {}]},
    "beta": {"beta": 0.3},
    "learnt taus": {"learn_tau_m": True, "learn_tau_r": True, "tau_range": (0.2, 5.0)},
}


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_engines_agree_with_torch(engine: Any, variant: str, kind: str) -> None:
    """With two batches of different size, an evaluation between them, a mask, a decaying rate, own or shared data."""
    network = network_of(**VARIANTS[variant])
    rates, ends = torch.tensor([0.01, 0.003], dtype=torch.float64), []
    for runner in (TORCH, engine):
        carry, seen = started(network, kind, members=2), []
        for size, members in ((BATCH, 2), (7, 1)):
            batch = make_batch(network, STEPS, size, seed=size, members=members)
            batch = batch._replace(mask=(normal(members, size, STEPS, seed=3) > -1).double())
            carry, outputs = runner.learn(network, GLE(), Optimizer(kind), carry, batch, rates, 0.99)
            state, answers = runner.infer(network, carry.parameters, carry.state, batch)
            seen += [outputs, answers, *(x for block in state for x in block)]
        ends.append([*seen, *tensors_of(carry), torch.tensor(carry.optimizer.updates)])
    for ours, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-10)


def test_layers_that_forget_do_so_between_batches_only(engine: Any) -> None:
    network = network_of(layers=[{"forgets": True}] * 4)
    batch = make_batch(network, STEPS, BATCH)
    carry, first = learn(engine, network, GLE(), started(network), batch, rate=0.0)
    assert carry.state[0].u.any()
    _, second = learn(engine, network, GLE(), carry, batch, rate=0.0)
    assert torch.equal(first, second)


def test_a_rule_with_a_window_gets_the_exact_gradient() -> None:
    """With one window over all steps and plain descent, the update is autograd's gradient of the summed loss."""
    network = network_of(**BIASLESS)
    carry, batch = started(network, "sgd"), make_batch(network, STEPS, BATCH)
    after, outputs = learn(TORCH, network, Bptt(STEPS), carry, batch, "sgd", rate=0.1)
    flat = pack(network, carry.parameters).requires_grad_()
    weights, begin = [], 0
    for block in carry.parameters:
        weights.append(flat[begin : begin + block.weight.numel()].view(block.weight.shape))
        begin += block.weight.numel()
    leaves = tuple(block._replace(weight=w) for block, w in zip(carry.parameters, weights, strict=True))
    loss, _, expected = total_loss(network, leaves, carry.state, batch)
    (grad,) = torch.autograd.grad(loss, flat)
    assert torch.equal(outputs, expected.detach())
    torch.testing.assert_close(pack(network, after.parameters), (flat - 0.1 * grad).detach(), rtol=0, atol=1e-14)
    numeric = (difference(network, carry, batch, 1e-6) - difference(network, carry, batch, -1e-6)) / 2e-6
    assert grad[3].item() == pytest.approx(numeric, rel=1e-6)


def difference(network: Network, carry: Carry, batch: Window, by: float) -> float:
    """The difference quotient of the loss by the fourth weight of the flat vector."""
    weight = carry.parameters[0].weight.clone()
    weight.view(-1)[3] += by
    moved = (carry.parameters[0]._replace(weight=weight), *carry.parameters[1:])
    return total_loss(network, moved, carry.state, batch)[0].item()


def test_a_window_that_does_not_divide_the_steps_leaves_a_shorter_one() -> None:
    network = network_of(**BIASLESS)
    rule = Bptt(7)
    carry, outputs = learn(TORCH, network, rule, started(network), make_batch(network, STEPS, BATCH))
    assert rule.windows == [7, 7, 7, 7, 2]
    assert carry.optimizer.updates == 5
    assert outputs.isfinite().all()


def test_a_rule_with_a_window_works_in_ensembles() -> None:
    network = network_of(**BIASLESS)
    carry, batch = started(network, members=3), make_batch(network, STEPS, BATCH)
    together, outputs = learn(TORCH, network, Bptt(7), carry, batch)
    for number in range(3):
        alone, output = learn(TORCH, network, Bptt(7), select(network, carry, [number]), batch)
        torch.testing.assert_close(output[0], outputs[number], rtol=0, atol=1e-10)
        for a, b in zip(tensors_of(alone), tensors_of(select(network, together, [number])), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


class Counting(GLE):
    """GLE with a memory: how many steps each sample has been learned from."""

    def start(self, network: Network, parameters: Parameters, batch: int, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
        return (torch.zeros(parameters[0].weight.shape[1], batch),)

    def learn(
        self, network: Network, parameters: Parameters, state: State, memory: Any, window: Window, seams: Seams
    ) -> Learned:
        return super().learn(network, parameters, state, (), window, seams)._replace(memory=(memory[0] + 1,))


def test_a_rules_memory_is_carried_and_starts_anew_with_another_batch_size() -> None:
    network = network_of()
    carry, _ = learn(TORCH, network, Counting(), started(network), make_batch(network, 5, BATCH))
    carry, _ = learn(TORCH, network, Counting(), carry, make_batch(network, 6, BATCH))
    assert torch.equal(carry.memory[0], torch.full((1, BATCH), 11.0))
    carry, _ = learn(TORCH, network, Counting(), carry, make_batch(network, 3, 2))
    assert torch.equal(carry.memory[0], torch.full((1, 2), 3.0))


def test_a_rule_that_an_engine_does_not_know_is_not_run_as_gle(engine: Any) -> None:
    """An engine must refuse it, which skips this test, or run it by the rule's own code."""
    network = network_of()
    carry, _ = learn(engine, network, Counting(), started(network), make_batch(network, 5, BATCH))
    assert torch.equal(carry.memory[0], torch.full((1, BATCH), 5.0))


def test_a_closed_loop_reads_no_true_input_past_the_switch(engine: Any) -> None:
    """With NaN as later inputs, outputs stay finite, because the network's inputs are its own outputs."""
    network, switch = make_network((1, 4, 1), loss="mse"), 10
    carry = started(network)
    batch = make_batch(network, STEPS, BATCH)._replace(target=None)
    batch.inputs[:, :, switch:] = torch.nan

    feedback = DelayedFeedback(1, (0,), switch)
    _, outputs = engine.infer(network, carry.parameters, carry.state, batch, feedback=feedback)
    fed = torch.cat([batch.inputs[:, :, :switch], outputs[:, :, switch - 1 : -1]], 2)
    _, again = engine.infer(network, carry.parameters, carry.state, batch._replace(inputs=fed))
    assert outputs.isfinite().all()
    assert torch.equal(outputs, again)


def test_inference_is_what_learning_at_rate_zero_shows(engine: Any) -> None:
    network = network_of()
    carry, batch = started(network, members=2), make_batch(network, STEPS, BATCH)
    _, learned = learn(engine, network, GLE(), carry, batch, rate=0.0)
    for errors in (True, False):
        state, seen = engine.infer(network, carry.parameters, carry.state, batch, errors=errors)
        torch.testing.assert_close(seen, learned, rtol=0, atol=1e-13)
        assert not state[-1].e.any()  # nobody nudged


def test_a_teacher_sets_the_target_and_its_twin_has_no_error(engine: Any) -> None:
    network = network_of()
    teacher, student = make_parameters(network, seed=1), make_parameters(network, seed=2)
    batch = make_batch(network, STEPS, BATCH)
    state = zero_state(network, teacher, BATCH)
    _, target = engine.infer(network, teacher, state, batch)
    batch = batch._replace(target=target)
    for parameters, learns in ((teacher, False), (student, True)):
        carry = start(network, parameters, Optimizer("adam"), BATCH)
        after, outputs = learn(engine, network, GLE(), carry, batch)
        assert torch.equal(outputs, target) != learns
        assert any(bool(block.e.any()) for block in after.state) == learns
        moved = [not torch.equal(a.weight, b.weight) for a, b in zip(after.parameters, parameters, strict=True)]
        assert all(moved) if learns else not any(moved)


PEAKS = """
import resource, sys, torch
sys.path.insert(0, {tests!r})
from networks import make_network, make_parameters
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.window import Window
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.rules.gle import GLE

torch.set_num_threads(1)
network = make_network((2, 32, 32, 32, 2))
engine = choice.make({engine!r})
carry = start(network, make_parameters(network), Optimizer("adam"), 64)
inputs, target, rates = torch.ones(1, 64, 1, 2).double(), torch.eye(2).double()[:1, None, None], torch.ones(1).double()
for steps in (36, 36, 720):
    engine.learn(network, GLE(), Optimizer("adam"), carry, Window(steps, inputs, target, None), rates)
    engine.infer(network, carry.parameters, carry.state, Window(steps, inputs, None, None))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_steps(engine: Any) -> None:
    """A state is half a megabyte here, so that keeping all of them would add more than 300."""
    script = PEAKS.format(engine=engine.name, tests=str(SUPPORT))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    _, short, long = (int(line) / 1024 for line in done.stdout.split())
    assert long - short < 20
