"""Rules that are a derivation of this project are called "derived" wherever a rule is named beside results."""

import json
from pathlib import Path

from command import glebench, together
from toy_runs import configured, run

from gle_bench import registry

KNOWN = {"adjoint", "bptt", "eprop", "gle", "instantaneous", "rtrl", "snap"}


def test_lists_say_which_rules_are_derived_and_what_each_rule_is() -> None:
    text, plain = together([["list", "rules"], ["list", "rules", "--json"]])
    rows = {row["name"]: row for row in json.loads(plain.out)}
    derived = {name for name, row in rows.items() if row["derived"]}
    assert derived >= {"gle-e", "eprop-full", "gle-gain"}
    assert not derived & KNOWN
    assert len({row["summary"] for row in rows.values()}) == len(rows)
    words = {line.split()[0]: line.split()[1] for line in text.out.splitlines()}
    assert words["gle-e"] == "derived"
    assert words["bptt"] == "Backpropagation"


def test_a_rule_can_be_shown() -> None:
    text, plain = together([["show", "gle-e"], ["show", "adjoint", "--json"]])
    assert "gle-e (derived) (version 1)" in text.out
    assert "own = trace" in text.out
    shown = json.loads(plain.out)
    assert (shown["kind"], shown["derived"]) == ("rule", False)
    assert shown["options"] == {"scheme": "discrete", "lookahead": "sample"}
    assert glebench("show", "bpt").err.startswith("Error: Unknown name 'bpt'. Did you mean 'bptt'?")


def test_results_of_a_derived_rule_say_so(tmp_path: Path) -> None:
    derived, _ = (run(configured("toy-classes", "toy-gle", rule=rule), [1, 2], tmp_path) for rule in ("gle-e", "bptt"))
    words = (["show", derived[0].run_id], ["table", "toy-classes", "--all"], ["compare", "toy-classes"])
    sheet, table, compared = (done.out for done in together([[*each, "--runs", tmp_path] for each in words]))
    assert "rule gle-e (derived), seed 1" in sheet
    for text in (table, compared):
        assert "toy-gle+gle-e (derived)" in text
        assert "toy-gle+bptt" in text
        assert "toy-gle+bptt (derived)" not in text
    rows = json.loads(glebench("table", "toy-classes", "--all", "--runs", tmp_path, "--json").out)["rows"]
    assert {row["rule"]: row["rule_derived"] for row in rows if row["ours_n"]} == {"gle-e": True, "bptt": False}
    assert registry.rule_title("no such rule") == "no such rule"
