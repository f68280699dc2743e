"""What a local rule remembers when a state is reset between samples, and when gradients are asked of another batch."""

import torch
from networks import make_network, make_parameters, normal

from gle_bench.dynamics import local_memory
from gle_bench.dynamics.choices import LocalOptions
from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.rules.gle import GLE


def test_a_reset_empties_traces_and_delay_lines_and_keeps_learned_feedback() -> None:
    network = make_network((2, 4, 4, 3))
    choices = LocalOptions(own="trace", delay="full", feedback="kolen-pollack")
    rule, optimizer = GLE().with_options(choices), Optimizer("sgd")
    carry = start(network, make_parameters(network), optimizer, 5)
    generator = torch.Generator().manual_seed(3)
    inputs, target = (torch.randn(1, 5, 12, n, generator=generator, dtype=torch.float64) for n in (2, 3))
    window, rates, seams = Window(12, inputs, target, None), torch.tensor([0.1]), Seams(seeds=(7,))
    begun = local_memory.nested(network, choices, rule.start(network, carry.parameters, 5, (7,)))
    carry, _ = TorchEngine().learn(network, rule, optimizer, carry, window, rates, seams=seams)
    learned = local_memory.nested(network, choices, carry.memory)
    reset = rule.restart(network, carry.parameters, carry.memory, 5, (7,))
    for first, before, after in zip(begun, learned, local_memory.nested(network, choices, reset), strict=True):
        assert before.back is not None
        assert first.back is not None
        assert after.back is not None
        assert torch.equal(after.back, before.back)
        assert not torch.equal(after.back, first.back)
        for name, tensor in after._asdict().items():
            assert tensor is None or name == "back" or not tensor.any()
            assert (tensor is None) == (getattr(before, name) is None)
    assert any(block.trace is not None and bool(block.trace.any()) for block in learned)


def test_gradients_of_another_batch_size_go_on_from_the_memory() -> None:
    network = make_network((2, 4, 4, 3))
    rule = GLE().with_options(LocalOptions(own="trace", delay="full"))
    parameters, engine = make_parameters(network), TorchEngine()
    inputs, target = (normal(1, 5, 12, n, seed=n) for n in (2, 3))
    whole = Window(12, inputs, target, None)
    first = engine.gradients(network, rule, parameters, zero_state(network, parameters, 5), whole)
    fewer = Window(12, inputs[:, :3], target[:, :3], None)
    after = engine.gradients(network, rule, parameters, first.state, fewer, memory=first.memory)
    alone = engine.gradients(network, rule, parameters, zero_state(network, parameters, 3), fewer)
    on = engine.gradients(network, rule, parameters, alone.state, fewer, memory=alone.memory)
    for block, expected in zip(after.accumulated, on.accumulated, strict=True):
        assert block.weight is not None
        assert expected.weight is not None
        torch.testing.assert_close(block.weight, expected.weight, rtol=1e-12, atol=1e-14)
