"""Comparisons agree with scipy's tests, keep their error rates, and are told as they are."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import glebench
from hypothesis import given, settings
from hypothesis import strategies as st
from record_examples import example
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gle_bench import registry
from gle_bench.chosen import resolve, run_hash
from gle_bench.errors import UnknownName, UsageError
from gle_bench.report import results as sources
from gle_bench.report.statistics.ranking import Test as Pairwise
from gle_bench.report.statistics.ranking import compare_two, corrected, letters
from gle_bench.report.terminal.compare import Compared, compare
from gle_bench.report.terminal.compared import as_json, as_text
from gle_bench.tracking.record import DataUsed, run_id
from gle_bench.tracking.store import Store

FINGERPRINT = "f" * 64
VALUES = st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=8).filter(lambda x: len(set(x)) > 1)


def seeded(values: Any) -> dict[int, float]:
    return {seed: float(value) for seed, value in enumerate(values)}


# Two models ----------------------------------------------------------------------------------------------------------


@given(VALUES, VALUES)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    test = compare_two(seeded(a), seeded(b), paired=False)
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert test.difference == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)
    assert test.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert test.interval == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    turned = compare_two(seeded(b), seeded(a), paired=False)
    assert (turned.difference, turned.p) == pytest.approx((-test.difference, test.p))
    assert turned.effect == pytest.approx(-test.effect)


def test_the_effect_is_hedges_g() -> None:
    test = compare_two(seeded([1, 2, 3]), seeded([3, 4, 5, 6]), paired=False)
    pooled = np.sqrt((2 * 1 + 3 * 5 / 3) / 5)
    assert test.effect == pytest.approx((2 - 4.5) / pooled * (1 - 3 / (4 * 7 - 9)))


@given(VALUES, st.integers(0, 1000))
def test_paired_is_scipys_over_common_seeds(a: list[float], seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(len(a))
    first, second = seeded(a), seeded(np.array(a) + 10 * noise)
    expected = stats.ttest_rel([*first.values()], [*second.values()])
    test = compare_two(first | {99: 7.0}, {-1: 3.0} | second, paired=True)
    assert test.seeds == (len(a), len(a))
    assert test.p == pytest.approx(expected.pvalue, rel=1e-4, abs=1e-9)
    low, high = expected.confidence_interval(0.95)
    assert test.interval == pytest.approx((low, high), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("paired", [False, True])
def test_so_many_seeds_would_tell_them_apart_and_no_fewer(paired: bool) -> None:
    a, b = np.array([3.0, 4.0, 5.2, 4.1]), np.array([3.1, 3.6, 4.4, 4.3])
    needed = compare_two(seeded(a), seeded(b), paired).needed
    assert needed is not None

    def p(n: int) -> float:
        if paired:
            d = a - b
            return float(2 * stats.t.sf(abs(d.mean()) / (d.std(ddof=1) / np.sqrt(n)), n - 1))
        known = [x for v in (a, b) for x in (v.mean(), v.std(ddof=1), n)]
        return float(stats.ttest_ind_from_stats(*known, equal_var=False).pvalue)

    assert p(needed) < 0.05 <= p(needed - 1)


@pytest.mark.parametrize("paired", [False, True])
def test_two_seeds_are_not_tested(paired: bool) -> None:
    test = compare_two(seeded([1, 2]), seeded([5, 6]), paired)
    assert (test.difference, test.p, test.interval, test.needed) == (-4, None, None, None)
    assert not corrected([test])[0].separate


@pytest.mark.parametrize("paired", [False, True])
def test_what_does_not_vary_is_known_exactly(paired: bool) -> None:
    assert compare_two(seeded([1, 1, 1]), seeded([2, 2, 2]), paired).p == 0
    assert compare_two(seeded([1, 1, 1]), seeded([1, 1, 1]), paired).p == 1


def test_intervals_cover_and_families_err_as_often_as_they_say() -> None:
    random, covered, wrong, trials = np.random.default_rng(0), 0, 0, 600
    for _ in range(trials):
        a, b = random.normal(1, 1, 6), random.normal(0, 3, 8)
        low, high = compare_two(seeded(a), seeded(b), paired=False).interval or (0, 0)
        covered += low <= 1 <= high
        same = [seeded(random.normal(0, 1, 5)) for _ in range(4)]
        wrong += any(t.separate for t in corrected([compare_two(x, y, False) for x, y in combinations(same, 2)]))
    assert covered / trials == pytest.approx(0.95, abs=0.027)  # three standard errors
    assert wrong / trials < 0.05 + 0.027


# Many ----------------------------------------------------------------------------------------------------------------


def test_holms_correction_is_the_textbooks_and_leaves_out_what_was_not_tested() -> None:
    raw = [0.01, 0.04, None, 0.03]
    found = corrected([Pairwise(False, (3, 3), 1.0, p=p) for p in raw])
    assert [test.holm for test in found] == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]
    assert [test.separate for test in found] == [True, False, False, False]


@settings(max_examples=20, deadline=None)  # statsmodels collects garbage at each call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_is_that_of_statsmodels(raw: list[float]) -> None:
    found = corrected([Pairwise(False, (3, 3), 1.0, p=p) for p in raw])
    expected = multipletests(raw, method="holm")[1]
    np.testing.assert_allclose([test.holm for test in found], expected, rtol=1e-12)


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.sampled_from([*combinations(range(n), 2)] or [(0, 0)])))
    )
)
def test_models_share_a_letter_exactly_if_they_are_not_apart(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    count, pairs = drawn
    apart = sorted(pair for pair in pairs if pair[0] != pair[1])
    found = letters(count, apart)
    for pair in combinations(range(count), 2):
        shared = set(found[pair[0]]) & set(found[pair[1]])
        assert bool(shared) == (pair not in apart)
    groups = [{m for m in range(count) if letter in found[m]} for letter in sorted(set("".join(found)))]
    assert not any(g < h for g in groups for h in groups)  # none says what another does


# Runs ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of one's own, without the published records."""
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "published")
    return tmp_path / "runs"


def put(runs: Path, model: str, values: dict[int, float], rule: str | None = None, **changes: Any) -> None:
    """Finished runs, of mnist1d unless another task is given."""
    split, task = changes.pop("split", "test"), changes.pop("task", "mnist1d")
    metric = registry.task(task).metric.name
    config = resolve(task, model, rule, "paper", changes.get("budget", "paper"), ()).config
    digest = changes.get("config_hash", run_hash(config, FINGERPRINT))
    named = {name: getattr(config, name) for name in ("task", "model", "rule", "protocol", "budget")}
    for seed, value in values.items():
        final = {split: {metric: {"value": value, "n": 1000}}}
        fields = {
            "run_id": run_id(task, model, rule, digest, seed),
            "config": config.model_dump(mode="json"),
            "config_hash": digest,
            "metrics": {"last": final, "best": final},
            "data": DataUsed(fingerprint=FINGERPRINT, official=True, digests={}),
            **({"marks": (f"rule={rule}",)} if rule else {}),
        }
        Store(runs).folder(task, model, rule, digest, seed).write(example(seed, **(named | fields | changes)))


def compared(runs: Path, *models: str) -> Compared:
    return compare("mnist1d", models, runs, "paper", "last")[0]


def test_models_are_ranked_and_grouped(runs: Path) -> None:
    put(runs, "gru", seeded([94.0, 94.4, 93.8, 94.1]))
    put(runs, "gle-15k", seeded([91.0, 91.3, 90.8]))
    put(runs, "tcn-0", seeded([94.2, 93.9, 94.0]))
    put(runs, "mlp", {1: 65.0})
    for models in ((), ("mlp", "gle-15k", "tcn-0", "gru")):
        found = compared(runs, *models)
        assert [contender.label for contender in found.contenders] == ["gru", "tcn-0", "gle-15k", "mlp"]
        assert found.letters == ("a", "a", "b", "")
        assert not any(test.paired for test in found.tests.values())
    told = " ".join(as_text(found, pairs=True, width=200).split())
    assert "gru - gle-15k +3.04 [" in told
    assert "gru - mlp +29.08 no test: fewer than 3 seeds" in told
    assert "gru - gle-15k" not in as_text(found)
    assert "--pairs lists the tests of all 6 pairs." in as_text(found)
    assert json.loads(json.dumps(as_json(found)))["pairs"][0]["first"] == "gru"


def test_rules_on_one_network_are_paired(runs: Path) -> None:
    put(runs, "gle-15k", {1: 91.0, 2: 90.0, 3: 92.0, 4: 91.5})
    put(runs, "gle-15k", {2: 89.0, 3: 90.8, 4: 90.6}, rule="toy-bptt")
    put(runs, "gle-42k", {1: 93.0, 2: 92.0, 3: 94.0})
    found = compared(runs, "gle-15k", "gle-15k+toy-bptt", "gle-42k")
    assert [contender.label for contender in found.contenders] == ["gle-42k", "gle-15k", "gle-15k+toy-bptt"]
    assert [test.paired for test in found.tests.values()] == [False, False, True]
    assert found.tests[1, 2].seeds == (3, 3)
    assert "paired, 3  d = " in as_text(found, pairs=True, width=200)


def test_a_record_from_before_a_setting_was_there_is_paired_with_later_ones(runs: Path) -> None:
    put(runs, "gle-15k", {1: 91.0, 2: 90.0, 3: 92.0})
    put(runs, "gle-15k", {1: 90.0, 2: 89.0, 3: 90.8}, rule="toy-bptt")
    for path in (runs / "mnist1d" / "gle-15k").rglob("record.json"):
        old = json.loads(path.read_text())
        del old["config"]["network"]["loss"], old["config"]["training"]["sampling"]
        path.write_text(json.dumps(old))
    assert [test.paired for test in compared(runs).tests.values()] == [True]


def test_where_every_seed_has_data_of_its_own_all_models_are_paired(runs: Path) -> None:
    put(runs, "esn", {0: 14.0, 1: 20.0, 2: 9.0}, task="mackey-glass")
    put(runs, "gle", {0: 15.0, 1: 21.5, 2: 9.5}, task="mackey-glass")
    found = compare("mackey-glass", (), runs, "paper", "last")[0]
    assert [test.paired for test in found.tests.values()] == [True]


def test_marks_are_told(runs: Path) -> None:
    put(runs, "gru", seeded([94.0, 94.4, 93.8]), marks=("other data than the official", "training.epochs=3"))
    put(runs, "tcn", seeded([96.0, 96.4, 95.8]))
    assert compared(runs).contenders[1].label == "gru epochs=3 [other data]"


def put_rates(runs: Path) -> None:
    """Runs of one model with its own learning rate and with two others."""
    put(runs, "gru", seeded([94.0, 94.4, 93.8]))
    for number in (2, 4):
        values = seeded([94.0 - number, 94.5 - number, 93.8 - number])
        put(runs, "gru", values, config_hash=f"{number:012x}", marks=(f"training.rate=0.00{number}",))


def test_every_setting_of_a_model_is_compared_and_named_by_what_differs(runs: Path) -> None:
    put_rates(runs)
    for models in ((), ("gru",)):
        labels = [each.label for each in compared(runs, *models).contenders]
        assert labels == ["gru", "gru rate=0.002", "gru rate=0.004"]
    put(runs, "tcn", seeded([96.0, 96.4, 95.8]))
    assert len(compared(runs).contenders) == 4
    with pytest.raises(UsageError, match="tcn has runs with one setting only"):
        compared(runs, "tcn")


def test_shorter_runs_beside_full_ones_are_left_out_and_told(runs: Path) -> None:
    for model in ("gru", "tcn"):
        put(runs, model, seeded([94.0, 94.4, 93.8]))
        put(runs, model, seeded([80.0, 81.0, 82.0]), budget="short", marks=("budget short",))
    found = compared(runs)
    assert [each.label for each in found.contenders] == ["gru", "tcn"]
    assert set(found.left_out) == {"gru [budget short]", "tcn [budget short]"}
    assert as_json(found)["left_out"] == list(found.left_out)
    text = " ".join(as_text(found).split())
    assert all(label in text for label in found.left_out)
    short_only = compare("mnist1d", (), runs, "paper", "last", "short")[0]
    assert {each.label for each in short_only.contenders} == set(found.left_out)
    assert short_only.left_out == ()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_text_fits_the_terminal_and_names_every_model_and_pair(runs: Path, width: int) -> None:
    put_rates(runs)
    found = compared(runs)
    text = as_text(found, pairs=True, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert all(contender.label in text for contender in found.contenders)
    assert text.count("paired,") == len(found.tests) == 3


def test_what_cannot_be_compared_is_told_with_the_cure(runs: Path) -> None:
    put(runs, "gru", seeded([94.0, 94.4]))
    with pytest.raises(UsageError, match="not two models of mnist1d"):
        compared(runs)
    with pytest.raises(UsageError, match="`glebench run mnist1d --model tcn --seeds paper --budget paper`"):
        compared(runs, "gru", "tcn")
    with pytest.raises(UsageError, match="--model gru --rule nudge --seeds"):
        compared(runs, "gru", "gru+nudge")
    with pytest.raises(UnknownName, match="Did you mean 'gru'"):
        compared(runs, "gur", "tcn")
    put(runs, "tcn", seeded([96.0]), split="validation")
    with pytest.raises(UsageError, match="tcn has no accuracy on test; leave it out"):
        compare("mnist1d", ("gru", "tcn"), runs, "paper", "last")


def test_the_command_compares_the_published_records(tmp_path: Path) -> None:
    told = glebench("compare", "mnist1d", "gle-15k", "gru", "--runs", tmp_path / "none")
    assert told.code == 0, told
    printed = glebench("compare", "mnist1d", "gle-15k", "gru", "--runs", tmp_path / "none", "--json")
    best, second = json.loads(printed.out)["models"]
    assert (best["groups"], second["groups"]) == (["a"], ["b"])
    assert f"+{best['mean'] - second['mean']:.2f} [" in told.out  # a single pair is shown unasked
    assert glebench("compare", "mnist1d", "gel-15k").code == 2
