"""Tests of `glebench bench`: its rows, the relations between their columns, and the reasons of missing rows."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from command import glebench

from gle_bench.bench import cases as listing
from gle_bench.bench import command, measure
from gle_bench.bench.cases import Case, Missing, cases
from gle_bench.bench.measure import Row, Series, Sgemm, row, ticks
from gle_bench.bench.memory import peak_rise
from gle_bench.bench.networks import NETWORKS
from gle_bench.bench.runner import REPEAT_S, Runner, threads
from gle_bench.dynamics.ensemble import pack
from gle_bench.errors import UnknownName, UsageError

ALONE = Case("gle-15k", "torch", 1, 1)
PARAMETERS = {"gle-15k": 14_956, "gle-42k": 42_040, "gsc": 1_160_262}
KEYS = (
    "network",
    "engine",
    "threads",
    "networks",
    "ms_per_step",
    "gflops",
    "sgemm_gflops",
    "flops_over_sgemm",
    "peak_bytes",
    "rule",
    "over_gle",
)
TINY = ("--steps", 1, "--repeats", 1)


def only_torch(name: str, job: object) -> str | None:
    return None if name == "torch" else "it has the day off"


# What is measured ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_standard_networks_are_the_paper_s(name: str) -> None:
    standard = NETWORKS[name]()
    network = standard.network()
    assert pack(network, standard.model.initialise(network, 0)).numel() == PARAMETERS[name]
    assert network.layers[0].phi == "identity"
    assert {layer.phi for layer in network.layers[1:-1]} == {"tanh"}
    assert network.loss == "ce"


def test_gsc_is_the_fact_sheet_s() -> None:
    standard = NETWORKS["gsc"]()
    layers = standard.network().layers
    assert [layer.inputs for layer in layers] + [layers[-1].neurons] == [32, 750, 750, 750, 12]
    assert standard.batch == 256
    times = list(dict.fromkeys(zip(layers[0].tau_m, layers[0].tau_r, strict=True)))
    assert times == [(2.4, 2.4), (0.6, 0.1), (1.2, 0.1), (1.8, 0.1), (2.4, 0.1)]
    assert layers[0].tau_m.count(2.4) == 300


def test_one_one_a_core_one_on_all_cores_and_an_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.choice, "refusal", only_torch)
    found, missing = cases(["gle-15k"], ["torch"], 4)
    assert found == [Case("gle-15k", "torch", *layout) for layout in [(1, 1), (4, 4), (4, 1), (4, 10)]]
    assert missing == []


def test_no_row_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.choice, "refusal", only_torch)
    assert cases(["gle-15k", "gle-15k"], ["torch", "torch"], 1)[0] == [ALONE, ALONE._replace(networks=10)]
    assert len(cases(["gsc"], ["torch"], 2)[0]) == 3


def test_a_gpu_is_driven_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(listing.choice, "refusal", lambda name, job: None)
    found, _ = cases(["gsc"], ["graph"], 8)
    assert found == [Case("gsc", "graph", 1, count) for count in (1, 10)]
    assert found[0].device == "cuda"


def test_every_engine_has_rows_or_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.choice, "refusal", only_torch)
    found, missing = cases([], [], 2)
    assert {(case.network, case.engine) for case in found} == {(name, "torch") for name in NETWORKS}
    assert {(one.network, one.engine) for one in missing} == {(n, e) for n in NETWORKS for e in ("native", "graph")}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_engine_of_the_gpu_says_that_there_is_none() -> None:
    found, missing = cases(["gsc"], ["graph"], 2)
    assert found == []
    assert missing == [Missing("gsc", "graph", "there is no GPU")]


def test_rules_are_compared_with_gle_by_one_network_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.choice, "refusal", only_torch)
    found, _ = cases(["gle-15k"], ["torch"], 4, ["eprop", "bptt", "eprop"])
    assert found == [ALONE._replace(rule=name) for name in ("gle", "eprop", "bptt")]


def test_a_rule_that_cannot_learn_here_is_named_with_its_reason() -> None:
    found, missing = cases(["gsc"], ["torch"], 1, ["rtrl"])
    assert found == [Case("gsc", "torch", 1, 1)]
    assert missing[0].reason.startswith("rule 'rtrl': ")
    with pytest.raises(UsageError, match=r"^Rule 'backprop' does not learn online, .*; choose another --rule\.$"):
        cases(["gsc"], ["torch"], 1, ["backprop"])


def test_a_ratio_is_to_gle_by_the_same_engine() -> None:
    paper = Row("gle-15k", "torch", 1, 1, 0.5, 9.0, 90.0, 0.1, None)
    other = replace(paper, engine="native", ms_per_step=0.1)
    rows = [paper, other, *(replace(one, rule="eprop", ms_per_step=0.6) for one in (paper, other))]
    ratios = [one.over_gle for one in measure.with_ratios(rows)]
    assert ratios == [None, None, pytest.approx(1.2), pytest.approx(6.0)]


# The laws ------------------------------------------------------------------------------------------------------------


def test_a_row_is_medians_and_what_follows_from_them() -> None:
    runner = Runner(ALONE._replace(networks=2, threads=2), 1)
    found = row(Series(runner, 1, 7, seconds=[4e-3, 1.0, 2e-3], sgemm=[90.0, 100.0, 1.0, 100.0]))
    gflops = 6 * 14_956 * 100 * 2 / 4e-3 / 1e9
    assert found == Row("gle-15k", "torch", 2, 2, 2.0, pytest.approx(gflops), 95.0, pytest.approx(gflops / 95), 7)


def test_repeats_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []

    class Clocked:
        parameters, steps = 10, 5

        def __init__(self, case: Case, steps: int) -> None:
            self.case = case

        def seconds(self, calls: int = 1) -> float:
            order.append(self.case.networks)
            return 1.0

        def take(self, steps: int) -> None:
            self.steps = steps

    def sample(sgemm: Sgemm) -> float:
        order.append("sgemm")
        return 100.0

    monkeypatch.setattr(measure, "Runner", Clocked)
    monkeypatch.setattr(Sgemm, "gflops", sample)
    counted: list[None] = []
    rows, _ = measure.measure([ALONE, ALONE._replace(networks=10)], 2, 5, lambda: counted.append(None))
    assert order[-10:] == ["sgemm", 1, "sgemm", 10, "sgemm"] * 2
    assert len(counted) == ticks(2, 2)
    assert [found.ms_per_step for found in rows] == [200.0, 20.0]


def test_a_case_that_the_engine_refuses_late_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(case: Case, steps: int) -> Runner:
        raise NotImplementedError("one network cannot be split")

    monkeypatch.setattr(measure, "Runner", refuse)
    rows, missing = measure.measure([ALONE._replace(threads=2)], 1, 1, lambda: None)
    assert rows == []
    assert missing == [Missing("gle-15k", "torch", "one network cannot be split", 2, 1)]


@pytest.mark.parametrize(("per_step", "steps", "calls"), [(1e-4, 360, 8), (2e-3, 150, 1), (1.0, 1, 1)])
def test_a_repeat_is_long_enough_in_calls_of_a_sample(
    per_step: float, steps: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "seconds", lambda self, calls=1: per_step * self.steps * calls)
    runner = Runner(ALONE, 1)
    assert runner.take_a_repeat() == calls
    assert runner.steps == steps
    assert runner.seconds(calls) >= 0.9 * REPEAT_S


def test_a_runner_learns_and_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    runner = Runner(ALONE._replace(threads=before + 1, networks=2), 3)
    first = runner._carry
    assert runner.seconds(2) > 0
    assert runner._carry.optimizer.updates == 6
    assert not torch.equal(runner._carry.parameters[-1].weight, first.parameters[-1].weight)
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        _ = 1 / 0
    assert torch.get_num_threads() == before


def test_sgemm_is_a_rate() -> None:
    assert 0.1 < Sgemm().gflops() < 1e4


# Memory --------------------------------------------------------------------------------------------------------------


def rise(action: Callable[[], object]) -> int:
    torch.ones(10), peak_rise("cpu", action)  # the first time loads what is loaded late
    _, peak = peak_rise("cpu", action)
    if peak is None:
        pytest.skip("this system has no peak that can be reset")
    return peak


@pytest.mark.parametrize("mebibytes", [1, 30])
def test_memory_is_the_peak_and_not_what_is_left(mebibytes: int) -> None:
    def action() -> None:
        torch.ones(mebibytes, 2**18)

    smallest = min(rise(action) for _ in range(3))  # whatever else this process does meanwhile adds to it
    assert smallest == pytest.approx(mebibytes * 2**20, rel=0.1, abs=2**19)


def test_memory_that_was_freed_before_hides_nothing() -> None:
    kept = [torch.ones(2**14) for _ in range(100)]  # 64 KiB each: from the heap, which is not given back by itself
    del kept
    assert rise(lambda: [torch.ones(2**14) for _ in range(100)]) == pytest.approx(100 * 2**16, rel=0.2)


# The command ---------------------------------------------------------------------------------------------------------


def test_json_has_the_promised_rows() -> None:
    done = glebench("bench", "--network", "gle-15k", "--engine", "torch", "--threads", 1, *TINY, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [(x["threads"], x["networks"]) for x in found["rows"]] == [(1, 1), (1, 10)]
    for one in found["rows"]:
        assert tuple(one) == KEYS
        assert one["gflops"] == pytest.approx(6 * 14_956 * 100 / one["ms_per_step"] / 1e6)
        assert one["flops_over_sgemm"] == pytest.approx(one["gflops"] / one["sgemm_gflops"])
        assert one["peak_bytes"] is None or one["peak_bytes"] > 4 * 14_956 * one["networks"]
    assert found["machine"]["packages"]["torch"]
    assert found["not_measured"] == []


def test_the_table_says_where_and_when() -> None:
    done = glebench("bench", "--network", "gle-42k", "--engine", "torch", "--threads", 1, *TINY)
    assert done.code == 0, done.err
    assert "measured on this machine now" in done.out.lower()
    assert [line.split()[:4] for line in done.out.splitlines() if line.startswith("gle-")] == [
        ["gle-42k", "torch", "1", "1"],
        ["gle-42k", "torch", "1", "10"],
    ]
    assert done.err.count("\n") == 1


def test_what_was_not_measured_stands_below_the_table() -> None:
    one = Row("gle-15k", "torch", 1, 1, 0.5, 9.0, 90.0, 0.1, None)
    missing = [Missing(name, "graph", "there is no GPU") for name in ("gle-15k", "gsc")]
    missing.append(Missing("gsc", "native", "too wide", 2, 1))
    text = command.as_text(
        {
            "rows": [one.__dict__],
            "not_measured": [m._asdict() for m in missing],
            "repeats": 3,
            "cores": 2,
            "machine": {"cpu": "abacus", "gpu": None},
        }
    )
    assert text.splitlines()[-2:] == [
        "Not measured: graph (gle-15k, gsc): there is no GPU.",
        "Not measured: native (gsc with 1 on 2 threads): too wide.",
    ]


@pytest.mark.parametrize(("option", "kind", "name", "known"), [
    ("--network", "network", "gel-15k", "gle-15k"),
    ("--engine", "engine", "tourch", "torch"),
])  # fmt: skip
def test_an_unknown_name_gets_the_nearest(option: str, kind: str, name: str, known: str) -> None:
    done = glebench("bench", option, name)
    assert done.code == 2
    assert f"Unknown {kind} '{name}'. Did you mean '{known}'?" in done.told
    with pytest.raises(UnknownName):
        cases(**{"networks": [], "engines": [], "cores": 1, option[2:] + "s": [name]})


@pytest.mark.parametrize("option", ["threads", "repeats", "steps"])
def test_a_number_below_1_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} 0"):
        command.bench([], [], **{"threads": 1, "repeats": 1, "steps": 1, option: 0})


def test_engines_that_cannot_run_here_leave_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing.choice, "refusal", only_torch)
    with pytest.raises(UsageError, match="it has the day off; name another --engine"):
        command.bench(["gsc"], ["native"], None, 1, 1)
