"""Which samples make which batch, and how the rate falls: functions of seed and place alone."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gle_bench.config import Constant, Exponential, Plateau, TrainingConfig
from gle_bench.training.rates import SeedRate
from gle_bench.training.rounds import Pick, batches_per_epoch, order, round_batches, round_ends, seed_of

SEEDS = st.integers(0, 10**6)
TRAININGS = st.one_of(
    st.builds(TrainingConfig, epochs=st.integers(1, 4), batch_size=st.integers(1, 9)),
    st.builds(
        TrainingConfig, batches=st.integers(1, 40), evaluate_every=st.integers(1, 20), batch_size=st.integers(1, 9)
    ),
)


def all_batches(training: TrainingConfig, samples: int, seed: int, shuffle: bool = True) -> list[Pick]:
    rounds = len(round_ends(training, samples)) - 1
    return [pick for n in range(1, rounds + 1) for pick in round_batches(training, samples, shuffle, seed, n)]


@given(TRAININGS, st.integers(1, 30), SEEDS, st.booleans())
def test_every_sample_comes_once_an_epoch_in_an_order_of_seed_and_epoch(
    training: TrainingConfig, samples: int, seed: int, shuffle: bool
) -> None:
    batches = all_batches(training, samples, seed, shuffle)
    per_epoch = batches_per_epoch(training, samples)
    assert len(batches) == (training.batches or training.epochs * per_epoch)
    for epoch in range(len(batches) // per_epoch):
        part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert {pick.epoch for pick in part} == {epoch}
        expected = order(samples, seed, epoch) if shuffle else torch.arange(samples)
        assert torch.equal(torch.cat([pick.indices for pick in part]), expected)
        assert sorted(expected.tolist()) == list(range(samples))
        assert all(len(pick.indices) == training.batch_size for pick in part[:-1])


@given(TRAININGS, st.integers(1, 30))
def test_rounds_follow_each_other_without_a_gap(training: TrainingConfig, samples: int) -> None:
    ends = round_ends(training, samples)
    assert ends[0] == 0
    assert all(a < b for a, b in pairwise(ends))
    assert len(all_batches(training, samples, 0)) == ends[-1]


def test_seeds_and_epochs_share_no_order() -> None:
    orders = {tuple(order(50, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert len({seed_of(*parts) for parts in [(1, 23), (12, 3), (1, 2, 3), ("1", 2)]}) == 4


def test_drawing_an_order_leaves_other_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    order(10, 1, 2)
    assert torch.equal(torch.rand(2), expected)


def test_the_references_baselines_have_their_order_and_evaluations() -> None:
    training = TrainingConfig(batches=6001, evaluate_every=250, shuffle=False)
    batches = all_batches(training, 4000, seed=1, shuffle=False)
    for step, pick in enumerate(batches):
        start = 100 * step % 4000
        assert pick.indices.tolist() == list(range(start, start + 100))
    assert round_ends(training, 4000) == [0, 1, *range(251, 6002, 250)]


@given(
    st.lists(st.floats(0.1, 10.0), max_size=30),
    st.floats(0.1, 0.9),
    st.integers(0, 3),
    st.integers(0, 30),
    st.floats(1e-4, 1),
)
def test_the_plateau_is_torchs_and_survives_a_checkpoint(
    losses: list[float], factor: float, patience: int, cut: int, rate: float
) -> None:
    training = TrainingConfig(epochs=30, rate=rate, schedule=Plateau(factor=factor, patience=patience))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
    ours = SeedRate(training, batches=300)
    for number, loss in enumerate(losses):
        if number == cut:
            saved, ours = ours.state(), SeedRate(training, batches=300)
            ours.restore(saved)
        ours.evaluated(loss)
        expected.step(loss)
        assert ours.at(10 * number) == optimizer.param_groups[0]["lr"]
    assert ours.decay(7) == 1.0


@given(st.floats(1e-4, 1.0), st.floats(1e-6, 1.0), st.integers(1, 20), st.integers(1, 8))
def test_exponential_decay_is_torchs_and_ends_at_final(rate: float, final: float, batches: int, updates: int) -> None:
    ours = SeedRate(TrainingConfig(epochs=1, rate=rate, schedule=Exponential(final=final)), batches)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    gamma = (final / rate) ** (1 / (batches * updates))
    expected = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma)
    for batch in range(batches):
        now = ours.at(batch)
        for _ in range(updates):
            assert now == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
            now *= ours.decay(updates)
            optimizer.step()
            expected.step()
    assert now == pytest.approx(final, rel=1e-9)
    assert ours.at(batches) == pytest.approx(final, rel=1e-9)


def test_a_constant_rate_stays() -> None:
    rate = SeedRate(TrainingConfig(epochs=1, rate=0.3, schedule=Constant()), 10)
    rate.evaluated(1.0)
    assert {rate.at(batch) for batch in range(10)} == {0.3}
    assert rate.decay(5) == 1.0
