"""The random generator of first weights, which depend on the seed alone."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's generator inside the block, where first weights are drawn, and restores the caller's state."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
