"""Tests of provenance: a record names the code that computed it, and changed code of the same version is detected."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from command import glebench
from plugin_example import plugin
from record_examples import ENVIRONMENT, example
from shared import SUPPORT
from toy_runs import seed_folder

from gle_bench import registry
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.table import results_table
from gle_bench.tracking import provenance
from gle_bench.tracking.provenance import Git, Plugin, changed_files, git_of, own_git

RULE = """
from strange_helpers.gains import gain
from gle_bench.rules.gle import GLE

class Rule(GLE):
    name = "strange-rule"

    def learn(self, network, parameters, state, memory, window, seams):
        learned = super().learn(network, parameters, state, memory, window, seams)
        def scaled(block):
            return type(block)(*(None if g is None else gain() * g for g in block))
        return learned._replace(gradients=tuple(map(scaled, learned.gradients)))
"""
POINTS = "[glebench.rules]\nstrange-rule = strange:Rule\n"
WORDS = ("run", "toy-classes", "--model", "toy-gle", "--rule", "strange-rule", "--seeds", "1", "--wandb", "off")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A rule of two files, written like an installed plugin."""
    plugin(tmp_path, RULE, POINTS)
    (tmp_path / "strange.dist-info" / "top_level.txt").write_text("strange\nstrange_helpers\n")
    helpers = tmp_path / "strange_helpers"
    helpers.mkdir()
    (helpers / "__init__.py").write_text("")
    (helpers / "gains.py").write_text("from . import numbers\n\ndef gain():\n    return numbers.GAIN\n")
    (helpers / "numbers.py").write_text("GAIN = 0.5\n")
    (helpers / "unused.py").write_text("x = 1\n")
    return tmp_path


def path_of(folder: Path) -> str:
    return f"{folder}:{SUPPORT}"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, env=own)


def test_a_record_names_the_code_of_its_plugins(installed: Path) -> None:
    git(installed, "init")
    git(installed, "add", "strange.py", "strange_helpers")
    git(installed, "commit", "-m", "all")
    assert glebench(*WORDS, "--runs", installed / "runs", PYTHONPATH=path_of(installed)).code == 0
    record = seed_folder(installed / "runs", 1).read()
    assert record is not None
    assert record.plugins.keys() == {"task", "model", "rule"}
    rule = record.plugins["rule"]
    assert (rule.place, rule.distribution, rule.version) == ("strange:Rule", "strange", "1.0")
    modules = ["strange", "strange_helpers", "strange_helpers.gains", "strange_helpers.numbers"]
    assert [name for name in rule.files if name != "toys"] == modules
    assert rule.git.commit is not None
    assert rule.git.dirty is False
    assert record.plugins["model"].distribution == "glebench-toys"


def test_what_is_ours_needs_no_digests() -> None:
    assert registry.sources("mnist1d", registry.find("mnist1d", "gle-15k")[1], "gle") == {}


@pytest.mark.parametrize("changed", ["strange.py", "strange_helpers/numbers.py", "strange_helpers/gains.py"])
@pytest.mark.parametrize("state", ["done", "interrupted"])
def test_changed_code_under_the_same_version_is_told_and_never_reused(
    installed: Path, changed: str, state: str
) -> None:
    words = (*WORDS, "--runs", installed / "runs")
    stop = {"TOYS_SIGNAL": "SIGTERM 1 2"} if state == "interrupted" else {}
    assert glebench(*words, PYTHONPATH=path_of(installed), **stop).code == (130 if stop else 0)
    before = seed_folder(installed / "runs", 1).read()
    source = installed / changed
    text = source.read_text()
    source.write_text(text + "\n# another line\n")
    refused = glebench(*words, PYTHONPATH=path_of(installed))
    assert refused.code == 1
    module = changed.removesuffix(".py").replace("/", ".")
    assert refused.told.startswith(f"Error: {module} changed since ")
    assert refused.told.endswith("raise the version, or run it anew with --rerun always.")
    assert seed_folder(installed / "runs", 1).read() == before
    table = glebench("table", "toy-classes", "--all", "--runs", installed / "runs", PYTHONPATH=path_of(installed))
    assert table.code == 0
    if state == "done":
        assert f"Run by other code of a plugin than is installed now: {module}" in " ".join(table.out.split())
    anew = glebench(*words, "--rerun", "always", PYTHONPATH=path_of(installed))
    assert anew.code == 0, anew.err
    assert glebench(*words, PYTHONPATH=path_of(installed)).code == 0
    source.write_text(text)  # back to what the first run knew
    assert glebench(*words, PYTHONPATH=path_of(installed)).code == 1


def test_a_package_without_init_has_its_digests_too(tmp_path: Path) -> None:
    plugin(tmp_path, "", "[glebench.rules]\nstrange-rule = mylab.fa:Rule\n")
    (tmp_path / "strange.dist-info" / "top_level.txt").unlink()
    (tmp_path / "mylab").mkdir()
    rule = "from gle_bench.rules.gle import GLE\nfrom mylab import k\nclass Rule(GLE):\n    name = 'strange-rule'\n"
    (tmp_path / "mylab" / "fa.py").write_text(rule)
    (tmp_path / "mylab" / "k.py").write_text("K = 1\n")
    words = (*WORDS, "--runs", tmp_path / "runs")
    assert glebench(*words, PYTHONPATH=path_of(tmp_path)).code == 0
    record = seed_folder(tmp_path / "runs", 1).read()
    assert record is not None
    assert list(record.plugins["rule"].files) == ["mylab.fa", "mylab.k"]
    (tmp_path / "mylab" / "k.py").write_text("K = 2\n")
    assert glebench(*words, PYTHONPATH=path_of(tmp_path)).told.startswith("Error: mylab.k changed since ")


def test_code_that_a_plugin_does_not_import_may_change(installed: Path) -> None:
    words = (*WORDS, "--runs", installed / "runs")
    assert glebench(*words, PYTHONPATH=path_of(installed)).code == 0
    (installed / "strange_helpers" / "unused.py").write_text("x = 2\n")
    again = glebench(*words, PYTHONPATH=path_of(installed))
    assert again.code == 0
    assert "Seed 1 is done" in again.err


def test_a_raised_version_is_another_run(installed: Path) -> None:
    words = (*WORDS, "--runs", installed / "runs")
    assert glebench(*words, PYTHONPATH=path_of(installed)).code == 0
    (installed / "strange.py").write_text(
        (installed / "strange.py")
        .read_text()
        .replace('name = "strange-rule"', 'name = "strange-rule"\n    version = 2')
    )
    assert glebench(*words, PYTHONPATH=path_of(installed)).code == 0
    assert len(list((installed / "runs").glob("*/*/*/seed-1"))) == 2


def test_a_suite_does_not_count_a_record_by_other_code_as_done(installed: Path) -> None:
    suite = installed / "suite.toml"
    suite.write_text(
        '[[run]]\ntask = "toy-classes"\nmodel = "toy-gle"\nrule = "strange-rule"\nbudget = "short"\nseeds = "1"\n'
    )
    runs = installed / "runs"
    assert glebench(*WORDS, "--runs", runs, PYTHONPATH=path_of(installed)).code == 0
    survey = ("suite", suite, "--dry-run", "--json", "--runs", runs)
    before = json.loads(glebench(*survey, PYTHONPATH=path_of(installed)).out)
    (installed / "strange_helpers" / "numbers.py").write_text("GAIN = 0.7\n")
    after = json.loads(glebench(*survey, PYTHONPATH=path_of(installed)).out)
    assert "done" in json.dumps(before)
    assert before != after


def test_only_parts_of_which_both_are_known_are_compared() -> None:
    def code(**files: str) -> Plugin:
        return Plugin(place="x:Y", distribution=None, version=None, files=files, git=Git())

    assert changed_files({"rule": code(a="1")}, {"rule": code(a="1")}) == []
    assert changed_files({"rule": code(a="1", b="2")}, {"rule": code(a="1", c="3")}) == ["b", "c"]
    assert changed_files({"rule": code(a="1")}, {"task": code(a="2")}) == []
    assert changed_files({"rule": code(a="1")}, {}) == changed_files({}, {"rule": code(a="1")}) == []


@pytest.fixture
def fresh_git(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(provenance, "own_git", own_git.__wrapped__)
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def test_git_may_be_absent(fresh_git: pytest.MonkeyPatch) -> None:
    fresh_git.setenv("PATH", "/nonexistent")
    assert provenance.own_git() == Git()


def test_git_describes_our_checkout_and_no_strangers(fresh_git: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "gle_bench"
    package.mkdir()
    (package / "module.py").touch()
    fresh_git.setattr(provenance, "PACKAGE", package)
    git(tmp_path, "init")
    assert provenance.own_git() == Git()  # nothing committed yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "all")
    clean = provenance.own_git()
    assert clean.commit is not None
    assert len(clean.commit) == 40
    assert clean.dirty is False
    (package / "module.py").write_text("changed")
    assert provenance.own_git() == Git(commit=clean.commit, dirty=True)
    inside = tmp_path / "site-packages" / "gle_bench"
    inside.mkdir(parents=True)
    fresh_git.setattr(provenance, "PACKAGE", inside)
    assert provenance.own_git() == Git()


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        ("figure-8d.png", False),
        ("leaderboards/records/x/record.json", False),
        ("README.md", False),
        ("tests/test_x.py", False),
        ("gle_bench/new.py", True),
        ("tasks/new.py", True),
        ("baselines/new.py", True),
        ("pyproject.toml", True),
        ("setup.py", True),
    ],
)
def test_dirty_counts_what_can_change_a_result(
    fresh_git: pytest.MonkeyPatch, tmp_path: Path, file: str, dirty: bool
) -> None:
    (tmp_path / "gle_bench").mkdir()
    (tmp_path / "gle_bench" / "module.py").touch()
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "all")
    fresh_git.setattr(provenance, "PACKAGE", tmp_path / "gle_bench")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("x")
    assert provenance.own_git().dirty is dirty
    assert git_of(tmp_path, [tmp_path / "gle_bench" / "module.py"]).dirty is False


def test_runs_of_a_changed_tree_are_marked_in_the_table() -> None:
    """A footnote counts them; runs of a committed tree have none."""

    def notes(*dirty: bool | None) -> str:
        states = [Git(commit="c" * 40, dirty=each) for each in dirty]
        records = [
            example(seed=seed, environment=ENVIRONMENT.model_copy(update={"git": git}))
            for seed, git in enumerate(states)
        ]
        return markdown(results_table(registry.task("mnist1d"), records))

    assert "uncommitted changes" not in notes(False, False, None)
    assert "2 of 3 seeds were run by code with uncommitted changes." in notes(True, False, True)
