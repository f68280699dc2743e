"""Tests that batches and learning rates are functions of the seed and the place in training alone."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gle_bench.config import Constant, Exponential, Phases, Plateau, TrainingConfig
from gle_bench.contracts import TensorSplit
from gle_bench.errors import UsageError
from gle_bench.training.data import (
    Pick,
    batches_per_epoch,
    order,
    round_batches,
    round_ends,
    sampling_weights,
    seed_of,
)
from gle_bench.training.seed import SeedRate

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


def drawn(sampling: str, classes: torch.Tensor, seed: int = 1, **training: int) -> list[Pick]:
    """All batches that are drawn with replacement from samples of these classes."""
    config = TrainingConfig(sampling=sampling, batch_size=6, **training)
    weights = sampling_weights(config, TensorSplit(torch.zeros(len(classes), 1, 1), classes, 1))
    rounds = len(round_ends(config, len(classes))) - 1
    return [p for n in range(1, rounds + 1) for p in round_batches(config, len(classes), True, seed, n, weights)]


CLASSES = torch.tensor([0] * 15 + [1] * 4 + [2])


@pytest.mark.parametrize("sampling", ["replacement", "balanced"])
def test_samples_may_be_drawn_with_replacement(sampling: str) -> None:
    batches = drawn(sampling, CLASSES, epochs=3)
    assert [pick.epoch for pick in batches] == [0] * 4 + [1] * 4 + [2] * 4
    assert [pick.place for pick in batches] == [0, 6, 12, 18] * 3
    assert [len(pick.indices) for pick in batches] == [6, 6, 6, 6 if sampling == "replacement" else 2] * 3
    epochs = [torch.cat([p.indices for p in batches[n : n + 4]]) for n in (0, 4, 8)]
    assert all(len(epoch.unique()) < len(epoch) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    again, other = drawn(sampling, CLASSES, epochs=3), drawn(sampling, CLASSES, seed=2, epochs=3)
    assert all(torch.equal(a.indices, b.indices) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(torch.cat([p.indices for p in other[:4]]), epochs[0])


@pytest.mark.parametrize("sampling", ["replacement", "balanced"])
def test_rounds_of_batches_cut_the_same_draws(sampling: str) -> None:
    by_epoch = drawn(sampling, CLASSES, epochs=5)
    by_batches = drawn(sampling, CLASSES, batches=20, evaluate_every=3)
    assert all(torch.equal(a.indices, b.indices) for a, b in zip(by_epoch, by_batches, strict=True))


@pytest.mark.parametrize(
    ("sampling", "shares"), [("replacement", [0.75, 0.2, 0.05]), ("balanced", [1 / 3, 1 / 3, 1 / 3])]
)
def test_how_often_each_class_is_drawn(sampling: str, shares: list[float]) -> None:
    indices = torch.cat([pick.indices for pick in drawn(sampling, CLASSES, epochs=300)])
    assert (CLASSES[indices].bincount() / len(indices)).tolist() == pytest.approx(shares, abs=0.03)


def test_what_cannot_be_drawn_is_refused() -> None:
    signals = TensorSplit(torch.zeros(4, 3, 1), torch.zeros(4, 3, 1), 3)
    with pytest.raises(UsageError, match="needs a task with classes"):
        sampling_weights(TrainingConfig(epochs=1, sampling="balanced"), signals)
    with pytest.raises(ValueError, match="sampling = balanced draws at random"):
        TrainingConfig(epochs=1, sampling="balanced", shuffle=False)


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


@given(st.integers(1, 400), st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=4))
def test_phases_are_of_equal_length_and_the_last_rate_stays(batches: int, later: list[float]) -> None:
    rates = [0.3, *later]
    ours = SeedRate(TrainingConfig(batches=batches, rate=0.3, schedule=Phases(later=tuple(later))), batches)
    for batch in range(batches):
        assert ours.at(batch) == rates[batch * len(rates) // batches]
    assert ours.at(batches) == rates[-1]
    assert ours.decay(7) == 1.0


def test_hello_edges_phases_have_ten_thousand_updates_each() -> None:
    ours = SeedRate(TrainingConfig(batches=30_000, rate=5e-4, schedule=Phases(later=(1e-4, 2e-5))), 30_000)
    changes = [batch for batch in range(1, 30_000) if ours.at(batch) != ours.at(batch - 1)]
    assert changes == [10_000, 20_000]
    assert [ours.at(batch) for batch in (0, 10_000, 20_000, 29_999)] == [5e-4, 1e-4, 2e-5, 2e-5]


def test_a_plateau_stops_where_the_rate_would_hardly_fall() -> None:
    rates = {}
    for eps in (1e-8, 1e-20):
        training = TrainingConfig(epochs=30, rate=5e-8, schedule=Plateau(factor=0.9, patience=0, eps=eps))
        ours = SeedRate(training, batches=30)
        for _ in range(20):
            ours.evaluated(1.0)
        rates[eps] = ours.at(20)
    assert rates[1e-8] == 5e-8
    assert rates[1e-20] == pytest.approx(5e-8 * 0.9**19)


def test_a_constant_rate_stays() -> None:
    rate = SeedRate(TrainingConfig(epochs=1, rate=0.3, schedule=Constant()), 10)
    rate.evaluated(1.0)
    assert {rate.at(batch) for batch in range(10)} == {0.3}
    assert rate.decay(5) == 1.0
