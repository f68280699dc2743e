"""Tests of options of rules: set, refused, recorded, marked, and hashed only if they differ from the defaults."""

import json
from pathlib import Path

import pytest
from command import glebench
from toy_runs import configured
from toys import ToyBPTT, ToyBPTTOptions

from gle_bench import registry
from gle_bench.chosen import resolved, run_hash, with_rule
from gle_bench.config import RuleOptions, meaning
from gle_bench.dynamics.choices import LocalOptions
from gle_bench.errors import GleBenchError
from gle_bench.tracking.configuration import configuration_of
from gle_bench.tracking.record import Record
from gle_bench.training.marks import changes

RECORDS = sorted((Path(__file__).parents[2] / "leaderboards/records").rglob("record.json"))
WORDS = ["run", "toy-signal", "--model", "toy-gle", "--rule", "toy-bptt", "--wandb", "off"]


def test_every_committed_record_has_the_hash_of_its_own_configuration() -> None:
    assert len(RECORDS) > 100
    for path in RECORDS:
        record = Record.model_validate_json(path.read_text())
        assert run_hash(configuration_of(record), record.data.fingerprint) == record.config_hash, path


def test_the_defaults_of_a_rule_are_no_part_of_the_hash() -> None:
    config = configured("toy-signal", "toy-gle", rule="toy-bptt")
    assert config.rule_options == ToyBPTTOptions()
    untyped = config.model_copy(update={"rule_options": RuleOptions()})
    assert meaning(config) == meaning(untyped)
    assert "rule_options" not in meaning(config)
    assert run_hash(config, "") == run_hash(untyped, "")
    changed = configured("toy-signal", "toy-gle", "fade=0.5", rule="toy-bptt")
    assert meaning(changed)["rule_options"] == {"fade": 0.5}
    assert run_hash(changed, "") != run_hash(config, "")
    assert configured("toy-signal", "toy-gle", 'rule_options={"fade": 0.5}', rule="toy-bptt") == changed


def test_a_rule_whose_options_lack_a_default_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Needing(RuleOptions):
        gain: float

    monkeypatch.setattr(ToyBPTT, "options", Needing)
    with pytest.raises(GleBenchError, match=r"^Making the options of rule toy-bptt fails: ValidationError: 1 "):
        registry.rule("toy-bptt")


def test_another_rule_has_its_own_options() -> None:
    config = configured("toy-signal", "toy-gle", "fade=0.5", rule="toy-bptt")
    assert with_rule(config, registry.rule("gle")).rule_options == LocalOptions()
    assert resolved(config).rule.chosen == ToyBPTTOptions(fade=0.5)
    assert registry.rule("toy-bptt").chosen == ToyBPTTOptions()
    untyped = config.model_copy(update={"rule_options": RuleOptions()})
    assert resolved(untyped).rule.chosen == ToyBPTTOptions()


def test_only_options_that_were_changed_are_marks() -> None:
    own = configured("toy-signal", "toy-gle")
    assert [*map(str, changes(configured("toy-signal", "toy-gle", rule="toy-bptt"), own))] == ["rule=toy-bptt"]
    changed = configured("toy-signal", "toy-gle", "fade=0.5", rule="toy-bptt")
    assert [*map(str, changes(changed, own))] == ["rule=toy-bptt", "rule_options.fade=0.5"]


def test_the_command_sets_and_records_options(tmp_path: Path) -> None:
    done = glebench(*WORDS, "--set", "fade=0.5", "--set", "epochs=1", "--runs", tmp_path)
    assert done.code == 0, done.err
    (path,) = tmp_path.rglob("record.json")
    record = json.loads(path.read_text())
    assert record["config"]["rule_options"] == {"fade": 0.5}
    assert "rule_options.fade=0.5" in record["marks"]
    assert configuration_of(Record.model_validate_json(path.read_text())).rule_options == ToyBPTTOptions(fade=0.5)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [("toy-bptt", "fade: Input should be less than 1 (got 1)"), ("gle", "Unknown setting 'fade'.")],
)
def test_an_option_that_is_wrong_is_refused_in_a_sentence(tmp_path: Path, rule: str, sentence: str) -> None:
    refused = glebench("run", "toy-signal", "--model", "toy-gle", "--rule", rule, "--set", "fade=1", "--runs", tmp_path)
    assert refused.code == 2
    assert sentence in refused.err
    assert "Traceback" not in refused.err
