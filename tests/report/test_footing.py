"""Equal footing: what a configuration costs and what its method is granted, also of records that do not say it yet."""

from typing import Any

import pytest
from record_examples import example

from gle_bench import registry
from gle_bench.chosen import run_hash
from gle_bench.contracts import Footing, footing
from gle_bench.report.tables.costs import FootingLine, footing_lines
from gle_bench.report.tables.formats import FORMATS, markdown
from gle_bench.report.tables.rows import all_rows
from gle_bench.report.tables.table import results_table
from gle_bench.tracking.estimates import full_seconds
from gle_bench.tracking.record import Cost, DataUsed, Record

TASK, PAIRS = registry.task("mnist1d"), registry.pairs()
KNOWN = {pair.model: pair for pair in PAIRS if pair.task == "mnist1d"}
OLD = {"online": False, "streamed": True, "local_in_space": False, "local_in_time": False}


def record(model: str, seed: int = 1, protocol: str = "paper", **changes: Any) -> Record:
    config = KNOWN[model].configure("paper").model_copy(update={"protocol": protocol})
    fields = {
        "task": "mnist1d",
        "model": model,
        "rule": config.rule,
        "protocol": protocol,
        "budget": "paper",
        "config_hash": run_hash(config, "f" * 64),
        "data": DataUsed(fingerprint="f" * 64, official=True, digests={}),
        "cost": Cost(wall_s=600.0, steps=6001, peak_memory=2**20),
        "footing": OLD,
    }
    return example(seed, **{**fields, "run_id": f"{model}-{protocol}-{seed}", **changes})


def lines(*records: Record) -> list[FootingLine]:
    return [*footing_lines(all_rows(TASK, records, KNOWN), KNOWN)]


def test_a_configuration_has_a_line_over_its_seeds_that_are_done() -> None:
    costs = [Cost(wall_s=w, steps=1, networks=n, peak_memory=m, macs=7) for w, n, m in ((90, 2, 5), (30, 1, 9))]
    mine = [record("gle-15k", seed, cost=cost) for seed, cost in enumerate(costs)]
    (line,) = lines(*mine, record("gle-15k", 8, status="failed"), record("gru", 1, status="interrupted"))
    assert (line.model, line.protocol, line.seeds, line.networks) == ("gle-15k", "paper", 2, 2)
    assert (line.wall_s, line.memory, line.macs, line.learning_macs) == ((45 + 30) / 2, 9, 7, 21)
    assert line.tried == KNOWN["gle-15k"].tried == 1


def test_protocols_have_lines_of_their_own_in_the_order_of_the_table() -> None:
    found = lines(record("gru", 1, "clean"), record("gle-15k"), record("gru"))
    assert [(line.model, line.protocol) for line in found] == [
        ("gle-15k", "paper"),
        ("gru", "paper"),
        ("gru", "clean"),
    ]


def test_what_a_record_is_too_old_to_say_is_that_of_todays_model() -> None:
    (line,) = lines(record("gru"))
    assert (line.whole_sequence, line.normalised, line.streamed) == (True, False, True)
    (told,) = lines(record("gru", footing={**OLD, "whole_sequence": False, "normalised": True}))
    assert (told.whole_sequence, told.normalised) == (False, True)


def test_macs_that_were_not_counted_are_those_of_the_same_network() -> None:
    counted = Cost(wall_s=1.0, steps=1, macs=1000)
    same, other = record("gru", 1, "clean", cost=counted), record("gru", 1, "clean", cost=counted, parameters=43)
    assert [line.macs for line in lines(record("gru"), same)] == [1000, 1000]
    assert [line.macs for line in lines(record("gru"), other)] == [None, 1000]


def test_what_is_solved_in_closed_form_has_no_count_of_learning() -> None:
    (line,) = lines(record("esn", cost=Cost(wall_s=1.0, steps=1, macs=1000)))
    assert (line.macs, line.learning_macs, line.tried) == (1000, None, 10)


@pytest.mark.parametrize(
    ("rule", "passes"), [("eprop", 3), ("bptt", 3), ("rtrl", None), ("snap", None), ("adjoint", None)]
)
def test_rules_that_take_no_fixed_number_of_passes_have_no_count_of_learning(rule: str, passes: int | None) -> None:
    (line,) = lines(record("gle-15k", rule=rule, cost=Cost(wall_s=1.0, steps=1, macs=1000)))
    assert (line.macs, line.learning_macs) == (1000, passes and passes * 1000)


def test_models_are_granted_what_they_need() -> None:
    granted = {
        f"{pair.task} {pair.model}": footing(registry.rule(c.rule), c.network)
        for pair in PAIRS
        for c in [pair.configure("paper")]
    }
    assert granted["mnist1d gle-15k"] == Footing(True, True, True, True, whole_sequence=False)
    assert granted["mnist1d mlp"] == Footing()
    assert granted["mnist1d gru"] == granted["mackey-glass mlp"] == Footing(streamed=True)
    assert granted["mackey-glass lstm-100"] == Footing(streamed=True, normalised=True)


def test_the_table_shows_it_in_every_layout() -> None:
    built = results_table(TASK, [record("gru")])
    for format in ("md", "tex", "html"):
        assert "On equal footing" in FORMATS[format](built)  # type: ignore[index]
    assert built.content["footing"][0]["whole_sequence"] is True


@pytest.mark.parametrize(("model", "steps"), [("gru", 6001), ("gle-15k", 150 * 40 * 360)])
def test_a_full_run_is_estimated_by_the_longest_recorded_one(model: str, steps: int) -> None:
    short = record(model, 1, cost=Cost(wall_s=9.0, steps=steps // 200))
    long = record(model, 2, marks=("other data",), cost=Cost(wall_s=100.0, steps=steps // 100, networks=4))
    expected = 100.0 / 4 / (steps // 100) * steps * 10
    assert full_seconds(TASK, KNOWN[model], [short, long]) == pytest.approx(expected)
    assert full_seconds(TASK, KNOWN[model], [record(model, 3, cost=Cost(wall_s=9.0, steps=4))]) is None  # too short


def test_no_recorded_run_no_estimate() -> None:
    changed = record("gru", marks=("rate=0.1",))
    assert full_seconds(TASK, KNOWN["gru"], [record("gle-15k"), record("gru", status="failed"), changed]) is None


def test_a_cell_that_was_not_run_says_how_long_it_would_take() -> None:
    reduced = record("gru", budget="short", marks=("budget short",), config_hash="0" * 12)
    text = markdown(results_table(TASK, [reduced]))
    assert "glebench run mnist1d --model gru --seeds paper --budget paper  # about 1.7 h by the rate of" in text
    assert "glebench run mnist1d --model mlp --seeds paper --budget paper  # how long: --dry-run measures it" in text
