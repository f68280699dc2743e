"""A test that the cross-entropy written by hand equals PyTorch's."""

import pytest
import torch
from torch.nn import functional

from gle_bench.contracts import cross_entropy


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])  # at 1e4 an exponential that nothing is taken from overflows
def test_cross_entropy_and_its_gradient_are_those_of_log_softmax(scale: float) -> None:
    torch.manual_seed(0)
    logits = (scale * torch.randn(2, 5, 7, 4, dtype=torch.float64)).requires_grad_()
    targets = functional.one_hot(torch.randint(0, 4, (2, 5, 7)), 4).double()
    expected = -(targets * logits.log_softmax(-1)).sum(-1)
    found = cross_entropy(logits, targets)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12 * scale)
    torch.testing.assert_close(*(torch.autograd.grad(x.sum(), logits)[0] for x in (found, expected)))


def test_equal_logits_cost_the_logarithm_of_their_number() -> None:
    found = cross_entropy(torch.full((1, 1, 1, 10), 3.0), functional.one_hot(torch.tensor([[[2]]]), 10).float())
    torch.testing.assert_close(found.exp(), torch.full((1, 1, 1), 10.0))


def test_what_is_not_finite_is_not_hidden() -> None:
    logits = torch.tensor([[float("nan"), 0.0], [float("inf"), 0.0]])
    assert not cross_entropy(logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]])).isfinite().any()
